//go:build linux && (amd64 || arm64)

package capture

import (
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf/features"
)

// A version of the kernel: major and minor.
type version [2]uint32

func (v version) before(o version) bool { return slices.Compare(v[:], o[:]) < 0 }

func thisKernel() version {
	code, err := features.LinuxVersionCode()
	must(err)
	return version{code >> 16, code >> 8 & 0xff}
}

// offered says whether this machine has a backend, as far as that is known.
func offered(b backend) (has, known bool) {
	switch {
	case b.name == Socklen && thisKernel().before(version{6, 3}):
		return false, true
	case b.name == Socklen || b.name == Sysexit:
		return true, true
	}
	return true, os.Getenv("PERISCO_VM") != "" // Debian's kernels are built with all there is
}

// forEachBackend runs a test with every backend that works here.
func forEachBackend(t *testing.T, test func(*testing.T, backend)) {
	needRoot(t)
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			has, known := offered(b)
			if has && !known || !has {
				switch src, err := openHere(Options{}, b); {
				case err != nil:
					t.Skip("not here:", err)
				case known:
					t.Error("works on a kernel where it cannot")
					fallthrough
				default:
					must(src.Close())
				}
			}
			test(t, b)
		})
	}
}

// best is the backend that a test takes which is not about backends.
func best() backend {
	for _, b := range backends {
		if has, known := offered(b); has && known {
			return b
		}
	}
	panic("none")
}

func TestAutoTakesTheFirstThatWorks(t *testing.T) {
	needRoot(t)
	src, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	name, refused := src.(Chooser).Backend()
	if name != best().name {
		t.Errorf("chose %s, want %s", name, best().name)
	}
	t.Logf("%s; %v", name, refused)
	for i, refusal := range refused {
		if refusal.Backend != backends[i].name {
			t.Errorf("refused %s as number %d", refusal.Backend, i)
		}
	}
	if name != backends[len(refused)].name {
		t.Errorf("chose %s, but refused %v", name, refused)
	}
}

func TestBackendsCanBePinned(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		src, err := Open(Options{Backend: b.name})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		if name, refused := src.(Chooser).Backend(); name != b.name || len(refused) != 0 {
			t.Errorf("chose %s, refused %v", name, refused)
		}
	})
	_, err := Open(Options{Backend: "magic"})
	if want := `backend "magic": must be one of auto, socklen, fexit, kprobe, sysexit`; err == nil || err.Error() != want {
		t.Errorf("said %v, want %q", err, want)
	}
}

func TestBackendsAreTriedInTheOrderInWhichTheyAreNamed(t *testing.T) {
	names := []string{Auto}
	for _, b := range backends {
		names = append(names, b.name)
	}
	if !slices.Equal(Backends(), names) {
		t.Errorf("named %v, tried %v", Backends(), names)
	}
}

// As when too many threads are in a call at once.
func TestCallsWhoseBeginningIsNotSeenHaveNoBytes(t *testing.T) {
	needRoot(t)
	half := backends[1]
	if has, known := offered(half); !has || !known {
		t.Skip("may not be here:", half.name)
	}
	half.hooks = half.hooks[:2]
	_, err := openHere(Options{}, half)
	if want := "self-test: write: 0 bytes captured of 44, or others: entry"; err == nil || err.Error() != want {
		t.Errorf("said %v, want %q", err, want)
	}
}

func TestEveryRefusalIsTold(t *testing.T) {
	needRoot(t)
	future := backend{name: "future", traces: []string{"time_travel"}, since: "99.0"}
	_, err := openFirst(Options{}, []backend{future, {name: "deaf"}})
	if want := "no backend works here: future: tracepoint time_travel: not on this kernel (needs 99.0 or later); " +
		"deaf: self-test: not seen: write, read, sendmsg, read of the answer"; err == nil || err.Error() != want {
		t.Errorf("said %v, want %q", err, want)
	}
	// What is wrong with the configuration is no matter of backends.
	_, err = Open(Options{RingBytes: 3})
	if want := "ring of 3 bytes: must be a power of two from 65536 to 1073741824"; err == nil || err.Error() != want {
		t.Errorf("said %v, want %q", err, want)
	}
}

//go:build linux && (amd64 || arm64)

package capture

import (
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/perisco-io/perisco/bpf"
)

const (
	// A tenth of what a verifier looks at (BPF_COMPLEXITY_LIMIT_INSNS): they
	// differ, and a program that is refused is found by no test here.
	maxVerified = 1_000_000 / 10
	maxMapBytes = 16 << 20
)

var processed = regexp.MustCompile(`processed (\d+) insns`)

// Times depend on the machine and are printed only.
func TestFootprint(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		spec, err := bpf.LoadCapture()
		if err != nil {
			t.Fatal(err)
		}
		var o Options
		must(o.settle())
		if err := configure(spec, o); err != nil {
			t.Fatal(err)
		}
		types, err := typesHere()
		if err != nil {
			t.Fatal(err)
		}
		start, cpu := time.Now(), cpuTime()
		p, err := b.load(spec, types, ebpf.ProgramOptions{LogLevel: ebpf.LogLevelStats})
		if err != nil {
			t.Fatalf("%+v", err)
		}
		defer p.Close()
		t.Logf("loads in %v, %v of CPU time", time.Since(start).Round(time.Millisecond), (cpuTime() - cpu).Round(time.Millisecond))

		for _, name := range sorted(p.Programs) {
			line := processed.FindStringSubmatch(p.Programs[name].VerifierLog)
			if line == nil {
				t.Fatalf("program %s: no statistics in %q", name, p.Programs[name].VerifierLog)
			}
			verified, err := strconv.Atoi(line[1])
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("program %s: %d instructions verified", name, verified)
			if verified > maxVerified {
				t.Errorf("program %s takes the verifier %d instructions, want %d at the most", name, verified, maxVerified)
			}
		}
		total := uint64(o.Shards * o.RingBytes) // the rings, of which there are none yet
		for _, name := range sorted(p.Maps) {
			info, err := p.Maps[name].Info()
			if err != nil {
				t.Fatal(err)
			}
			size, _ := info.Memlock() // none of socket storage, which lives with the sockets
			total += size
			t.Logf("map %s: %d KiB", name, size>>10)
		}
		t.Logf("maps: %d KiB", total>>10)
		if total > maxMapBytes {
			t.Errorf("maps take %d bytes, want %d at the most", total, maxMapBytes)
		}
	})
}

func sorted[V any](m map[string]V) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func cpuTime() time.Duration {
	var usage unix.Rusage
	must(unix.Getrusage(unix.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

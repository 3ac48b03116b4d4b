//go:build linux && (amd64 || arm64)

package capture

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// For the children below.
const (
	backendEnv = "PERISCO_TEST_BACKEND"
	typesEnv   = "PERISCO_TEST_BTF"
	limitEnv   = "PERISCO_TEST_MEMLOCK" // bytes
)

func init() {
	children["open"] = openAndTell
	children["open where /sys has no BTF"] = func() error {
		if err := unix.Mount("none", "/sys/kernel/btf", "tmpfs", 0, ""); err != nil {
			return err
		}
		return openAndTell()
	}
}

// openAndTell prints the backend in use, or why there is none.
func openAndTell() error {
	if bytes := os.Getenv(limitEnv); bytes != "" {
		var limit, now unix.Rlimit
		if _, err := fmt.Sscan(bytes, &limit.Max); err != nil {
			return err
		}
		if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &now); err != nil {
			return err
		}
		limit.Max = min(limit.Max, now.Max)
		limit.Cur = min(limit.Max, 64<<10)
		if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
			return err
		}
	}
	src, err := Open(Options{Backend: os.Getenv(backendEnv), BTFPath: os.Getenv(typesEnv)})
	if err != nil {
		fmt.Print(err)
		return nil
	}
	name, _ := src.(Chooser).Backend()
	fmt.Print(name)
	return src.Close()
}

// unprivileged runs a child as a user who is nobody, with capabilities only.
func unprivileged(cmd *exec.Cmd, capabilities ...uintptr) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: 65534, Gid: 65534},
		AmbientCaps: capabilities,
	}
	return cmd
}

func tell(t *testing.T, cmd *exec.Cmd, env ...string) string {
	t.Helper()
	cmd.Env = append(cmd.Env, env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err, stderr.String())
	}
	return string(out)
}

func TestOpenSaysWhichPrivilegeIsMissing(t *testing.T) {
	needRoot(t)
	for _, test := range []struct {
		name         string
		capabilities []uintptr
		want         string
	}{
		{"none", nil, "create a BPF map: operation not permitted (no CAP_BPF: needs CAP_BPF and CAP_PERFMON, or root)"},
		{"CAP_PERFMON", []uintptr{unix.CAP_PERFMON}, "create a BPF map: operation not permitted (no CAP_BPF: needs CAP_BPF and CAP_PERFMON, or root)"},
		{"CAP_BPF", []uintptr{unix.CAP_BPF}, "load a BPF program: operation not permitted (no CAP_PERFMON: needs CAP_BPF and CAP_PERFMON, or root)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := tell(t, unprivileged(child("open"), test.capabilities...)); got != test.want {
				t.Errorf("said %q, want %q", got, test.want)
			}
		})
	}
}

// The self-test is in Open: what opens, captures.
func TestTwoCapabilitiesSuffice(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		want := b.name
		if b.name == Kprobe {
			want = "no backend works here: kprobe: attach program kprobe_send: permission denied (needs CAP_SYS_ADMIN)"
			if got := tell(t, unprivileged(child("open"), unix.CAP_SYS_ADMIN), backendEnv+"="+b.name); got != b.name {
				t.Errorf("with CAP_SYS_ADMIN said %q, want %q", got, b.name)
			}
		}
		if got := tell(t, unprivileged(child("open"), unix.CAP_BPF, unix.CAP_PERFMON), backendEnv+"="+b.name); got != want {
			t.Errorf("said %q, want %q", got, want)
		}
	})
}

func TestMemlockLimitMattersUpTo5_10(t *testing.T) {
	needRoot(t)
	for limit, want := range map[int]string{
		leastMemlock: best().name,
		64 << 10: "raise RLIMIT_MEMLOCK of 65536 bytes: operation not permitted " +
			"(before kernel 5.11 needs CAP_SYS_RESOURCE, or a limit of 33554432 from the start)",
	} {
		if !thisKernel().before(version{5, 11}) {
			want = best().name
		}
		got := tell(t, unprivileged(child("open"), unix.CAP_BPF, unix.CAP_PERFMON),
			fmt.Sprint(limitEnv, "=", limit), backendEnv+"="+best().name)
		if got != want {
			t.Errorf("with %d bytes said %q, want %q", limit, got, want)
		}
	}
}

// What it takes to get there was tried by hand: a kernel does not come back.
func TestLockdownIsNamed(t *testing.T) {
	for modes, want := range map[string]string{
		"none integrity [confidentiality]\n": "kernel lockdown is confidentiality, needs to be integrity or none",
		"":                                   "needs kernel lockdown to be integrity or none",
	} {
		if got := lockdown(modes); got != want {
			t.Errorf("%q: said %q, want %q", modes, got, want)
		}
	}
}

func TestTypesFromAFile(t *testing.T) {
	needRoot(t)
	own, err := os.ReadFile("/sys/kernel/btf/vmlinux")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "vmlinux")
	if err := os.WriteFile(file, own, 0o600); err != nil {
		t.Fatal(err)
	}
	src := openKernel(t, Options{BTFPath: file}, best())
	if _, w := playWhole(t, src, newHere); len(w.events) == 0 {
		t.Error("saw nothing")
	}

	hidden := func() *exec.Cmd {
		cmd := child("open where /sys has no BTF")
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
		return cmd
	}
	if got, want := tell(t, hidden()), "no BTF at /sys/kernel/btf/vmlinux "+
		"(kernel needs CONFIG_DEBUG_INFO_BTF, or capture::btf_path a file with its types)"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	if has, known := offered(backends[2]); has && known {
		if got := tell(t, hidden(), typesEnv+"="+file); got != Kprobe {
			t.Errorf("said %q, want %q", got, Kprobe)
		}
	}
	_, err = Open(Options{BTFPath: "/nowhere"})
	if want := "read BTF from /nowhere: open /nowhere: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("said %v, want %q", err, want)
	}
}

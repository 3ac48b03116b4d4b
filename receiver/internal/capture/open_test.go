//go:build linux && (amd64 || arm64)

package capture

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/perisco-io/perisco/bpf"
)

// The self-test must not pass where a program is missing.
func TestOpenFailsWhereTheSelfTestDoes(t *testing.T) {
	needRoot(t)
	before := openFiles()
	deaf := backend{name: "deaf", hooks: []string{bpf.CaptureProgSocklenSend}}
	_, err := open(Options{}, deaf)
	if want := "self-test of program deaf: not seen: read, read of the answer"; err == nil || err.Error() != want {
		t.Errorf("said %v, want %q", err, want)
	}
	if after := openFiles(); after != before {
		t.Errorf("%d files are open, want %d", after, before)
	}
}

func TestCloseInterruptsNextAndReleasesAll(t *testing.T) {
	needRoot(t)
	warmUp, err := Open(Options{}) // what the libraries keep
	if err != nil {
		t.Fatal(err)
	}
	if err := warmUp.Close(); err != nil {
		t.Fatal(err)
	}
	before := openFiles()
	for range 3 {
		src, err := Open(Options{})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() {
			for {
				var e Event
				if err := src.Next(&e); err != nil {
					done <- err
					return
				}
			}
		}()
		for range 2 {
			if err := src.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := <-done; err != os.ErrClosed {
			t.Errorf("Next returned %v, want %v", err, os.ErrClosed)
		}
		if err := src.Next(&Event{}); err != os.ErrClosed {
			t.Errorf("Next returned %v, want %v", err, os.ErrClosed)
		}
		src.SetDeadline(time.Now())
		src.Skip(1, true, 1)
		src.Ignore(1)
		src.Losses(func(string, uint64) {})
	}
	if after := openFiles(); after != before {
		t.Errorf("%d files are open, want %d", after, before)
	}
}

func init() {
	children["open without privileges"] = func() error {
		_, err := Open(Options{})
		fmt.Print(err)
		return nil
	}
}

func TestOpenSaysWhatIsMissing(t *testing.T) {
	needRoot(t)
	cmd := child("open without privileges")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(out), "load program socklen: operation not permitted (needs CAP_BPF and CAP_PERFMON, or root)"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	future := backend{name: "future", traces: []string{"time_travel"}, since: "99.0"}
	_, err = open(Options{}, future)
	if want := "tracepoint time_travel: not on this kernel (needs 99.0 or later)"; err == nil || err.Error() != want {
		t.Errorf("said %v, want %q", err, want)
	}
}

func TestMemoryOfTheMapsIsBounded(t *testing.T) {
	needRoot(t)
	start := time.Now()
	src, err := Open(Options{})
	took := time.Since(start)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	t.Logf("open in %v", took)
	for name, program := range src.(*kernel).programs.Programs {
		info, err := program.Info()
		if err != nil {
			t.Fatal(err)
		}
		verified, _ := info.VerifiedInstructions()
		t.Logf("program %s: %d instructions verified", name, verified)
	}
	var total uint64
	for name, m := range src.(*kernel).programs.Maps {
		info, err := m.Info()
		if err != nil {
			t.Fatal(err)
		}
		size, _ := info.Memlock()
		total += size
		t.Logf("map %s: %d KiB", name, size>>10)
	}
	t.Logf("maps: %d KiB", total>>10)
	if total > 16<<20 {
		t.Errorf("maps take %d bytes, want 16 MiB at the most", total)
	}
}

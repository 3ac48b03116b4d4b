package e2e

import (
	"os/exec"
	"syscall"
	"testing"
)

func TestNothingIsLeftOfATestThatIsKilled(t *testing.T) {
	w, err := newWarden()
	if err != nil {
		t.Fatal(err)
	}
	spared, doomed := start(t, exec.Command(program(t, "bash"), "-c", "sleep 1000 & wait")), start(t, exec.Command(program(t, "bash"), "-c", "sleep 1000 & wait"))
	for _, p := range []*process{spared, doomed} {
		p.await(t, "its worker", func() error { return p.hasWorker() })
		w.watch(t, p.pid())
	}
	w.leave(t, spared.pid())
	if err := w.dismiss(); err != nil { // as the death of the test does
		t.Error(err)
	}
	eventually(t, "end of what was left", func() bool {
		reap(-doomed.pid())
		return syscall.Kill(-doomed.pid(), 0) != nil
	})
	if err := spared.hasWorker(); err != nil {
		t.Errorf("what the test had ended by itself: %v", err)
	}
	_ = syscall.Kill(-spared.pid(), syscall.SIGTERM) // a shell does not wait for its worker
}

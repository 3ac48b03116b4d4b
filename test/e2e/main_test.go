package e2e

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if play() {
		return
	}
	// Orphans of the processes that we start become our children, so that none
	// of them can hide.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "become the reaper of orphans:", err)
		os.Exit(1)
	}
	var err error
	if guard, err = newWarden(); err != nil {
		fmt.Fprintln(os.Stderr, "start the warden:", err)
		os.Exit(1)
	}
	status := m.Run()
	if err := guard.dismiss(); err != nil {
		fmt.Fprintln(os.Stderr, "the warden:", err)
		status = 1
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "leaked goroutines:", err)
		status = 1
	}
	if left := children(os.Getpid()); len(left) > 0 {
		fmt.Fprintln(os.Stderr, "leaked processes:", left)
		status = 1
	}
	os.Exit(status)
}

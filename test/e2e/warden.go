package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
)

// A warden is a process that outlives a test which is killed, and kills what is
// left of it then. The processes that a test starts die with it by themselves, but
// not their workers: to hear of the death of a parent is not inherited.
type warden struct {
	*exec.Cmd
	wards io.WriteCloser // closed by the kernel when the test is dead
}

// guard is the warden of all tests.
var guard *warden

func newWarden() (*warden, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w := &warden{Cmd: exec.Command(exe)}
	w.Env = []string{roleVariable + "=warden"}
	w.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // who kills the test may mean all of its group
	if w.wards, err = w.StdinPipe(); err != nil {
		return nil, err
	}
	return w, w.Start()
}

// watch hands a process group over. leave takes it back: it has ended.
func (w *warden) watch(t testing.TB, group int) { w.tell(t, "+%d\n", group) }
func (w *warden) leave(t testing.TB, group int) { w.tell(t, "-%d\n", group) }

func (w *warden) tell(t testing.TB, format string, group int) {
	t.Helper()
	if _, err := fmt.Fprintf(w.wards, format, group); err != nil {
		t.Errorf("tell the warden: %v", err)
	}
}

// dismiss has the warden do what it does when the test is dead, and waits for
// its end.
func (w *warden) dismiss() error {
	if err := w.wards.Close(); err != nil {
		return err
	}
	return w.Wait()
}

// keepWatch is the role of a warden: process groups on standard input.
func keepWatch([]string) error {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	wards := make(map[int]bool)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		group, err := strconv.Atoi(lines.Text())
		if err != nil {
			return err
		}
		if group < 0 {
			delete(wards, -group)
		} else {
			wards[group] = true
		}
	}
	for group := range wards {
		_ = syscall.Kill(-group, syscall.SIGKILL) // it may have ended
	}
	return lines.Err()
}

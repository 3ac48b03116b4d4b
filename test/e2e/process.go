package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	patience = 15 * time.Second     // for anything that has to happen
	interval = 5 * time.Millisecond // between looks whether it has
	logShown = 4 << 10              // bytes of a process's output that a failure shows

	// inexact is by how much clocks of two kinds may differ, of which one wakes
	// sleepers up.
	inexact = time.Millisecond
)

// A process is a child of the test, which ends it.
type process struct {
	cmd    *exec.Cmd
	name   string
	output string        // path of what it wrote
	done   chan struct{} // closed when it has ended
	once   sync.Once
}

// start starts a process that ends with the test. Its output goes to a file
// unless cmd says otherwise, and to the test's log if that fails.
func start(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, name: filepath.Base(cmd.Path), done: make(chan struct{})}
	out, err := os.Create(filepath.Join(t.TempDir(), p.name+".out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p.output = out.Name()
	if cmd.Stdout == nil {
		cmd.Stdout = out
	}
	cmd.Stderr = out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true              // so that all of a server can be found
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL // should the test die first
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	guard.watch(t, p.pid())
	go func() {
		_ = cmd.Wait() // ProcessState says it all
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("%s (%d), %s, wrote:\n%s", p.name, p.pid(), cmd.ProcessState, p.tail(t))
		}
	})
	return p
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the process the polite way and sees to it that nothing of it is
// left. Further calls do nothing.
func (p *process) stop(t testing.TB) {
	t.Helper()
	p.once.Do(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		select {
		case <-p.done:
		case <-time.After(patience):
			t.Errorf("%s (%d) does not end upon SIGTERM", p.name, p.pid())
			_ = p.cmd.Process.Signal(syscall.SIGKILL)
			<-p.done
		}
		defer guard.leave(t, p.pid())
		// Workers may need a moment after their master.
		deadline := time.Now().Add(patience)
		for syscall.Kill(-p.pid(), 0) == nil {
			reap(-p.pid())
			if time.Now().After(deadline) {
				t.Errorf("%s (%d) left processes behind", p.name, p.pid())
				_ = syscall.Kill(-p.pid(), syscall.SIGKILL)
				return
			}
			time.Sleep(interval)
		}
	})
}

// signal sends one to the process.
func (p *process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%s to %s (%d): %v", s, p.name, p.pid(), err)
	}
}

// kill ends the process in an instant.
func (p *process) kill(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	<-p.done
}

// reap takes notice of orphans of a process group that have ended: they are
// ours, since the test is their subreaper.
func reap(group int) {
	for {
		if pid, err := syscall.Wait4(group, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
			return
		}
	}
}

// await waits until ready returns nil, which it must while p lives.
func (p *process) await(t testing.TB, what string, ready func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := ready()
		if err == nil {
			return
		}
		select {
		case <-p.done:
			t.Fatalf("%s ended (%s) before %s", p.name, p.cmd.ProcessState, what)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: no %s after %s: %v", p.name, what, patience, err)
		}
		time.Sleep(interval)
	}
}

// awaitListening waits until the process accepts connections.
func (p *process) awaitListening(t testing.TB, address string) {
	t.Helper()
	p.await(t, "listening on "+address, func() error {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// tail returns the end of what the process wrote.
func (p *process) tail(t testing.TB) string {
	t.Helper()
	written := p.written(t)
	if len(written) > logShown {
		return "[…]" + written[len(written)-logShown:]
	}
	return written
}

// written returns all that the process wrote.
func (p *process) written(t testing.TB) string {
	t.Helper()
	written, err := os.ReadFile(p.output)
	if err != nil {
		return err.Error()
	}
	return string(written)
}

// hasWorker returns nil if the process has children.
func (p *process) hasWorker() error {
	if len(children(p.pid())) == 0 {
		return fmt.Errorf("%d has no children", p.pid())
	}
	return nil
}

// family returns the process and its children.
func (p *process) family() []int {
	return append([]int{p.pid()}, children(p.pid())...)
}

// children returns the processes that a process is the parent of.
func children(parent int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // errors are for bad patterns
	var pids []int
	for _, path := range stats {
		fields, err := statFields(path)
		if err != nil {
			continue // it has ended
		}
		if fields[1] == strconv.Itoa(parent) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// statFields returns the fields of /proc/<pid>/stat from the third on, the
// state. The second may hold spaces.
func statFields(path string) ([]string, error) {
	stat, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return nil, fmt.Errorf("%s has %d fields", path, len(fields))
	}
	return fields, nil
}

// tempDir returns a directory of the test that every user may enter: workers
// of servers are somebody else.
func tempDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// executable returns the path of what a process runs.
func executable(t testing.TB, pid int) string {
	t.Helper()
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// freePort returns a port that nobody listens on. It is below those that the
// kernel gives to clients, which could take it before the server does.
func freePort(t testing.TB) int {
	t.Helper()
	const first, last = 15000, 32000
	for range 100 {
		port := first + rand.IntN(last-first)
		if l, err := net.Listen("tcp", fmt.Sprintf(":%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatalf("no port from %d to %d is free", first, last)
	return 0
}

// loopback returns the address of a port.
func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

package kubernetes

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const (
	patience = 60 * time.Second // for anything that has to happen
	interval = 50 * time.Millisecond
)

// A process is a child of the test, which ends it.
type process struct {
	cmd    *exec.Cmd
	output string        // path of what it wrote
	done   chan struct{} // closed when it has ended
}

// start starts a process that ends with the test. What it wrote goes to the
// test's log if that fails.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // should the test die first
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd, output: out.Name(), done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // ProcessState says it all
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s, %s, wrote:\n%s", cmd, cmd.ProcessState, p.tail())
		}
	})
	return p
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

func (p *process) written() string {
	text, err := os.ReadFile(p.output)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// tail returns the end of what the process wrote.
func (p *process) tail() string {
	const shown = 4 << 10 // bytes
	text := p.written()
	return text[max(0, len(text)-shown):]
}

// await waits until ready returns nil, which it must while p lives.
func (p *process) await(t *testing.T, what string, ready func() error) {
	t.Helper()
	eventually(t, what, func() error {
		select {
		case <-p.done:
			t.Fatalf("%s ended (%s) before %s", p.cmd, p.cmd.ProcessState, what)
		default:
		}
		return ready()
	})
}

// eventually waits until ready returns nil.
func eventually(t *testing.T, what string, ready func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(interval) {
		if err = ready(); err == nil {
			return
		}
	}
	t.Fatalf("no %s after %s: %v", what, patience, err)
}

// run runs a command to its end.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// The test's own executable is what runs in pods. roleVariable says what it is.
const roleVariable = "PERISCO_KUBERNETES_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "":
		os.Exit(m.Run())
	case "server":
		err := http.ListenAndServe(os.Args[1], http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	case "client":
		resp, err := http.Get(os.Args[1])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		_ = resp.Body.Close()
	}
}

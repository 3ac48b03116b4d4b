package receiver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"
)

// roleVariable makes this test binary a server or a client, since a receiver
// does not see its own process.
const roleVariable = "PERISCO_TEST_ROLE"

// needCapabilities skips a test that could not start to capture.
func needCapabilities(t *testing.T) {
	t.Helper()
	var data [2]unix.CapUserData
	require.NoError(t, unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]))
	effective := uint64(data[1].Effective)<<32 | uint64(data[0].Effective)
	for name, bit := range map[string]int{"CAP_BPF": unix.CAP_BPF, "CAP_PERFMON": unix.CAP_PERFMON} {
		if effective>>bit&1 == 0 {
			t.Skipf("needs %s", name)
		}
	}
}

// TestRole is not a test but a process that one of the others started.
func TestRole(t *testing.T) {
	role, argument, _ := strings.Cut(os.Getenv(roleVariable), " ")
	switch role {
	case "server":
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		fmt.Println(l.Addr())
		go func() { _ = http.Serve(l, http.NotFoundHandler()) }()
		_, _ = io.Copy(io.Discard, os.Stdin) // until the parent closes it
		os.Exit(0)
	case "client":
		r, err := http.Get(argument)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, r.Body)
		require.NoError(t, err)
		require.NoError(t, r.Body.Close())
		os.Exit(0)
	default:
		t.Skip("is for other tests")
	}
}

// child returns this test binary in a role.
func child(role string) *exec.Cmd {
	c := exec.Command(os.Args[0], "-test.run=^TestRole$")
	c.Env = append(os.Environ(), roleVariable+"="+role)
	c.Stderr = os.Stderr
	return c
}

// serve starts a server and returns where it listens.
func serve(t *testing.T) (address string) {
	c := child("server")
	stdin, err := c.StdinPipe()
	require.NoError(t, err)
	stdout, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		require.NoError(t, c.Wait())
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(line)
}

func TestKernel(t *testing.T) {
	needCapabilities(t)
	before := serve(t) // listens before anything is attached
	f := NewFactory()
	cfg := f.CreateDefaultConfig()
	set := nop()
	set.Logger = zaptest.NewLogger(t)

	for run := range 2 { // twice, since a collector may restart its receivers
		cfg.(*Config).Capture.Shards = 1 + run
		p := newPair(t, f, set, cfg)
		began := time.Now()
		require.NoError(t, p.start())
		t.Logf("ready after %s", time.Since(began))

		for i, address := range []string{before, serve(t)} {
			// Other processes may fill the ring meanwhile. That is forgiven if
			// it was counted.
			for try := range 5 {
				lost := p.lost()
				path := fmt.Sprintf("/run/%d/server/%d/try/%d", run, i, try)
				err := p.exchange(address, path)
				if err == nil {
					break
				}
				require.NotEqual(t, lost, p.lost(), "%s: %s, and nothing was lost", path, err)
				require.Less(t, try, 4, "%s: %s", path, err)
			}
		}
		require.NoError(t, p.shutdown())
	}
}

// exchange makes a request in another process and waits until it has arrived
// in full: as a span and as a log record, of the client and of the server.
func (p *pair) exchange(address, path string) error {
	began := time.Now()
	if err := child("client http://" + address + path).Run(); err != nil {
		return err
	}
	ended := time.Now()
	var spans []ptrace.Span
	for time.Since(ended) < soon/4 {
		if spans = p.spansOf(path); len(spans) >= 2 && p.recordsOf(path) >= 2 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	var kinds []ptrace.SpanKind
	for _, s := range spans {
		kinds = append(kinds, s.Kind())
		if status, ok := s.Attributes().Get("http.response.status_code"); !ok || status.Int() != http.StatusNotFound {
			return fmt.Errorf("attributes are %v", s.Attributes().AsRaw())
		}
		start, end := s.StartTimestamp().AsTime(), s.EndTimestamp().AsTime()
		if start.Before(began) || !start.Before(end) || end.After(ended) {
			return fmt.Errorf("from %s to %s, not within %s and %s", start, end, began, ended)
		}
	}
	slices.Sort(kinds)
	if want := []ptrace.SpanKind{ptrace.SpanKindServer, ptrace.SpanKindClient}; !slices.Equal(kinds, want) {
		return fmt.Errorf("spans are %v", kinds)
	}
	if n := p.recordsOf(path); n != 2 {
		return fmt.Errorf("%d log records", n)
	}
	return nil
}

// lost is how much was lost so far.
func (p *pair) lost() (n uint64) {
	for _, k := range p.traces.(*instance).running.count() {
		n += k
	}
	return n
}

// spansOf returns the spans of requests for path.
func (p *pair) spansOf(path string) (found []ptrace.Span) {
	for _, td := range p.spans.AllTraces() {
		for _, rs := range td.ResourceSpans().All() {
			for _, s := range rs.ScopeSpans().At(0).Spans().All() {
				// A server knows the path, a client the whole address.
				for _, key := range []string{"url.path", "url.full"} {
					if v, ok := s.Attributes().Get(key); ok && strings.HasSuffix(v.Str(), path) {
						found = append(found, s)
					}
				}
			}
		}
	}
	return found
}

// recordsOf counts the log records of requests for path.
func (p *pair) recordsOf(path string) (n int) {
	for _, ld := range p.record.AllLogs() {
		for _, rl := range ld.ResourceLogs().All() {
			for _, r := range rl.ScopeLogs().At(0).LogRecords().All() {
				if strings.Contains(r.Body().Str(), path+" ") {
					n++
				}
			}
		}
	}
	return n
}

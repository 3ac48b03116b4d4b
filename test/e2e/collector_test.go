package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestTheCollectorDoesNotWatchItself(t *testing.T) {
	var exports atomic.Int64
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			exports.Add(1)
		}
	}))
	defer sink.Close()
	collector := startCollector(t, setup{Export: sink.URL})
	collector.settle(t)
	// What the sink receives is traffic as any other: its spans make for the
	// next exports.
	eventually(t, "exports over loopback", func() bool { return exports.Load() >= 6 })
	collector.scrape(t)
	collector.finish(t)

	if ss := spans(collector.traces.items).of(collector.pid()); len(ss) > 0 {
		t.Errorf("%d spans of the collector itself, such as %s %s %s", len(ss), ss[0].Kind(), ss[0].Name(), ss[0].uri())
	}
	if ss := spans(collector.traces.items).of(os.Getpid()); len(ss) == 0 {
		t.Error("no span of the test, which received the exports")
	}
}

const nobody = 65534

// forNobody returns a copy of the collector that everybody may run.
func forNobody(t *testing.T) string {
	t.Helper()
	in, err := os.Open(collectorPath(t))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	path := filepath.Join(tempDir(t), filepath.Base(in.Name()))
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWithoutPrivilegesTheCollectorSaysWhichOnesItNeeds(t *testing.T) {
	needRoot(t)
	binary := forNobody(t)

	t.Run("it does not start", func(t *testing.T) {
		c := launchCollector(t, setup{Binary: binary, User: nobody})
		select {
		case <-c.done:
		case <-time.After(patience):
			t.Fatal("the collector runs on")
		}
		if code := c.cmd.ProcessState.ExitCode(); code <= 0 {
			t.Errorf("%s, want an exit status other than 0", c.cmd.ProcessState)
		}
		c.checkSays(t, "CAP_BPF", "CAP_PERFMON")
	})
	t.Run("it stays idle where told to ignore errors", func(t *testing.T) {
		c := launchCollector(t, setup{Binary: binary, User: nobody, Options: "{error_mode: ignore}"})
		c.await(t, "being healthy", c.healthy)
		const while = 500 * time.Millisecond
		for began := time.Now(); time.Since(began) < while; time.Sleep(interval) {
			if _, err := get(c.landmark.URL); err != nil {
				t.Fatal(err)
			}
			if err := c.healthy(); err != nil {
				t.Fatalf("the collector is healthy no more: %v", err)
			}
		}
		c.stop(t)
		if code := c.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("%s, want exit status 0", c.cmd.ProcessState)
		}
		c.checkSays(t, "CAP_BPF", "CAP_PERFMON")
		if c.traces.read(t); len(c.traces.items) > 0 {
			t.Errorf("%d spans of an idle receiver", len(c.traces.items))
		}
	})
}

// checkSays checks that the collector's log has some words.
func (c *collector) checkSays(t *testing.T, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(c.tail(t), word) {
			t.Errorf("the collector does not say %s:\n%s", word, c.tail(t))
		}
	}
}

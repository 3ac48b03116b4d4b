package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var lostRequest = regexp.MustCompile(`"(?:http_request_not_captured|turn_not_captured|ring_full_turn)": (\d+)`)

// lostRequests is how many requests of HTTP/1 a collector that has ended counted
// as lost, at both ends, without landmarks. Its last line about losses tells of
// those, too, that were only given up when it ended.
func (c *collector) lostRequests(t testing.TB) (requests int) {
	t.Helper()
	for _, match := range lostRequest.FindAllStringSubmatch(c.written(t), -1) {
		n, _ := strconv.Atoi(match[1])
		t.Log(match[0])
		requests += n
	}
	requests -= 2 * c.landmarks
	for _, s := range c.traces.items {
		if strings.HasPrefix(s.uri(), "/landmark/") {
			requests++
		}
	}
	return requests
}

// stopNowAndThen stops p for a while, again and again, until done is closed.
func (p *process) stopNowAndThen(done <-chan struct{}) {
	for {
		_ = p.cmd.Process.Signal(syscall.SIGSTOP)
		time.Sleep(200 * time.Millisecond)
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
		select {
		case <-done:
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Where a connection is lost with its last turn, its turns are counted in the
// kernel; where only its end was seen, as turns.
func TestEveryRequestOfADialogueIsToldOrCountedHoweverMuchIsLost(t *testing.T) {
	const connections = 8
	for _, c := range []struct {
		name    string
		ring    int
		stalled bool
		each    int // requests that a connection brings; 0: all
		n       int
	}{
		{"in a small ring", 64 << 10, false, 0, 60_000},
		{"while nobody reads", 1 << 20, true, 0, 60_000},
		{"in a small ring, with a connection for each", 64 << 10, false, 1, 10_000},
		{"while nobody reads, with a connection for each", 1 << 20, true, 1, 10_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			collector := startCollector(t, setup{Options: fmt.Sprintf("{capture: {ring_buffer_size: %d}}", c.ring)})
			nginx := startNginx(t, nginxSetup{Requests: c.each}, 0)
			done, over := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(over)
				if c.stalled {
					collector.stopNowAndThen(done)
				}
			}()
			var uris []string
			for i := range c.n / connections {
				uris = append(uris, fmt.Sprint("/text/", i))
			}
			pid := h2load(t, nginx.site, connections, 1, uris, "--h1")
			close(done)
			<-over
			collector.settle(t)
			made, workers := len(nginx.accessLog(t)), nginx.family()
			collector.end(t)
			lost := collector.lostRequests(t)

			served, asked := spans(collector.traces.items).of(workers...), spans(collector.traces.items).of(pid)
			if lost == 0 || made != c.n || len(served)+len(asked)+lost != 2*made {
				t.Errorf("%d server spans, %d client spans and %d requests lost, want twice %d and some lost", len(served), len(asked), lost, made)
			}
			t.Logf("%d requests: %d server spans, %d client spans, %d counted as lost", made, len(served), len(asked), lost)
		})
	}
}

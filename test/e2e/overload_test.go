package e2e

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	lostRequest = regexp.MustCompile(`"(?:(?:http|mysql)_request_not_captured|turn_not_captured|ring_full_turn)": (\d+)`)
	queueFull   = regexp.MustCompile(`"queue_full": (\d+)`) // spans and log records
)

// lostRequests is how many requests of HTTP/1 and MySQL a collector that has ended counted
// as lost, or whose spans it dropped, at both ends, without landmarks. Its last line about losses tells of
// those, too, that were only given up when it ended.
func (c *collector) lostRequests(t testing.TB) (requests int) {
	t.Helper()
	for _, match := range lostRequest.FindAllStringSubmatch(c.written(t), -1) {
		n, _ := strconv.Atoi(match[1])
		t.Log(match[0])
		requests += n
	}
	for _, match := range queueFull.FindAllStringSubmatch(c.written(t), -1) {
		n, _ := strconv.Atoi(match[1])
		t.Log(match[0])
		requests += n / 2
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
		shards  int
		stalled bool
		each    int // requests that a connection brings; 0: all
		n       int
	}{
		{"in a small ring", 64 << 10, 1, false, 0, 60_000},
		{"in two small rings", 64 << 10, 2, false, 0, 60_000},
		{"while nobody reads", 1 << 20, 1, true, 0, 60_000},
		{"in a small ring, with a connection for each", 64 << 10, 1, false, 1, 10_000},
		{"while nobody reads, with a connection for each", 1 << 20, 1, true, 1, 10_000},
		{"while nobody reads two rings, with a connection for each", 512 << 10, 2, true, 1, 10_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			nginx := startNginx(t, nginxSetup{Requests: c.each}, 0)
			collector := startCollector(t, small(c.ring).about(nginx.site).sharded(c.shards))
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

// answered is how many commands with an answer the server has logged.
func (d *database) answered(t testing.TB) (commands int) {
	t.Helper()
	for _, thread := range d.generalLog(t) {
		for _, l := range thread {
			if d.tells(l) {
				commands++
			}
		}
	}
	return commands
}

// A client's leave is a turn, too: one that nobody sees as such where all of the
// end of its connection was lost. So connections stay until the storm is over; where
// there is one for a few commands, what is counted may be so many more.
func TestEveryCommandIsToldOrCountedHoweverMuchIsLost(t *testing.T) {
	const connections = 8
	db := startMariaDB(t)
	steps := []step{
		{Do: "query", SQL: "SELECT title FROM books WHERE id = 1"},
		{Do: "query", SQL: "SELECT title FROM books WHERE id = ?", Args: []any{2}}, // prepared, executed and closed
		{Do: "query", SQL: "DO 1"},
		{Do: "kept", SQL: "SELECT n FROM numbers WHERE n < ?", Args: []any{9}},
		{Do: "query", SQL: "SELECT REPEAT('x', 3000)"},
		{Do: "query", SQL: "DO ?", Args: []any{1}},
	}
	for _, c := range []struct {
		name    string
		ring    int
		stalled bool
		few     bool
	}{
		{"in a small ring", 64 << 10, false, false},
		{"while nobody reads", 1 << 20, true, false},
		{"in a small ring, with a connection for a few", 64 << 10, true, true},
		{"while nobody reads, with a connection for a few", 1 << 20, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			collector := startCollector(t, small(c.ring).about(&site{port: db.port}))
			before, leaves := db.answered(t), 0
			pids := make(map[int]bool)
			overload := func(load func()) {
				done, over := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(over)
					if c.stalled {
						collector.stopNowAndThen(done)
					}
				}()
				load()
				close(done)
				<-over
				collector.settle(t)
			}
			if c.few {
				const rounds, each = 20, 20
				overload(func() {
					for range rounds {
						pids[slap(t, db, connections, each, "SELECT title FROM books WHERE id = 1", "DO 1")] = true
						leaves += connections + 1 // it has one itself
					}
				})
			} else {
				reader := startGoReader(t, false)
				pids[reader.pid()] = true
				ask := func(rounds, pause int) {
					v := visit{Port: db.port, Password: db.password, Pause: pause}
					for range connections {
						v.Chats = append(v.Chats, slices.Repeat(steps, rounds))
					}
					reader.run(t, v)
				}
				ask(1, 5)
				overload(func() { ask(250, 0) })
				ask(1, 5)
				collector.settle(t)
			}
			made := db.answered(t) - before
			collector.end(t)
			lost := collector.lostRequests(t)

			served := spans(collector.traces.items).of(db.pid())
			asked := spans(collector.traces.items).of(slices.Collect(maps.Keys(pids))...)
			if sum := len(served) + len(asked) + lost; lost == 0 || sum < 2*made || sum > 2*(made+leaves) {
				t.Errorf("%d server spans, %d client spans and %d commands lost, want twice %d, up to %d more, and some lost", len(served), len(asked), lost, made, 2*leaves)
			}
			t.Logf("%d commands: %d server spans, %d client spans, %d counted as lost", made, len(served), len(asked), lost)
		})
	}
}

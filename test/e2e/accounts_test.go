package e2e

import (
	"fmt"
	"testing"
)

// cramped is a collector whose ring holds a few writes: at full speed most of
// what is said is lost.
var cramped = small(64 << 10)

// small is a collector with a small ring.
func small(ring int) setup {
	return setup{Options: fmt.Sprintf("{capture: {ring_buffer_size: %d}}", ring)}
}

// uncaptured is how many requests of HTTP/2 the collector has counted as lost
// since the test began. It checks that no span was dropped.
func (c *collector) uncaptured(t testing.TB) (requests int) {
	t.Helper()
	if n := c.since(t, "receiver_perisco_dropped_items"); n != 0 {
		t.Errorf("%d items were dropped", n)
	}
	t.Logf("losses: %d for want of room in the ring", c.since(t, "receiver_perisco_losses", `reason="ring_full_data"`))
	return c.since(t, "receiver_perisco_losses", `reason="http2_request_not_captured"`)
}

func TestEveryRequestIsToldOrCountedHoweverMuchIsLost(t *testing.T) {
	const connections, streams, calm, storm = 4, 50, 80, 12000
	nghttpd := startNghttpd(t, 13)
	collector := startCollector(t, cramped.about(nghttpd))
	load := startHTTP2Load(t, connections, streams)
	made := 0
	ask := func(n int, p plan) {
		p.URL = nghttpd.url()
		for range n {
			p.Requests = append(p.Requests, request{Method: "GET", URI: fmt.Sprint("/page?n=", made)})
			made++
		}
		load.begin(t, p)
		load.report(t)
		collector.settle(t)
	}
	// What comes before the first stream that is seen and behind the last nobody
	// can know of: neither is lost.
	ask(calm, plan{Pause: 2 * pace})
	ask(storm, plan{})
	ask(calm, plan{Pause: 2 * pace})
	load.stop(t)
	collector.settle(t) // what waits for an answer that was lost has ended
	lost := collector.uncaptured(t)
	collector.end(t)

	// Whose port nobody knows is among them.
	served, asked := spans(collector.traces.items).of(nghttpd.pid()), spans(collector.traces.items).of(load.pid())
	if lost == 0 || len(served)+len(asked)+lost != 2*made {
		t.Errorf("%d server spans, %d client spans and %d requests lost, want twice %d and some lost", len(served), len(asked), lost, made)
	}
	t.Logf("%d requests: %d server spans, %d client spans, %d counted as lost", made, len(served), len(asked), lost)
}

// Behind the last frame of a connection that was captured there may have been
// any number of requests: what h2load says last may be lost. So its requests
// are a bound, which is not passed however much is lost.
func TestNoMoreRequestsAreToldOrCountedThanThereWere(t *testing.T) {
	const connections, streams, n = 8, 100, 8000
	nghttpd := startNghttpd(t, 13)
	collector := startCollector(t, cramped.about(nghttpd))
	uris, _ := pagesOf("n", n/connections)
	pid := h2load(t, nghttpd, connections, streams, uris)
	collector.settle(t)
	lost := collector.uncaptured(t)
	collector.end(t)

	served, asked := spans(collector.traces.items).of(nghttpd.pid()), spans(collector.traces.items).of(pid)
	if lost == 0 || len(served) > n || len(asked) > n || len(served)+len(asked)+lost > 2*n {
		t.Errorf("%d server spans, %d client spans and %d requests lost, want at most twice %d and some lost", len(served), len(asked), lost, n)
	}
	t.Logf("%d requests: %d server spans, %d client spans, %d counted as lost", n, len(served), len(asked), lost)
}

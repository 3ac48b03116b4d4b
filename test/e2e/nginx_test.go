package e2e

import (
	"fmt"
	"testing"
	"time"
)

func TestNginx(t *testing.T) {
	needCapture(t)
	for _, c := range []struct {
		name     string
		sendfile bool
		shards   int
		requests int
	}{
		{"ten thousand requests over 32 connections, files by sendfile", true, 1, 10_000},
		{"files by write", false, 1, 3000},
		{"files by write, seen by four shards", false, 4, 3000},
	} {
		t.Run(c.name, func(t *testing.T) {
			const clients = 32
			nginx := startNginx(t, nginxSetup{Sendfile: c.sendfile}, c.requests)
			collector := startCollector(t, roomy.about(nginx.site).sharded(c.shards))
			load := startLoad(t, clients)

			log := checkNginx(t, collector, nginx, load, "1.1", pages(c.requests))
			if n := connections(log); n != clients {
				t.Errorf("the requests came over %d connections, want %d", n, clients)
			}
		})
	}
}

// checkNginx makes requests, ends the collector and checks that it told what the
// client and nginx did, which is in the access log.
func checkNginx(t *testing.T, c *collector, nginx *nginx, load *load, version string, requests []request) []entry {
	t.Helper()
	began := time.Now()
	seen := load.run(t, nginx.url(), requests)
	ended := time.Now()
	workers, exe := children(nginx.pid()), executable(t, nginx.pid())
	c.settle(t)
	c.checkLossless(t)
	c.checkAccounts(t)
	c.end(t)

	log := nginx.accessLog(t)
	checkSame(t, "what the client saw and what nginx logged", seen, logged(log))
	checkBoth(t, c, nginx.site, version, seen)
	checkTimes(t, c.served(nginx.port), log, began, ended)
	checkTimes(t, c.asked(nginx.port), log, began, ended)
	checkResource(t, c.served(nginx.port), workers, exe, "nginx")
	checkResource(t, c.asked(nginx.port), []int{load.pid()}, executable(t, load.pid()), load.name)
	t.Logf("%d requests in %s", len(requests), ended.Sub(began).Round(time.Millisecond))
	return log
}

// checkTimes checks the durations of spans with those that a server has
// logged, and that they lie in the time of the test.
func checkTimes(t testing.TB, ss spans, log []entry, began, ended time.Time) {
	t.Helper()
	took := make(map[string]time.Duration)
	for _, e := range log {
		// These are answered before their body has been read, and logged after:
		// what nginx does then is no part of the exchange.
		if e.Method != "POST" && e.Method != "PATCH" {
			took[e.Method+e.URI] = e.took
		}
	}
	// nginx looks at its clock when it wakes up, and counts in milliseconds. Of
	// requests that wait for each other it believes that they began together,
	// which for a few makes a difference.
	const inexact, few, absurd = time.Millisecond, 1000, 50 * time.Millisecond
	// The clocks of kernel and user space are compared now and then only.
	const drift = 50 * time.Millisecond
	var flaws, short findings
	for _, s := range ss {
		start, end := s.StartTimestamp().AsTime(), s.EndTimestamp().AsTime()
		x := spans{s}.exchanges()[0]
		switch missing := took[x.Method+x.URI] - end.Sub(start); {
		case missing > absurd:
			flaws.addf("%s: %s, but the server says %s", x, end.Sub(start), took[x.Method+x.URI])
		case missing > inexact:
			short.addf("%s: %s, but the server says %s", x, end.Sub(start), took[x.Method+x.URI])
		}
		if start.Before(began.Add(-drift)) || end.After(ended.Add(drift)) {
			flaws.addf("%s: from %s to %s, but the test was from %s to %s", x, start, end, began, ended)
		}
	}
	flaws.report(t, "wrong times")
	if short.n > len(ss)/few {
		short.report(t, "times that are too short")
	}
}

// checkEveryRecord checks that there are as many log records about a server as
// spans.
func checkEveryRecord(t testing.TB, c *collector, port, want int) {
	t.Helper()
	n := 0
	for _, r := range c.logs.items {
		if number(r.Attributes(), "server.port") == int64(port) {
			n++
		}
	}
	if n != want {
		t.Errorf("%d log records, want %d", n, want)
	}
}

func TestBothHopsThroughAProxyAreSeen(t *testing.T) {
	collector := startCollector(t, setup{})
	upstream := startNode(t)
	nginx := startNginx(t, nginxSetup{Sendfile: true, Upstream: upstream.address()}, 0)
	load := startLoad(t, 4)

	const traced = "4bf92f3577b34da6a3ce929d0e0e4736"
	var requests []request
	for i, way := range []string{"/once", "/kept"} {
		for _, r := range answers(60) {
			r.URI = way + r.URI
			r.Header = map[string]string{"Traceparent": fmt.Sprintf("00-%s-%016x-01", traced, i+1)}
			requests = append(requests, r)
		}
	}
	seen := load.run(t, nginx.url(), requests)
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)

	log := logged(nginx.accessLog(t))
	checkSame(t, "what the client saw and what nginx logged", seen, log)
	passedOn := make([]exchange, len(log))
	for i, x := range log {
		x.URI = x.URI[len("/once"):]
		passedOn[i] = x
	}
	hops := []struct {
		what string
		ss   spans
		want []exchange
	}{
		{"the client's", collector.asked(nginx.port), log},
		{"nginx's as a server", collector.served(nginx.port), log},
		{"nginx's as a client", collector.asked(upstream.port), passedOn},
		{"the upstream's", collector.served(upstream.port), passedOn},
	}
	for _, hop := range hops {
		checkSame(t, hop.what+" spans", hop.ss.exchanges(), hop.want)
		checkSpans(t, hop.ss)
		checkRecords(t, hop.ss, collector.logs.items)
		for _, s := range hop.ss {
			if s.TraceID().String() != traced {
				t.Fatalf("%s span has trace id %s, want that of the request, %s", hop.what, s.TraceID(), traced)
			}
		}
	}
	workers := children(nginx.pid())
	checkResource(t, hops[1].ss, workers, executable(t, nginx.pid()), "nginx")
	checkResource(t, hops[2].ss, workers, executable(t, nginx.pid()), "nginx")
}

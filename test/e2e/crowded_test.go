package e2e

import (
	"fmt"
	"syscall"
	"testing"
)

// A burst that fills more than half of the ring and less than all of it costs heads that
// are not at the beginning of a read or write: those of chunks, and with them the end of
// their body, which is then told of. Frames are followed as ever.
func TestABurstThatTheRingHoldsCostsNoRequestAndNothingInSilence(t *testing.T) {
	const ring, calm, burst, chunks = 2 << 20, 2, 6, 150 // so many bodies of 300 KiB fill half of it, at both ends
	golang, nghttpd := startGo(t, "127.0.0.1", freePort(t)), startNghttpd(t, 1<<20)
	s := small(ring)
	s.Ports = []int{golang.port, nghttpd.port}
	collector := startCollector(t, s)
	one, two := startLoad(t, 1), startHTTP2Load(t, 1, 2)
	var first, second []exchange // what was asked in HTTP/1, and in HTTP/2
	ask := func(n int) {
		t.Helper()
		var a, b []request
		for i := range n {
			a = append(a, request{Method: "GET", URI: fmt.Sprintf("/chunks/%d?n=%d", chunks, len(first)+i)})
			b = append(b, request{Method: "GET", URI: fmt.Sprintf("/page?n=%d", len(second)+i)})
		}
		first = append(first, one.run(t, golang.url(), a)...)
		second = append(second, two.run(t, nghttpd.url(), b)...)
	}
	ask(calm)
	collector.settle(t)
	collector.signal(t, syscall.SIGSTOP)
	ask(burst)
	collector.signal(t, syscall.SIGCONT)
	collector.settle(t)
	ask(calm)
	collector.settle(t)
	points := collector.scrape(t)
	full := collector.full(t, collector.before)
	cut := counted(points, "receiver_perisco_losses", `reason="message_cut_by_pressure"`)
	collector.end(t)

	if full > 0 {
		t.Errorf("%v events found no room in the ring: that tests something else", full)
	}
	truncated := 0
	for _, c := range []struct {
		role string
		ss   spans
		want []exchange
	}{
		{"HTTP/1 server", collector.served(golang.port), first}, {"HTTP/1 client", collector.asked(golang.port), first},
		{"HTTP/2 server", collector.served(nghttpd.port), second}, {"HTTP/2 client", collector.asked(nghttpd.port), second},
	} {
		checkSame(t, c.role+" spans and what the client saw", c.ss.exchanges(), c.want)
		var flaws findings
		for _, s := range c.ss {
			_, marked := s.Attributes().Get("perisco.truncated")
			switch {
			case text(s.Attributes(), "error.type") != "":
				flaws.addf("%s: %v", s.what(), s.Attributes().AsRaw())
			case marked && c.want[0] == second[0]:
				flaws.addf("%s is truncated", s.what())
			case marked:
				truncated++
			}
		}
		flaws.report(t, "wrong "+c.role+" spans")
	}
	if truncated == 0 || truncated >= 2*burst || int(cut) != truncated {
		t.Errorf("%d spans are truncated and %v heads were cut off, want as many, and some", truncated, cut)
	}
}

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// A deed is a request or a call that a client has made.
type deed struct {
	began  time.Time
	asHTTP exchange
	asCall call // nothing of it if it was none
}

// fits reports whether a span may be one of d: all that it says is so, and what
// is not known it leaves out.
func (d deed) fits(s span) bool {
	same := func(got, want string) bool { return got == "" || got == want }
	if s.isCall() {
		c := spans{s}.calls()[0]
		return same(c.Method, d.asCall.Method) && same(c.Code, d.asCall.Code)
	}
	x := spans{s}.exchanges()[0]
	return same(x.Method, d.asHTTP.Method) && same(x.URI, d.asHTTP.URI) && (x.Status == 0 || x.Status == d.asHTTP.Status)
}

// complete reports whether a span says all of d.
func (d deed) complete(s span) bool {
	if d.asCall != (call{}) {
		return s.isCall() && spans{s}.calls()[0] == d.asCall
	}
	return spans{s}.exchanges()[0] == d.asHTTP
}

func TestTheCollectorIsRestartedUnderLiveStreams(t *testing.T) {
	// Every request brings a large field that was not there before, so that soon
	// nothing of what the second collector has missed is in the tables of net/http
	// and grpc-go any more. Those of the C core keep what they have.
	const early, n, forgotten = 200, 1600, 300
	needCapture(t)
	first := startCollector(t, setup{})
	nginx, load := startNginx(t, nginxSetup{Sendfile: true, HTTP2: true}, 0), startHTTP2Load(t, 2, 4)
	goShop, goShopper := startGoShop(t), startGoShopper(t)
	cShop, cShopper := startPythonShop(t), startPythonShopper(t)

	var requests []request
	var errands []errand
	for i := range early + n {
		header := map[string]string{fmt.Sprint("x-", i): strings.Repeat("x", 200)}
		r := []request{
			{Method: "GET", URI: fmt.Sprintf("/file/%d", i)},
			{Method: "GET", URI: fmt.Sprintf("/missing/%d", i%3)},
			{Method: "POST", URI: fmt.Sprintf("/text/%d", i%5)},
			{Method: "DELETE", URI: "/empty/always"},
		}[i%4]
		r.Header = header
		requests = append(requests, r)
		e := []errand{{Method: "shop.Cart/Add"}, {Method: "shop.Till/Add", Code: 5}, {Method: "shop.Cart/Watch", Messages: 2}}[i%3]
		e.Metadata = header
		errands = append(errands, e)
	}
	begin := func(from, to int) {
		const pause = 12 * time.Millisecond
		load.begin(t, plan{URL: nginx.url(), Requests: requests[from:to], Pause: pause})
		goShopper.begin(t, list{Address: goShop.address(), Errands: errands[from:to], Hands: 8, Pause: pause.Seconds()})
		cShopper.begin(t, list{Address: cShop.address(), Errands: errands[from:to], Hands: 2, Pause: pause.Seconds() / 4})
	}
	begin(0, early)
	load.report(t)
	goShopper.report(t)
	cShopper.report(t)
	first.finish(t)
	for _, port := range []int{nginx.port, goShop.port, cShop.port} {
		if served, asked := len(first.served(port)), len(first.asked(port)); served != early || asked != early {
			t.Errorf("first collector: %d server and %d client spans, want %d", served, asked, early)
		}
	}

	begin(early, early+n)
	second := startCollector(t, setup{})
	ready := time.Now()
	deeds := map[string][]deed{}
	for i, o := range load.report(t) {
		deeds["nginx"] = append(deeds["nginx"], deed{began: o.Began, asHTTP: exchange{o.Method, requests[early+i].URI, o.Status}})
	}
	for name, s := range map[string]*shopper{"Go": goShopper, "C": cShopper} {
		for i, r := range s.report(t) {
			e := errands[early+i]
			deeds[name] = append(deeds[name], deed{
				began:  time.Unix(0, int64(r.Began*1e9)),
				asHTTP: exchange{"POST", "/" + e.Method, 200},
				asCall: call{e.Method, e.wantCode()},
			})
		}
	}
	family := nginx.family()
	second.finish(t)

	for _, side := range []struct {
		deeds   string
		kind    ptrace.SpanKind
		pids    []int
		forgets bool
	}{
		{"nginx", server, family, true}, {"nginx", client, []int{load.pid()}, true},
		{"Go", server, []int{goShop.pid()}, true}, {"Go", client, []int{goShopper.pid()}, true},
		{"C", server, []int{cShop.pid()}, false}, {"C", client, []int{cShopper.pid()}, false},
	} {
		t.Run(fmt.Sprint(side.deeds, " ", side.kind), func(t *testing.T) {
			deeds := deeds[side.deeds]
			slices.SortFunc(deeds, func(a, b deed) int { return a.began.Compare(b.began) })
			late := slices.IndexFunc(deeds, func(d deed) bool { return d.began.After(ready) })
			if late < 1 || len(deeds)-late < 2*forgotten {
				t.Fatalf("%d of %d came after the collector was ready: that tests nothing", len(deeds)-late, len(deeds))
			}
			ss := spans(second.traces.items).of(side.pids...)
			if len(ss) < len(deeds)-late || len(ss) > len(deeds) {
				t.Errorf("%d spans, want from %d to %d", len(ss), len(deeds)-late, len(deeds))
			}
			var wrong, unclear findings
			complete := make(map[exchange]int)
			for _, s := range ss {
				if s.Kind() != side.kind || s.Kind() == client && !s.ParentSpanID().IsEmpty() || !slices.ContainsFunc(deeds, func(d deed) bool { return d.fits(s) }) {
					wrong.addf("%s: %v", s.what(), s.Attributes().AsRaw())
				}
				i := slices.IndexFunc(deeds, func(d deed) bool { return d.complete(s) })
				if i >= 0 {
					complete[deeds[i].asHTTP]++
				} else if side.forgets && s.StartTimestamp().AsTime().After(deeds[late+forgotten].began) {
					unclear.addf("%s: %v", s.what(), s.Attributes().AsRaw())
				}
			}
			wrong.report(t, "spans of what did not happen")
			unclear.report(t, "spans that are not complete although they could be")

			// Each as often as it was made: not one in place of another.
			var missing, invented findings
			most, least := make(map[exchange]int), make(map[exchange]int)
			for i, d := range deeds {
				if most[d.asHTTP]++; i > late+forgotten+16 {
					least[d.asHTTP]++
				}
			}
			for x := range most {
				if side.forgets && complete[x] < least[x] {
					missing.addf("%s: %d spans, want %d or more", x, complete[x], least[x])
				}
				if complete[x] > most[x] {
					invented.addf("%s: %d spans, want %d or less", x, complete[x], most[x])
				}
			}
			missing.report(t, "spans that are missing")
			invented.report(t, "spans that are too many")
			t.Logf("%d of %d spans are complete, %d came after the collector was ready", sum(complete), len(ss), len(deeds)-late)
		})
	}
}

func sum[K comparable](m map[K]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

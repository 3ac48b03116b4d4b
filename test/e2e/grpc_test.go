package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// calls returns what a shop's answers to errands are.
func calls(es []errand) []call {
	var cs []call
	for _, e := range es {
		cs = append(cs, call{e.Method, e.wantCode()})
	}
	return cs
}

func TestGRPC(t *testing.T) {
	collector := startCollector(t, setup{})
	type run struct {
		name          string
		shop          *site
		shopper       *shopper
		hands         int
		list          list
		receipts      []receipt
		seller, buyer string // executables
	}
	var runs []run
	for _, r := range []run{
		{name: "Go to Go", shop: startGoShop(t), shopper: startGoShopper(t), hands: 8},
		{name: "Go to C", shop: startPythonShop(t), shopper: startGoShopper(t), hands: 8},
		// The C core writes fields of headers as segments of their own: of so many
		// calls, several hundred at once.
		{name: "C to Go", shop: startGoShop(t), shopper: startPythonShopper(t), hands: 16},
		{name: "C to C", shop: startPythonShop(t), shopper: startPythonShopper(t), hands: 16},
	} {
		r.list = list{Address: r.shop.address(), Errands: errands(290), Hands: r.hands, Pause: 0.004}
		r.receipts = r.shopper.run(t, r.list)
		r.seller, r.buyer = executable(t, r.shop.pid()), executable(t, r.shopper.pid())
		runs = append(runs, r)
	}
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)

	for _, r := range runs {
		t.Run(r.name, func(t *testing.T) {
			served, asked := collector.served(r.shop.port), collector.asked(r.shop.port)
			both := append(served, asked...)
			want := calls(r.list.Errands)
			checkSame(t, "server spans", served.calls(), want)
			checkSame(t, "client spans", asked.calls(), want)
			checkSpans(t, both)
			checkRecords(t, both, collector.logs.items)
			checkEveryRecord(t, collector, r.shop.port, 2*len(want))
			checkResource(t, served, []int{r.shop.pid()}, r.seller, r.shop.service)
			checkResource(t, asked, []int{r.shopper.pid()}, r.buyer, r.shopper.service)
			checkDurations(t, both, r.list.Errands, r.receipts)
		})
	}
}

// What several calls say is one write, in which frames of them all follow each
// other, and one read: the C core's have up to 1 MB.
func TestLongMessages(t *testing.T) {
	collector := startCollector(t, roomy)
	var es []errand
	for i := range 200 {
		es = append(es, [...]errand{
			{Method: "shop.Cart/Add", Size: 100_000},
			{Method: "shop.Cart/Add"},
			{Method: "shop.Cart/Watch", Messages: 5, Size: 100_000},
			{Method: "shop.Cart/Upload", Messages: 5, Size: 100_000},
			{Method: "shop.Cart/Talk", Messages: 5, Size: 100_000},
			{Method: "shop.Cart/Add", Code: 5},
		}[i%6])
	}
	shops := []*site{startGoShop(t), startPythonShop(t)}
	for _, shop := range shops {
		for _, shopper := range []*shopper{startGoShopper(t), startPythonShopper(t)} {
			shopper.run(t, list{Address: shop.address(), Errands: es, Hands: 8, Pause: 0.004})
		}
	}
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)
	for _, shop := range shops {
		want := slices.Repeat(calls(es), 2)
		checkSame(t, "server spans", collector.served(shop.port).calls(), want)
		checkSame(t, "client spans", collector.asked(shop.port).calls(), want)
	}
}

// checkDurations checks the trace and the duration of the spans of errands:
// they last as long as messages go to and fro, and no longer than who asked
// has waited.
func checkDurations(t testing.TB, ss spans, es []errand, receipts []receipt) {
	t.Helper()
	var wrong findings
	parents := ss.requestParents(t)
	for _, s := range ss {
		var i int
		if _, err := fmt.Sscanf(s.TraceID().String(), "%x", &i); err != nil || i < 1 || i > len(es) || parents[s.SpanID()].String() != fmt.Sprintf("%016x", i) {
			wrong.addf("%s: trace %s, parent %s", s.what(), s.TraceID(), parents[s.SpanID()])
			continue
		}
		e, r := es[i-1], receipts[i-1]
		if (call{e.Method, e.wantCode()}) != (spans{s}).calls()[0] {
			wrong.addf("%s: in the trace of %s %s", s.what(), e.Method, e.wantCode())
		}
		least := time.Duration(max(1, e.Messages)*e.Wait) * time.Millisecond
		if s.Kind() == server && streams[e.Method].ClientStreams {
			least /= 2 // it may have been late for the first message
		}
		most := time.Duration((r.Ended - r.Began) * float64(time.Second))
		if d := s.EndTimestamp().AsTime().Sub(s.StartTimestamp().AsTime()); d < least-inexact || d > most+inexact {
			wrong.addf("%s: %s, want from %s to %s", s.what(), d, least, most)
		}
	}
	wrong.report(t, "wrong times and traces")
}

func TestDeadlines(t *testing.T) {
	const n, deadline = 20, 40 // milliseconds
	collector := startCollector(t, setup{})
	shop, shopper := startGoShop(t), startGoShopper(t)
	l := list{Address: shop.address(), Hands: 4}
	for range n {
		l.Errands = append(l.Errands, errand{Method: "shop.Cart/Add"},
			errand{Method: "shop.Cart/Add", Wait: 10_000, Deadline: deadline},
			errand{Method: "shop.Cart/Talk", Messages: 5, Wait: 10_000, Deadline: deadline})
	}
	shopper.run(t, l)
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)

	for _, ss := range []spans{collector.served(shop.port), collector.asked(shop.port)} {
		var wrong findings
		kept, missed := 0, 0
		for _, s := range ss {
			took := s.EndTimestamp().AsTime().Sub(s.StartTimestamp().AsTime())
			code, failure := text(s.Attributes(), "rpc.response.status_code"), text(s.Attributes(), "error.type")
			switch {
			case code == "OK":
				kept++
				continue
			// Whichever is faster: the client, which resets the stream, or the
			// server, which has been told of the deadline.
			case code == "DEADLINE_EXCEEDED" && failure == code:
			case code == "" && failure == "CANCEL":
			default:
				wrong.addf("%s: error.type %q", s.what(), failure)
			}
			missed++
			if s.Status().Code() != ptrace.StatusCodeError {
				wrong.addf("%s: status %s", s.what(), s.Status().Code())
			}
			// Its clock runs before the first byte is sent.
			if least := deadline * time.Millisecond / 2; took < least {
				wrong.addf("%s: %s, want at least %s", s.what(), took, least)
			}
		}
		wrong.report(t, "calls that are too late")
		if kept != n || missed != 2*n {
			t.Errorf("%d calls in time and %d too late, want %d and %d", kept, missed, n, 2*n)
		}
		checkRecords(t, ss.where(func(s span) bool { return text(s.Attributes(), "rpc.response.status_code") != "" }), collector.logs.items)
	}
}

func TestATokenThatFillsTheTableOfFields(t *testing.T) {
	const n, trace = 300, "0af7651916cd43dd8448eb211c80319c"
	token := strings.Repeat("0123456789abcdefghijklmnopqrst", 600/30)
	header := map[string]string{"authorization": "Bearer " + token, "traceparent": "00-" + trace + "-b7ad6b7169203331-01"}
	collector := startCollector(t, setup{})
	shop, shopper := startGoShop(t), startGoShopper(t)
	site, load := startGo(t, "127.0.0.1", freePort(t)), startHTTP2Load(t, 1, 1)
	l := list{Address: shop.address(), Hands: 2, Pause: pace.Seconds()}
	var requests []request
	for i := range n {
		method, verb := "shop.Cart/Add", "GET"
		if i%2 == 1 {
			method, verb = "shop.Till/Add", "DELETE"
		}
		l.Errands = append(l.Errands, errand{Method: method, Metadata: header})
		requests = append(requests, request{Method: verb, URI: "/answer/200/10/" + strings.ToLower(verb), Header: header})
	}
	shopper.run(t, l)
	seen := load.run(t, site.url(), requests)
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)

	checkBoth(t, collector, site, "2", seen)
	served, asked := collector.served(shop.port), collector.asked(shop.port)
	checkSame(t, "server spans", served.calls(), calls(l.Errands))
	checkSame(t, "client spans", asked.calls(), calls(l.Errands))
	both := append(served, asked...)
	checkSpans(t, both)
	checkRecords(t, both, collector.logs.items)
	var astray findings
	for _, s := range append(append(both, collector.served(site.port)...), collector.asked(site.port)...) {
		if s.TraceID().String() != trace {
			astray.addf("%s: trace %s", s.what(), s.TraceID())
		}
	}
	astray.report(t, "spans in another trace")
	for _, path := range []string{collector.traces.path, collector.logs.path, collector.output} {
		written, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(written), token[:30]) || strings.Contains(strings.ToLower(string(written)), "bearer") {
			t.Errorf("the token is in %s", path)
		}
	}
}

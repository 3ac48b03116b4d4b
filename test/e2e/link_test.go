package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// checkLinked checks that each of n exchanges is one trace of two spans, the
// client's the parent of the server's.
func checkLinked(t *testing.T, served, asked spans, n int) {
	t.Helper()
	if len(served) != n || len(asked) != n {
		t.Fatalf("%d spans of the server and %d of its clients, want %d of each", len(served), len(asked), n)
	}
	parents := make(map[pcommon.SpanID]span)
	traces := make(map[pcommon.TraceID]bool)
	for _, s := range asked {
		parents[s.SpanID()] = s
		traces[s.TraceID()] = true
	}
	if len(parents) != n || len(traces) != n {
		t.Errorf("%d span ids and %d trace ids of %d clients' spans", len(parents), len(traces), n)
	}
	var flaws findings
	for _, s := range served {
		parent, ok := parents[s.ParentSpanID()]
		switch {
		case !ok:
			flaws.addf("%s: parent %q is no client's span", s.uri(), s.ParentSpanID())
		case parent.TraceID() != s.TraceID() || parent.uri() != s.uri() || !parent.ParentSpanID().IsEmpty():
			flaws.addf("%s in trace %s: its parent is %s in trace %s", s.uri(), s.TraceID(), parent.uri(), parent.TraceID())
		case s.Flags() != 0x301 || parent.Flags() != 1:
			flaws.addf("%s: flags %#x, its parent's %#x", s.uri(), s.Flags(), parent.Flags())
		}
		delete(parents, s.ParentSpanID())
	}
	flaws.report(t, "flaws of links")
}

func TestBothEndsOfAnExchangeAreOneTrace(t *testing.T) {
	for _, shards := range []int{1, 4} {
		t.Run(fmt.Sprintf("shards=%d", shards), func(t *testing.T) { testBothEnds(t, shards) })
	}
}

func testBothEnds(t *testing.T, shards int) {
	collector := startCollector(t, setup{Shards: shards})
	site := startGo(t, "127.0.0.1", freePort(t))
	six := startGo(t, "::1", freePort(t))
	url := func(s string, i int) string { return fmt.Sprintf("%s/answer/200/10/%d", s, i) }
	curl(t, url(site.url(), 0), url(site.url(), 1), url(six.url(), 2)) // the first two on one connection
	var uris []string
	for i := range 20 {
		uris = append(uris, url("", 3+i))
	}
	h2load(t, site, 2, 5, uris[:10]) // HTTP/2
	h2load(t, site, 2, 1, uris[10:], "--h1")
	collector.finish(t)
	checkLinked(t, collector.served(site.port), collector.asked(site.port), 2+40)
	checkLinked(t, collector.served(six.port), collector.asked(six.port), 1)
}

func TestTheEndsAreLinkedThroughTranslatedAddresses(t *testing.T) {
	n := newNetwork(t)
	collector := startCollector(t, setup{Shards: 4}) // the ends of a connection must be in one nevertheless
	const port = 8080
	server := start(t, within(n.server, self(t, "server", fmt.Sprint(serverAddress, ":", port))))
	ask := func(host string) {
		cmd := within(n.client, exec.Command(program(t, "curl"), "--silent", "--show-error", "--max-time", "15",
			"--retry", "20", "--retry-connrefused", "--retry-delay", "1", fmt.Sprintf("http://%s:%d/answer/200/0/%s", host, port, host)))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("ask %s: %v: %s\nserver: %s", host, err, out, server.tail(t))
		}
	}
	const rounds = 8 // connections: if the ends were in any shards, some were apart
	for range rounds {
		ask(serverAddress)
		ask(serviceAddress)
	}
	collector.finish(t)
	about := func(kind string) spans {
		return spans(collector.traces.items).where(func(s span) bool {
			peer := text(s.Attributes(), "network.peer.address")
			return s.Kind().String() == kind && (peer == clientAddress || peer == serverAddress || peer == serviceAddress)
		})
	}
	checkLinked(t, about("Server"), about("Client"), 2*rounds)
}

func TestServiceGraphsShowWhoCallsWhom(t *testing.T) {
	dir := tempDir(t)
	collector := startCollector(t, setup{Graph: filepath.Join(dir, "graph.json")})
	site := startPython(t)
	curl(t, site.url()+"/answer/200/0/")
	collector.settle(t)
	want := [2]string{"curl", site.service}
	collector.await(t, fmt.Sprint("edge ", want), func() error {
		edges := readEdges(t, filepath.Join(dir, "graph.json"))
		if edges[want] == 0 {
			return fmt.Errorf("edges are %v", edges)
		}
		return nil
	})
	collector.end(t)
	for edge := range readEdges(t, filepath.Join(dir, "graph.json")) {
		if edge != want && (edge[0] == "curl" || edge[1] == site.service) {
			t.Errorf("edge %v besides %v", edge, want)
		}
	}
}

// readEdges returns how many requests went from one service to another.
func readEdges(t *testing.T, path string) map[[2]string]int64 {
	t.Helper()
	edges := make(map[[2]string]int64)
	data, err := os.ReadFile(path)
	if err != nil {
		return edges // the exporter has not started
	}
	for line := range bytes.Lines(data) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		md, err := new(pmetric.JSONUnmarshaler).UnmarshalMetrics(line)
		if err != nil {
			t.Fatal(err)
		}
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					if m.Name() != "traces_service_graph_request_total" {
						continue
					}
					for _, p := range m.Sum().DataPoints().All() {
						edges[[2]string{text(p.Attributes(), "client"), text(p.Attributes(), "server")}] = p.IntValue()
					}
				}
			}
		}
	}
	return edges
}

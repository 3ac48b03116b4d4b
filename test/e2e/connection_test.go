package e2e

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

func TestConnectionsOpenedBeforeTheCollectorStartedAreSeen(t *testing.T) {
	const clients, before, after = 16, 160, 1600
	needCapture(t)
	nginx := startNginx(t, nginxSetup{Sendfile: true}, before+after)
	load := startLoad(t, clients)
	requests := pages(before + after)
	load.run(t, nginx.url(), requests[:before])

	collector := startCollector(t, setup{})
	load.run(t, nginx.url(), requests[before:])
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)

	log := nginx.accessLog(t)
	if n := connections(log); n != clients {
		t.Fatalf("the requests came over %d connections, want %d", n, clients)
	}
	served, asked := collector.served(nginx.port), collector.asked(nginx.port)
	checkSame(t, "server spans and access log", served.exchanges(), logged(log[before:]))
	checkSame(t, "client spans and access log", asked.exchanges(), logged(log[before:]))
	checkSpans(t, append(served, asked...))
	checkRecords(t, append(served, asked...), collector.logs.items)
}

func TestTheCollectorIsRestartedUnderLiveConnections(t *testing.T) {
	const clients = 8
	needCapture(t)
	nginx := startNginx(t, nginxSetup{Sendfile: true}, 0)
	load := startLoad(t, clients)
	requests := func(name string, n int) (requests []request) {
		for i := range n {
			requests = append(requests, request{Method: "GET", URI: fmt.Sprintf("/file/%s/%d", name, i)})
		}
		return requests
	}

	first := startCollector(t, setup{})
	seen := load.run(t, nginx.url(), requests("first", 200))
	first.finish(t)
	checkSame(t, "server spans of the first collector", first.served(nginx.port).exchanges(), seen)

	// The second joins while requests are under way: what began before it was
	// there it may have missed, but must not have got wrong.
	const n = 4000
	load.begin(t, plan{URL: nginx.url(), Requests: requests("second", n), Pause: 2 * time.Millisecond})
	second := startCollector(t, setup{})
	ready := time.Now()
	outcomes := load.report(t)
	second.finish(t)

	if log := nginx.accessLog(t); connections(log) != clients {
		t.Errorf("the requests came over %d connections, want %d", connections(log), clients)
	}
	late := 0
	for _, role := range []struct {
		name string
		ss   spans
	}{{"server", second.served(nginx.port)}, {"client", second.asked(nginx.port)}} {
		have := make(map[exchange]int)
		for _, x := range role.ss.exchanges() {
			have[x]++
		}
		var wrong, missing findings
		for _, o := range outcomes {
			if o.Began.After(ready) && have[o.exchange] != 1 {
				missing.addf("%s, %s after the collector was ready: %d spans", o.exchange, o.Began.Sub(ready), have[o.exchange])
			}
			if o.Began.After(ready) {
				late++
			}
			delete(have, o.exchange)
		}
		for x, n := range have {
			wrong.addf("%s: %d spans", x, n)
		}
		missing.report(t, role.name+" spans that are missing")
		wrong.report(t, role.name+" spans of what did not happen")
		checkRecords(t, role.ss, second.logs.items)
	}
	if early := 2*len(outcomes) - late; late == 0 || early == 0 {
		t.Errorf("%d requests were made before the collector was ready and %d after: that tests nothing", early/2, late/2)
	}
}

func TestEncryptedConnectionsLeaveNoTrace(t *testing.T) {
	collector := startCollector(t, setup{})
	port := freePort(t)
	ask := func(scheme, name string) {
		for i := range 5 {
			curl(t, "--insecure", fmt.Sprintf("%s://127.0.0.1:%d/answer/200/700/%s%d", scheme, port, name, i))
		}
	}
	var want []exchange
	said := func(name string) {
		for i := range 5 {
			want = append(want, exchange{"GET", fmt.Sprintf("/answer/200/700/%s%d", name, i), 200})
		}
	}

	plain := startGo(t, "127.0.0.1", port)
	ask("http", "before")
	said("before")
	plain.stop(t)
	encrypted := startGo(t, "127.0.0.1", port, "tls")
	ask("https", "secret")
	encrypted.stop(t)
	startGo(t, "127.0.0.1", port)
	ask("http", "after")
	said("after")

	collector.settle(t)
	collector.checkLossless(t)
	if n := counted(collector.scrape(t), "receiver_perisco_ignored_connections", `reason="encrypted"`); n < 10 {
		t.Errorf("%v connections were ignored because they are encrypted, want both ends of 5", n)
	}
	collector.end(t)
	checkSame(t, "server spans", collector.served(port).exchanges(), want)
	checkSame(t, "client spans", collector.asked(port).exchanges(), want)
	if ss := spans(collector.traces.items).of(encrypted.pid()); len(ss) > 0 {
		t.Errorf("%d spans of the encrypted server, such as %s %s", len(ss), ss[0].Name(), ss[0].uri())
	}
}

func TestRequestsThatDoNotWaitAndRequestsInPieces(t *testing.T) {
	collector := startCollector(t, setup{})
	nginx := startNginx(t, nginxSetup{Sendfile: true}, 0)
	conn, err := net.Dial("tcp", nginx.address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	var all strings.Builder
	for i := range 20 {
		fmt.Fprintf(&all, "GET /file/%d HTTP/1.1\r\nHost: %s\r\n\r\n", i, nginx.address())
		fmt.Fprintf(&all, "HEAD /file/%d HTTP/1.1\r\nHost: %s\r\n\r\n", i, nginx.address())
		fmt.Fprintf(&all, "PUT /file/%d HTTP/1.1\r\nHost: %s\r\nContent-Length: 3\r\n\r\nabc", i, nginx.address())
	}
	fmt.Fprintf(&all, "GET /empty/ HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", nginx.address())
	const chunk = 1000 // bytes: heads are cut anywhere
	for rest := all.String(); rest != ""; {
		n := min(chunk, len(rest))
		if _, err := io.WriteString(conn, rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Fatal(err)
	}
	conn.Close() // which nginx waits for before it logs the last
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)

	log := logged(nginx.accessLog(t))
	if len(log) != 61 {
		t.Fatalf("nginx has logged %d requests, want 61: %v", len(log), log)
	}
	checkSame(t, "server spans and access log", collector.served(nginx.port).exchanges(), log)
	checkSame(t, "client spans and access log", collector.asked(nginx.port).exchanges(), log)
	checkSpans(t, append(collector.served(nginx.port), collector.asked(nginx.port)...))
}

func TestARequestWithoutAnswerIsAnError(t *testing.T) {
	collector := startCollector(t, setup{})
	site := startGo(t, "127.0.0.1", freePort(t))
	conn, err := net.Dial("tcp", site.address())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET /silence HTTP/1.1\r\nHost: %s\r\n\r\n", site.address())
	eventually(t, "request that is open", func() bool {
		return counted(collector.scrape(t), "receiver_perisco_open_exchanges") >= 2
	})
	conn.Close()
	collector.finish(t)

	for _, ss := range []spans{collector.served(site.port), collector.asked(site.port)} {
		checkSame(t, "spans", ss.exchanges(), []exchange{{"GET", "/silence", 0}})
		for _, s := range ss {
			cause := text(s.Attributes(), "error.type")
			if s.Status().Code() != ptrace.StatusCodeError || cause != "connection_closed" && cause != "connection_reset" {
				t.Errorf("%s: status %s, error.type %q", s.Kind(), s.Status().Code(), cause)
			}
		}
	}
}

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestClientsThatLiveForMilliseconds(t *testing.T) {
	const n = 200
	collector := startCollector(t, setup{})
	site := startGo(t, "127.0.0.1", freePort(t))
	var want []exchange
	pids := make(map[string]int)
	for i := range n {
		uri := fmt.Sprintf("/answer/200/10/%d", i)
		pids[uri], _ = curl(t, site.url()+uri)
		want = append(want, exchange{"GET", uri, 200})
	}
	collector.settle(t)
	collector.checkLossless(t)
	unidentified := collector.since(t, "receiver_perisco_unidentified_processes")
	collector.end(t)

	asked := collector.asked(site.port)
	checkSame(t, "client spans", asked.exchanges(), want)
	checkSpans(t, asked)
	checkRecords(t, asked, collector.logs.items)
	var flaws findings
	exe, gone := program(t, "curl"), 0
	for _, s := range asked {
		switch path := text(s.resource, "process.executable.path"); path {
		case "":
			gone++ // before it was looked at
		case exe:
		default:
			flaws.addf("%s: process.executable.path is %q", s.uri(), path)
		}
		if name := text(s.resource, "process.executable.name"); name != "curl" {
			flaws.addf("%s: process.executable.name is %q", s.uri(), name)
		}
		if s.service() != "curl" {
			flaws.addf("%s: service.name is %q", s.uri(), s.service())
		}
		if s.pid() != pids[s.uri()] {
			flaws.addf("%s: process.pid is %d, want %d", s.uri(), s.pid(), pids[s.uri()])
		}
	}
	flaws.report(t, "flaws of resources")
	if gone > unidentified {
		t.Errorf("%d clients are known by their short name alone, but %d counted", gone, unidentified)
	}
	t.Logf("%d of %d clients were gone before they were looked at", gone, n)
}

func TestWrk(t *testing.T) {
	const clients = 8
	collector := startCollector(t, setup{})
	nginx := startNginx(t, nginxSetup{Sendfile: true}, 0)
	cmd, answers := wrk(t, "-t2", fmt.Sprint("-c", clients), "-d1s", "-s", "testdata/paced.lua", nginx.url())
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)

	answered := func(s span) bool { return number(s.Attributes(), "http.response.status_code") != 0 }
	served, asked := collector.served(nginx.port).where(answered), collector.asked(nginx.port).where(answered)
	// wrk hangs up in the middle of what it is doing, on every connection.
	about := func(got, want int) bool { return want-clients <= got && got <= want+clients }
	if log := nginx.accessLog(t); !about(len(served), len(log)) || !about(len(asked), answers) || answers == 0 {
		t.Errorf("%d server spans of %d requests logged, and %d client spans of %d answers", len(served), len(log), len(asked), answers)
	}
	checkSpans(t, append(served, asked...))
	checkResource(t, asked, []int{cmd.Process.Pid}, program(t, "wrk"), "wrk")
}

func TestTheTraceOfTheRequestIsContinued(t *testing.T) {
	const trace, parent, state = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"
	collector := startCollector(t, setup{})
	site := startGo(t, "127.0.0.1", freePort(t))
	curl(t, "-H", fmt.Sprintf("traceparent: 00-%s-%s-01", trace, parent), "-H", "tracestate: "+state, site.url()+"/answer/200/0/traced")
	curl(t, "-H", "traceparent: 00-"+strings.Repeat("0", 32)+"-"+parent+"-01", site.url()+"/answer/200/0/invalid")
	curl(t, site.url()+"/answer/200/0/none")
	collector.finish(t)

	both := append(collector.served(site.port), collector.asked(site.port)...)
	if len(both) != 6 {
		t.Fatalf("%d spans, want 6", len(both))
	}
	checkSpans(t, both)
	checkRecords(t, both, collector.logs.items)
	parents := both.requestParents(t)
	for _, s := range both {
		what := fmt.Sprint(s.Kind(), " ", s.uri())
		if !strings.HasSuffix(s.uri(), "/traced") {
			if s.TraceID().String() == trace || !parents[s.SpanID()].IsEmpty() || s.TraceState().AsRaw() != "" {
				t.Errorf("%s: trace %s, parent %q, state %q: want a new trace", what, s.TraceID(), parents[s.SpanID()], s.TraceState().AsRaw())
			}
			continue
		}
		if s.TraceID().String() != trace || parents[s.SpanID()].String() != parent {
			t.Errorf("%s: trace %s, parent %s, want %s and %s", what, s.TraceID(), parents[s.SpanID()], trace, parent)
		}
		if s.TraceState().AsRaw() != state || s.Flags()&1 != 1 {
			t.Errorf("%s: state %q, flags %#x", what, s.TraceState().AsRaw(), s.Flags())
		}
	}
}

func TestAProcessMayNameItself(t *testing.T) {
	collector := startCollector(t, setup{})
	port := freePort(t)
	cmd := self(t, "server", loopback(port))
	cmd.Env = append(cmd.Env, "OTEL_SERVICE_NAME=till")
	site := startSite(t, site{host: "127.0.0.1", port: port}, cmd)
	curl(t, site.url()+"/answer/200/0/")
	collector.finish(t)

	var names []string
	for _, s := range collector.served(port) {
		names = append(names, s.service())
	}
	if !slices.Equal(names, []string{"till"}) {
		t.Errorf("service.name is %q, want till", names)
	}
}

func TestOldAndOddClients(t *testing.T) {
	collector := startCollector(t, setup{})
	site := startGo(t, "127.0.0.1", freePort(t))
	curl(t, "--http1.0", "--user-agent", "an old one", site.url()+"/answer/200/700/old")
	curl(t, "--request", "BREW", "--user-agent", "an odd one", site.url()+"/answer/418/0/odd")
	curl(t, "--user", "me:secret", site.url()+"/answer/200/0/credentials?token=x&X-Amz-Signature=secret")
	// One connection for several, among them one that asks before it sends.
	curl(t, "--header", "Expect: 100-continue", "--data", strings.Repeat("x", 3000), site.url()+"/answer/201/9/expects", site.url()+"/answer/202/9/again")
	collector.finish(t)

	const redacted = "/answer/200/0/credentials?token=REDACTED&X-Amz-Signature=REDACTED"
	want := []exchange{
		{"GET", "/answer/200/700/old", 200},
		{"BREW", "/answer/418/0/odd", 418},
		{"GET", redacted, 200},
		{"POST", "/answer/201/9/expects", 201},
		{"POST", "/answer/202/9/again", 202},
	}
	for _, ss := range []spans{collector.served(site.port), collector.asked(site.port)} {
		checkSame(t, "spans", ss.exchanges(), want)
		checkSpans(t, ss)
		checkRecords(t, ss, collector.logs.items)
		for _, s := range ss {
			version, agent := text(s.Attributes(), "network.protocol.version"), text(s.Attributes(), "user_agent.original")
			switch {
			case strings.HasSuffix(s.uri(), "/old") && (version != "1.0" || s.Kind() == server && agent != "an old one"):
				t.Errorf("%s: HTTP/%s of %q", s.uri(), version, agent)
			case strings.HasSuffix(s.uri(), "/odd") && (version != "1.1" || s.Kind() == server && agent != "an odd one"):
				t.Errorf("%s: HTTP/%s of %q", s.uri(), version, agent)
			}
			if raw := fmt.Sprint(s.Attributes().AsRaw()); strings.Contains(raw, "secret") || strings.Contains(raw, "bWU6c2VjcmV0") {
				t.Errorf("a secret is in %s", raw)
			}
		}
	}
}

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// checkBoth checks that both sides have told of some exchanges, exactly, of a
// version of HTTP and with log records.
func checkBoth(t *testing.T, c *collector, s *site, version string, want []exchange) {
	t.Helper()
	served, asked := c.served(s.port), c.asked(s.port)
	checkSame(t, "server spans", served.exchanges(), want)
	checkSame(t, "client spans", asked.exchanges(), want)
	both := append(served, asked...)
	checkSpans(t, both)
	checkRecords(t, both, c.logs.items)
	checkEveryRecord(t, c, s.port, 2*len(want))
	var others findings
	for _, s := range both {
		if v := text(s.Attributes(), "network.protocol.version"); v != version {
			others.addf("%s: HTTP/%s", s.what(), v)
		}
	}
	others.report(t, "spans of another version than HTTP/"+version)
}

// roomy is for what is said at once, since nothing slows it down.
var roomy = setup{Options: "{capture: {ring_buffer_size: 67108864}}"}

func TestManyStreamsOverManyConnections(t *testing.T) {
	collector := startCollector(t, roomy)
	type run struct {
		page, requests, connections, streams int

		*site
		server, client string // executables
		pid            int    // of the client
		once           []exchange
		began, ended   time.Time
	}
	runs := []*run{
		{page: 13, requests: 2400, connections: 1, streams: 1},
		{page: 13, requests: 2400, connections: 1, streams: 2},
		{page: 13, requests: 2400, connections: 1, streams: 10},
		{page: 13, requests: 2400, connections: 1, streams: 100},
		{page: 13, requests: 2400, connections: 8, streams: 1},
		{page: 13, requests: 2400, connections: 8, streams: 2},
		{page: 13, requests: 2400, connections: 8, streams: 10},
		{page: 13, requests: 2400, connections: 8, streams: 100},
		{page: 2000, requests: 2400, connections: 1, streams: 100},
		{page: 2000, requests: 2400, connections: 8, streams: 100},
		{page: 200_000, requests: 240, connections: 1, streams: 100},
		{page: 200_000, requests: 240, connections: 8, streams: 100},
	}
	for _, r := range runs {
		r.site = startNghttpd(t, r.page)
		r.server, r.client = executable(t, r.site.pid()), program(t, "h2load")
		var uris []string
		uris, r.once = pagesOf("n", r.requests/r.connections)
		r.began = time.Now()
		r.pid = h2load(t, r.site, r.connections, r.streams, uris)
		r.ended = time.Now()
		collector.settle(t)
	}
	collector.checkLossless(t)
	unidentified := collector.since(t, "receiver_perisco_unidentified_processes")
	collector.end(t)
	for _, r := range runs {
		// A client of some milliseconds may be over before it was looked at.
		asked := collector.asked(r.port)
		if len(asked) > 0 && text(asked[0].resource, "process.executable.path") == "" && unidentified > 0 {
			unidentified--
			r.client = ""
		}
		t.Run(fmt.Sprintf("%d connections of %d streams, answers of %d bytes", r.connections, r.streams, r.page), func(t *testing.T) {
			checkBoth(t, collector, r.site, "2", slices.Repeat(r.once, r.connections))
			checkResource(t, collector.served(r.port), []int{r.site.pid()}, r.server, "nghttpd")
			checkResource(t, asked, []int{r.pid}, r.client, "h2load")
			checkTimes(t, asked, nil, r.began, r.ended)
		})
	}
}

func TestATraceThatIsInTheTableOfFieldsIsContinued(t *testing.T) {
	const trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	collector, nghttpd := startCollector(t, setup{}), startNghttpd(t, 13)
	uris, want := pagesOf("traced", 300)
	h2load(t, nghttpd, 1, 10, uris, "-H", "traceparent: 00-"+trace+"-"+parent+"-01", "-H", "tracestate: congo=t61rcWkgMzE")
	others, more := pagesOf("other", 30)
	h2load(t, nghttpd, 1, 10, others)
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)

	checkBoth(t, collector, nghttpd, "2", append(want, more...))
	var wrong findings
	both := append(collector.served(nghttpd.port), collector.asked(nghttpd.port)...)
	parents := both.requestParents(t)
	for _, s := range both {
		got := fmt.Sprint(s.TraceID(), " ", parents[s.SpanID()], " ", s.TraceState().AsRaw(), " ", s.Flags()&1)
		traced := strings.Contains(s.uri(), "traced")
		if traced != (got == trace+" "+parent+" congo=t61rcWkgMzE 1") || !traced && (s.TraceID().String() == trace || !parents[s.SpanID()].IsEmpty()) {
			wrong.addf("%s: %s", s.what(), got)
		}
	}
	wrong.report(t, "spans in another trace")
}

func TestNginxOverHTTP2(t *testing.T) {
	for _, sendfile := range []bool{true, false} {
		t.Run(fmt.Sprint("sendfile ", sendfile), func(t *testing.T) {
			const clients, streams, n = 4, 4, 2000
			nginx := startNginx(t, nginxSetup{Sendfile: sendfile, HTTP2: true}, n)
			collector := startCollector(t, roomy.about(nginx.site))
			load := startHTTP2Load(t, clients, streams)
			requests := pages(n)
			for i := range requests {
				if strings.HasPrefix(requests[i].URI, "/large/") && i%40 == 19 {
					requests[i].URI = fmt.Sprintf("/huge/%d", i)
				}
			}
			checkNginx(t, collector, nginx, load, "2", requests)
		})
	}
}

// strangePaths are paths that are not as most are.
func strangePaths() []string {
	return []string{
		"/file/a:b/c:d",
		"/file/100%25",
		"/file/me@example.com",
		"/file/a%3Ab%40c:d@e?f:g=h@i&j=%25",
		"/file/" + strings.Repeat("a:%40@", 400/6) + "?q=" + strings.Repeat("q", 400),
		"/file/" + strings.Repeat("0123456789", 800),
	}
}

// A curl makes one request: curl 7.88 fails with "Error in the HTTP2 framing
// layer" at the second over the same connection, whether anybody captures or not.
func TestCurlSpeaksHTTP2(t *testing.T) {
	collector := startCollector(t, setup{})
	nginx, apache := startNginx(t, nginxSetup{Sendfile: true, HTTP2: true}, 0), startApache(t, "h2c http/1.1")
	golang := startGo(t, "127.0.0.1", freePort(t))
	var known, upgraded, answered []exchange
	ask := func(how string, s *site, path string) exchange {
		x := exchange{Method: "GET", URI: path}
		var version string
		_, out := curl(t, how, "--output", "/dev/null", "--write-out", "%{http_code} %{http_version}", s.url()+path)
		if _, err := fmt.Sscan(out, &x.Status, &version); err != nil || version != "2" {
			t.Errorf("curl %s %s%s: answer %q, want one of HTTP/2", how, s.url(), path, out)
		}
		return x
	}
	for _, path := range strangePaths() {
		known = append(known, ask("--http2-prior-knowledge", nginx.site, path))
		upgraded = append(upgraded, ask("--http2", apache.site, path))
		answered = append(answered, ask("--http2-prior-knowledge", golang, "/answer/201/10"+path))
	}
	curl(t, "--http2", "--head", apache.url()+"/file/1")
	upgraded = append(upgraded, exchange{"HEAD", "/file/1", 200})
	curl(t, "--http2-prior-knowledge", "--data", "some=thing", golang.url()+"/answer/202/9/1")
	curl(t, "--http2-prior-knowledge", "--request", "BREW", "--data", "some=thing", golang.url()+"/answer/418/chunked/2")
	answered = append(answered, exchange{"POST", "/answer/202/9/1", 202}, exchange{"BREW", "/answer/418/chunked/2", 418})
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)

	checkBoth(t, collector, nginx.site, "2", known)
	checkBoth(t, collector, apache.site, "1.1", upgraded) // of that were the requests
	checkBoth(t, collector, golang, "2", answered)
}

func TestApacheOverHTTP2(t *testing.T) {
	collector := startCollector(t, roomy)
	apache, load := startApache(t, "h2c http/1.1"), startHTTP2Load(t, 2, 4)
	var requests []request
	var uris []string
	var want []exchange
	for i := range 400 {
		location := "file"
		if i%10 == 0 {
			location = "large"
		}
		requests = append(requests, request{Method: "GET", URI: fmt.Sprintf("/%s/%d?n=%d", location, i, i)},
			request{Method: "POST", URI: fmt.Sprintf("/file/%d", i), Body: 2000})
		for status, path := range map[int]string{301: "moved", 403: "denied"} {
			uri := fmt.Sprintf("/%s/%d", path, i)
			uris = append(uris, uri)
			want = append(want, exchange{"GET", uri, status})
		}
	}
	want = append(want, load.run(t, apache.url(), requests)...)
	h2load(t, apache.site, 1, 10, uris)
	exe, family := executable(t, apache.pid()), apache.family()
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)

	checkBoth(t, collector, apache.site, "2", want)
	checkResource(t, collector.served(apache.port), family, exe, "apache2")
}

// What nobody wants of a connection whose opening was not seen, or was another, is
// left out from where the parser has found its frames.
func TestBodiesOfHTTP2AreLeftOutWhereItsOpeningWasNotSeen(t *testing.T) {
	const clients, n, page = 2, 60, 1 << 20
	nghttpd, load := startNghttpd(t, page), startHTTP2Load(t, clients, 1)
	requests := func(name string) (requests []request) {
		for i := range n {
			requests = append(requests, request{Method: "GET", URI: fmt.Sprintf("/page?%s=%d", name, i)})
		}
		return requests
	}
	load.run(t, nghttpd.url(), requests("early")[:clients])
	collector, apache := startCollector(t, setup{}), startApache(t, "h2c http/1.1")
	copied := func() float64 {
		collector.settle(t)
		return counted(collector.scrape(t), "receiver_perisco_captured_bytes")
	}
	before := copied()
	load.begin(t, plan{URL: nghttpd.url(), Requests: requests("late"), Pause: 5 * pace})
	load.report(t)
	older := (copied() - before) / (2 * n * page)
	// A server that has written all before its parser was sure is copied whole: the
	// next is asked, which need not happen more than a few times in a row. curl gives
	// up where more than 32 KiB come at once with the answer to its upgrade.
	upgraded := 1.0
	for tries := 0; tries < 5 && upgraded > 0.5; tries++ {
		before := copied()
		curl(t, "--http2", "--retry", "5", "--retry-all-errors", "--limit-rate", "3M", "--output", "/dev/null", apache.url()+"/large/1") // 3 MiB
		upgraded = (copied() - before) / (2 * 3 << 20)
	}
	collector.end(t)

	for _, pid := range []int{nghttpd.pid(), load.pid()} {
		// Of the first on each connection too little may be seen.
		if got := len(spans(collector.traces.items).of(pid)); got < n-clients || got > n {
			t.Errorf("%d spans of process %d, want %d to %d", got, pid, n-clients, n)
		}
	}
	for what, part := range map[string]float64{
		"of an older connection":   older,
		"of one that was upgraded": upgraded,
	} {
		if t.Logf("%s %.1f%% was copied", what, 100*part); part > 0.5 {
			t.Errorf("%s %.1f%% was copied, want less than half", what, 100*part)
		}
	}
}

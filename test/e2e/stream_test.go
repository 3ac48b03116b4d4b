package e2e

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// nghttp asks for URIs of a server at once. It does not turn from HTTP/1.1 to
// HTTP/2 (--upgrade): then it may leave after the first answer, whether anybody
// captures or not.
func nghttp(t testing.TB, s *site, uris []string, args ...string) {
	t.Helper()
	args = append(args, "--null-out")
	for _, uri := range uris {
		args = append(args, s.url()+uri)
	}
	if out, err := exec.Command(program(t, "nghttp"), args...).CombinedOutput(); err != nil {
		t.Fatalf("nghttp %q: %v: %s", args, err, out)
	}
}

func TestWhatIsPushedIsNobodysRequest(t *testing.T) {
	collector, nghttpd := startCollector(t, setup{}), startNghttpd(t, 13, "--push=/page=/style", "--trailer=x-sum: 1", "--padding=20")
	var want []exchange
	for i := range 20 {
		nghttp(t, nghttpd, []string{"/page", fmt.Sprint("/style?n=", i), "/nothing"},
			"--padding=20", "--trailer=x-sum: 2", "--header=user-agent: "+strings.Repeat("u", 300))
		want = append(want, exchange{"GET", "/page", 200}, exchange{"GET", fmt.Sprint("/style?n=", i), 200}, exchange{"GET", "/nothing", 404})
	}
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)
	checkBoth(t, collector, nghttpd, "2", want)
}

func TestAnswersOfSeveralParts(t *testing.T) {
	collector, golang, load := startCollector(t, setup{}), startGo(t, "127.0.0.1", freePort(t)), startHTTP2Load(t, 2, 4)
	var requests []request
	for i := range 400 {
		requests = append(requests, request{Method: "GET", URI: fmt.Sprintf("/%s?n=%d", [...]string{"hints", "trailers", "answer/200/chunked/1"}[i%3], i)})
	}
	want := load.run(t, golang.url(), requests)
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)
	checkBoth(t, collector, golang, "2", want)
}

func TestStreamsThatAreGivenUpHaveFailed(t *testing.T) {
	const n = 10
	collector, golang := startCollector(t, setup{}), startGo(t, "127.0.0.1", freePort(t))
	for i := range n {
		for uri, args := range map[string][]string{
			"/abort": nil, "/silence": {"--max-time", "0.2"},
		} {
			args = append(args, "--silent", "--http2-prior-knowledge", "--output", "/dev/null", fmt.Sprint(golang.url(), uri, "?n=", i))
			if err := exec.Command(program(t, "curl"), args...).Run(); err == nil {
				t.Errorf("curl %q has not failed", args)
			}
		}
	}
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)
	for _, ss := range []spans{collector.served(golang.port), collector.asked(golang.port)} {
		var wrong findings
		seen := make(map[string]int)
		for _, s := range ss {
			path, _, _ := strings.Cut(s.uri(), "?")
			seen[path]++
			failure, status := text(s.Attributes(), "error.type"), number(s.Attributes(), "http.response.status_code")
			took := s.EndTimestamp().AsTime().Sub(s.StartTimestamp().AsTime())
			asExpected := failure == "INTERNAL_ERROR" && status == 200
			if path == "/silence" { // curl resets the stream, or just leaves
				asExpected = (failure == "CANCEL" || failure == "connection_closed") && status == 0 && took > 20*time.Millisecond
			}
			if !asExpected || s.Status().Code() != ptrace.StatusCodeError {
				wrong.addf("%s: status %s, error.type %q, %d in %s", s.what(), s.Status().Code(), failure, status, took)
			}
		}
		wrong.report(t, "streams that were given up")
		// A curl that is slow to start has no time to ask.
		if seen["/abort"] != n || seen["/silence"] == 0 || seen["/silence"] > n {
			t.Errorf("%v, want %d of each", seen, n)
		}
	}
}

func TestAServerThatLetsConnectionsGo(t *testing.T) {
	const n, most = 1000, 50
	collector := startCollector(t, setup{})
	nginx := startNginx(t, nginxSetup{HTTP2: true, Requests: most}, 0)
	load := startHTTP2Load(t, 2, 4)
	var requests []request
	for i := range n {
		requests = append(requests, request{Method: "GET", URI: fmt.Sprintf("/text/%d", i)})
	}
	seen := load.run(t, nginx.url(), requests)
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)
	if got := connections(nginx.accessLog(t)); got < n/most {
		t.Errorf("%d connections, want at least %d", got, n/most)
	}
	for _, ss := range []spans{collector.served(nginx.port), collector.asked(nginx.port)} {
		// What the client sends before it has heard of it, it sends again elsewhere.
		refused := func(s span) bool { return text(s.Attributes(), "error.type") == "REFUSED_STREAM" }
		kept := ss.where(func(s span) bool { return !refused(s) })
		checkSame(t, "spans", kept.exchanges(), seen)
		checkSpans(t, kept)
		var wrong findings
		for _, s := range ss.where(refused) {
			if x := (spans{s}.exchanges()[0]); x.Status != 0 || !slices.Contains(seen, exchange{x.Method, x.URI, 200}) {
				wrong.addf("%s: %d", s.what(), x.Status)
			}
		}
		wrong.report(t, "requests that were refused")
	}
}

func TestNginxBetweenCallersAndAShop(t *testing.T) {
	collector := startCollector(t, setup{})
	shop, shopper := startGoShop(t), startGoShopper(t)
	nginx := startNginx(t, nginxSetup{HTTP2: true, Shop: shop.address()}, 0)
	list := list{Address: nginx.address(), Errands: errands(290), Hands: 4, Pause: 0.004}
	shopper.run(t, list)
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)

	want := calls(list.Errands)
	traces := make(map[string]int)
	for what, ss := range map[string]spans{
		"the shopper's": collector.asked(nginx.port), "nginx' for the shopper": collector.served(nginx.port),
		"nginx' for itself": collector.asked(shop.port), "the shop's": collector.served(shop.port),
	} {
		checkSame(t, what+" spans", ss.calls(), want)
		checkSpans(t, ss)
		checkRecords(t, ss, collector.logs.items)
		for _, s := range ss {
			traces[s.TraceID().String()]++
		}
	}
	var astray findings
	for i := range list.Errands {
		if id := fmt.Sprintf("%032x", i+1); traces[id] != 4 {
			astray.addf("trace %s has %d spans", id, traces[id])
		}
	}
	astray.report(t, "calls whose two hops are not one trace")
}

func TestConnectAndGRPCWebAreHTTP(t *testing.T) {
	collector, golang := startCollector(t, setup{}), startGo(t, "127.0.0.1", freePort(t))
	kinds := []string{"application/connect+proto", "application/proto", "application/grpc-web", "application/grpc-web+proto", "application/grpc-web-text"}
	want := make(map[string][]exchange)
	for version, how := range map[string]string{"1.1": "--http1.1", "2": "--http2-prior-knowledge"} {
		for i, kind := range kinds {
			uri := fmt.Sprintf("/answer/200/9/shop.Cart/Add?v=%s&n=%d", version, i)
			curl(t, how, "--header", "Content-Type: "+kind, "--data-binary", "xxxxxabc", golang.url()+uri)
			want[version] = append(want[version], exchange{"POST", uri, 200})
		}
	}
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)
	for _, ss := range []spans{collector.served(golang.port), collector.asked(golang.port)} {
		checkSpans(t, ss)
		for version := range want {
			checkSame(t, "spans of HTTP/"+version, ss.where(func(s span) bool {
				return text(s.Attributes(), "network.protocol.version") == version && !s.isCall()
			}).exchanges(), want[version])
		}
	}
}

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryExampleIsValid(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(examplesDir, "*", "config.yaml"))
	if err != nil || len(paths) < 9 {
		t.Fatalf("%d examples, %v", len(paths), err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			config, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			binary := collectorPath(t)
			if strings.Contains(string(config), "desktop:") {
				binary = quickstartPath(t)
			}
			cmd := exec.Command(binary, "validate", "--config", path)
			cmd.Env = append(os.Environ(), "PCAP_FILE="+path) // any file
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// ask asks a site for different things, and returns them.
func ask(t testing.TB, s *site, what string) []exchange {
	t.Helper()
	var xs []exchange
	for i := range 10 {
		uri := fmt.Sprintf("/answer/200/%d/%s", i, what)
		curl(t, s.url()+uri)
		xs = append(xs, exchange{"GET", uri, http.StatusOK})
	}
	return xs
}

func twice(xs []exchange) []exchange { return append(xs[:len(xs):len(xs)], xs...) }

func TestBackendsGetWhatTheirExamplesPromise(t *testing.T) {
	for _, test := range []struct {
		example       string
		environment   string
		authorization string
		paths         []string
	}{
		{example: "jaeger", environment: "JAEGER_URL", paths: []string{"/v1/traces"}},
		{example: "tempo", environment: "TEMPO_URL", paths: []string{"/v1/traces"}},
		{example: "loki", environment: "LOKI_URL", paths: []string{"/otlp/v1/logs"}},
		{
			example: "elasticsearch", environment: "ELASTICSEARCH_URL", authorization: "ApiKey bm9uZQ==",
			paths: []string{"/_otlp/v1/logs", "/_otlp/v1/traces"},
		},
	} {
		t.Run(test.example, func(t *testing.T) {
			backend := startSink(t)
			collector := startExamples(t, []string{test.example}, []string{
				test.environment + "=" + backend.URL, "ELASTICSEARCH_AUTHORIZATION=" + test.authorization}, "")
			site := startGo(t, "127.0.0.1", freePort(t))
			want := twice(ask(t, site, "wanted"))
			wantSpans, wantRecords := 0, 0
			for _, path := range test.paths {
				if strings.HasSuffix(path, "/traces") {
					wantSpans = len(want)
				} else {
					wantRecords = len(want)
				}
			}
			var ss spans
			var rs []record
			collector.await(t, "spans and log records", func() error {
				if ss, rs = backend.received(site.port); len(ss) < wantSpans || len(rs) < wantRecords {
					return fmt.Errorf("%d spans and %d log records, want %d and %d", len(ss), len(rs), wantSpans, wantRecords)
				}
				return nil
			})
			collector.stop(t)

			backend.checkPaths(t, test.authorization, test.paths...)
			if wantSpans > 0 {
				checkSame(t, "spans", ss.exchanges(), want)
				checkSpans(t, ss)
			}
			if wantRecords > 0 {
				checkSame(t, "log records", exchangesOf(rs), want)
			}
		})
	}
}

func exchangesOf(rs []record) []exchange {
	var xs []exchange
	for _, r := range rs {
		m := r.Attributes()
		xs = append(xs, exchange{text(m, "http.request.method"), r.uri(), int(number(m, "http.response.status_code"))})
	}
	return xs
}

func TestKafkaGetsSpansAndLogRecordsAsJSON(t *testing.T) {
	cluster := startKafka(t, "perisco.spans", "perisco.logs")
	collector := startExamples(t, []string{"kafka"}, []string{"KAFKA_BROKER=" + cluster.ListenAddrs()[0]}, "")
	site := startGo(t, "127.0.0.1", freePort(t))
	want := twice(ask(t, site, "wanted"))
	ss := spans(consume(t, cluster, "perisco.spans", decodeSpans, func(ss []span) bool {
		return len(spans(ss).about(server, site.port))+len(spans(ss).about(client, site.port)) == len(want)
	}))
	rs := consume(t, cluster, "perisco.logs", decodeRecords, func(rs []record) bool {
		return len(recordsAbout(rs, site.port)) == len(want)
	})
	collector.stop(t)

	both := append(ss.about(server, site.port), ss.about(client, site.port)...)
	checkSame(t, "spans", both.exchanges(), want)
	checkSpans(t, both)
	checkSame(t, "log records", exchangesOf(recordsAbout(rs, site.port)), want)
}

// One backend after the other refuses everything or is gone; the others get
// all there is, and it gets what it has missed.
func TestABackendThatFailsDisturbsNoOther(t *testing.T) {
	const patienceOfExporters = `
exporters:
  otlp_http/tempo: &retry
    retry_on_failure: {initial_interval: 100ms, max_interval: 200ms}
  otlp_http/loki: *retry
connectors:
  span_metrics: {metrics_flush_interval: 100ms}
`
	tempo, loki := startSink(t), startSink(t)
	port := freePort(t)
	collector := startExamples(t, []string{"prometheus", "tempo", "loki"}, []string{
		"TEMPO_URL=" + tempo.URL, "LOKI_URL=" + loki.URL, fmt.Sprint("METRICS_PORT=", port)}, patienceOfExporters)
	site := startPython(t) // a service by itself
	asked := 0
	got := func(backend *sink) int {
		ss, rs := backend.received(site.port)
		return len(ss) + len(rs)
	}
	scraped := func() int {
		page, err := get("http://" + loopback(port) + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		return int(sumOf(pointsOf(t, page), "traces_span_metrics_calls_total", `service_name="library"`, `span_kind="SPAN_KIND_SERVER"`))
	}
	for _, failing := range []*sink{tempo, loki} {
		other := loki
		if failing == loki {
			other = tempo
		}
		failing.refuse(http.StatusServiceUnavailable)
		missed := got(failing)
		asked += len(ask(t, site, fmt.Sprint("meanwhile/", asked)))
		collector.await(t, "everything elsewhere", func() error {
			if n, m := got(other), scraped(); n != 2*asked || m != asked {
				return fmt.Errorf("%d at the other backend and %d in the metrics, want %d and %d", n, m, 2*asked, asked)
			}
			return nil
		})
		if n := got(failing); n != missed {
			t.Errorf("a backend that refuses everything took %d", n-missed)
		}
		failing.refuse(0)
		collector.await(t, "what the backend has missed", func() error {
			if n := got(failing); n != 2*asked {
				return fmt.Errorf("%d, want %d", n, 2*asked)
			}
			return nil
		})
	}
	tempo.CloseClientConnections()
	tempo.Listener.Close()
	asked += len(ask(t, site, "gone"))
	collector.await(t, "everything elsewhere", func() error {
		if n, m := got(loki), scraped(); n != 2*asked || m != asked {
			return fmt.Errorf("%d log records and %d in the metrics, want %d and %d", n, m, 2*asked, asked)
		}
		return nil
	})
	collector.stop(t)
}

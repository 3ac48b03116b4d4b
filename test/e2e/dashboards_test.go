package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestDashboardsAreWellFormed(t *testing.T) {
	var uids []string
	for _, d := range readDashboards(t) {
		for _, flaw := range d.flaws() {
			t.Errorf("%s: %s", d.file, flaw)
		}
		if slices.Contains(uids, d.UID) {
			t.Errorf("%s: its uid is another's", d.file)
		}
		uids = append(uids, d.UID)
	}
}

// In the example the names of pods and peers come from processors that need
// Kubernetes; here a transformation makes them up.
const inKubernetes = `
processors:
  transform/records:
    log_statements: &names
      - set(resource.attributes["service.namespace"], "market")
      - set(resource.attributes["k8s.namespace.name"], "market")
      - set(resource.attributes["k8s.pod.name"], Concat([resource.attributes["service.name"], "0"], "-"))
  transform/pods:
    trace_statements: *names
  transform/peers:
    trace_statements:
      - set(span.attributes["service.peer.name"], "library") where span.kind == SPAN_KIND_CLIENT and span.attributes["http.request.method"] != nil
      - set(span.attributes["k8s.peer.namespace.name"], "market") where span.kind == SPAN_KIND_CLIENT
      - set(span.attributes["k8s.peer.pod.name"], "peer-0") where span.kind == SPAN_KIND_CLIENT
connectors:
  span_metrics: {metrics_flush_interval: 100ms}
  service_graph: {metrics_flush_interval: 100ms, store: {ttl: 500ms}, store_expiration_loop: 100ms}
service:
  pipelines:
    traces/metrics: {processors: [transform/name, transform/pods, transform/peers]}
    traces/graph: {processors: [filter/databases, transform/name, transform/pods, transform/peers]}
    logs/loki: {processors: [transform/name, transform/records]}
`

func TestEveryQueryOfTheDashboardsFindsWhatHappened(t *testing.T) {
	port := freePort(t)
	loki := startSink(t)
	collector := startExamples(t, []string{"prometheus", "loki"}, []string{
		fmt.Sprint("METRICS_PORT=", port), "LOKI_URL=" + loki.URL}, inKubernetes)
	prometheus := startPrometheus(t, port)
	market := openMarket(t)
	services := "library|shop|mariadb|mariadbd|" + market.shopper.service
	rounds := 0
	// rate() needs counters that have grown between two scrapes.
	var missing findings
	prometheus.await(t, "data for every query", func() error {
		market.day(t)
		rounds++
		missing = findings{}
		for _, d := range readDashboards(t) {
			for _, s := range d.selections("market", services) {
				for _, p := range d.Panels {
					for _, q := range p.Targets {
						if p.Datasource.Type == "prometheus" && len(prometheus.query(t, s.fill(q.Expr))) == 0 {
							missing.addf("%s: %s, query %s: %s", d.file, p.Title, q.RefID, s)
						}
					}
				}
			}
		}
		if missing.n > 0 {
			return fmt.Errorf("nothing for %d queries, such as\n\t%s", missing.n, strings.Join(missing.examples, "\n\t"))
		}
		return nil
	})
	// Processes with the same name are counted together, and nothing twice.
	const calls = "sum(traces_span_metrics_calls_total"
	for query, want := range map[string]int{
		calls + `{service_name="library", span_kind="SPAN_KIND_SERVER"})`:                                                rounds * 2 * marketRequests,
		`sum(traces_span_metrics_duration_seconds_count{service_name="library", span_kind="SPAN_KIND_SERVER"})`:          rounds * 2 * marketRequests,
		calls + `{service_name="mariadb", span_name="SELECT nothing", db_response_status_code="1146"})`:                  rounds,
		calls + `{service_name="mariadb", status_code="STATUS_CODE_ERROR"})`:                                             rounds,
		`sum(traces_service_graph_request_total{client="mariadb", server="books", connection_type="database"}) > bool 0`: 1,
		`count(traces_service_graph_request_total{server="library"}) > bool 0`:                                           1,
		`count(traces_service_graph_request_total{server="mariadbd"})`:                                                   0,
	} {
		prometheus.await(t, query, func() error {
			if got := prometheus.value(t, query); got != want {
				return fmt.Errorf("%d, want %d", got, want)
			}
			return nil
		})
	}
	collector.stop(t) // with all log records at Loki

	for _, d := range readDashboards(t) {
		for _, s := range d.selections("market", services) {
			for _, p := range d.Panels {
				if p.Datasource.Type == "loki" {
					checkLogPanel(t, loki.records, s, p)
				}
			}
		}
	}
}

// checkLogPanel checks that a table of log records has something in every
// column, were it asked for those.
func checkLogPanel(t testing.TB, records []record, s selection, p panel) {
	t.Helper()
	q, err := parseLogQuery(s.fill(p.Targets[0].Expr))
	if err != nil {
		t.Errorf("%s: %v", p.Title, err)
		return
	}
	empty := slices.Clone(p.columns())
	for _, r := range records {
		if labels := r.labels(); q.selects(labels) {
			empty = slices.DeleteFunc(empty, func(name string) bool { return name == "Time" || labels[name] != "" })
		}
	}
	if len(empty) > 0 || len(p.columns()) == 0 {
		t.Errorf("%s: %s: nothing in the columns %q", p.Title, s, empty)
	}
}

// value returns the one value of a query, 0 if there is none.
func (p *prometheus) value(t testing.TB, query string) int {
	t.Helper()
	rs := p.query(t, query)
	if len(rs) == 0 {
		return 0
	}
	return rs[0].value(t)
}

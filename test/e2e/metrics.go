package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// scrape returns the self-metrics of the collector, by name and labels as
// they are written in the text format of Prometheus.
func (c *collector) scrape(t testing.TB) map[string]float64 {
	t.Helper()
	page, err := get("http://" + c.metrics + "/metrics")
	if err != nil {
		t.Fatalf("read the collector's metrics: %v", err)
	}
	return pointsOf(t, page)
}

// pointsOf reads the text format of Prometheus.
func pointsOf(t testing.TB, page string) map[string]float64 {
	t.Helper()
	points := make(map[string]float64)
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatalf("read metrics: %q: %v", line, err)
		}
		points[line[:i]] = v
	}
	return points
}

// counted returns the sum of a self-metric's points that have all of the labels.
func counted(points map[string]float64, metric string, labels ...string) float64 {
	return sumOf(points, "otelcol_"+metric, labels...)
}

// sumOf returns the sum of a metric's points that have all of the labels.
func sumOf(points map[string]float64, metric string, labels ...string) (sum float64) {
next:
	for name, v := range points {
		rest, ok := strings.CutPrefix(name, metric)
		if !ok || rest != "" && rest[0] != '{' {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(rest, label) {
				continue next
			}
		}
		sum += v
	}
	return sum
}

// since returns by how much the sum of a self-metric has grown since the test
// began.
func (c *collector) since(t testing.TB, metric string, labels ...string) int {
	t.Helper()
	return int(counted(c.scrape(t), metric, labels...) - counted(c.before, metric, labels...))
}

// checkLossless checks that the receiver has lost nothing since the test
// began, and says so itself. What others on this machine have lost counts, too.
func (c *collector) checkLossless(t testing.TB) {
	t.Helper()
	points := c.scrape(t)
	if counted(points, "receiver_perisco_events") == 0 {
		t.Error("the receiver counts no events: are its metrics there?")
	}
	var lost findings
	for name, v := range points {
		isLoss := strings.HasPrefix(name, "otelcol_receiver_perisco_losses") ||
			strings.HasPrefix(name, "otelcol_receiver_perisco_dropped_items")
		if n := v - c.before[name]; isLoss && n != 0 {
			lost.addf("%s %v", name, n)
		}
	}
	if lost.report(t, "losses counted"); lost.n > 0 {
		seen, truncated := make(map[string]int), make(map[string]int)
		for _, s := range c.traces.items {
			who := fmt.Sprintf("%s as %s, port %d", s.service(), s.Kind(), number(s.Attributes(), "server.port"))
			seen[who]++
			if _, ok := s.Attributes().Get("perisco.truncated"); ok {
				truncated[who]++
			}
		}
		t.Logf("spans seen meanwhile: %v; truncated of them: %v", seen, truncated)
	}
}

// checkAccounts checks that what the receiver counts as delivered came out.
func (c *collector) checkAccounts(t testing.TB) {
	t.Helper()
	points := c.scrape(t)
	exchanges := counted(points, "receiver_perisco_exchanges")
	for _, metric := range []string{"receiver_accepted_spans", "receiver_accepted_log_records"} {
		if n := counted(points, metric, `receiver="perisco"`); n > exchanges || n == 0 {
			t.Errorf("%s is %v, of %v exchanges", metric, n, exchanges)
		}
	}
	for _, metric := range []string{"receiver_refused_spans", "receiver_failed_spans", "receiver_refused_log_records", "receiver_failed_log_records"} {
		if n := counted(points, metric); n != 0 {
			t.Errorf("%s is %v, want 0", metric, n)
		}
	}
}

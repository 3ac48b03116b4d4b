package e2e

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// A tempo is what came of requests at some pace.
type tempo struct {
	asked     float64 // requests a second
	exchanges float64 // a second that were told, of both ends
	lost      float64 // part of the exchanges
	events    float64 // a second
	cores     float64 // that the collector used
}

var h2loadRate = regexp.MustCompile(`(?m)^finished in \S+, ([\d.]+) req/s`)

// take makes n requests over some connections, at so many a second; 0: as fast
// as can be.
func (c *collector) take(b *testing.B, s *site, n, rate int, uri string, args ...string) tempo {
	b.Helper()
	const connections = 8
	args = append([]string{fmt.Sprint("-c", connections), "-n", strconv.Itoa(n)}, args...)
	if rate > 0 {
		args = append(args, fmt.Sprintf("--rps=%.3f", float64(rate)/connections))
	}
	answered, cpu := c.awaitQuiet(b), cpuTime(b, []int{c.pid()})
	events := counted(c.scrape(b), "receiver_perisco_events")
	out, err := exec.Command(program(b, "h2load"), append(args, s.url()+uri)...).CombinedOutput()
	match := h2loadRate.FindSubmatch(out)
	if err != nil || match == nil {
		b.Fatalf("h2load: %v: %s", err, out)
	}
	answered = c.awaitQuiet(b) - answered
	asked, err := strconv.ParseFloat(string(match[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	long := float64(n) / asked
	return tempo{
		asked:     asked,
		exchanges: answered / long,
		lost:      max(0, 1-answered/float64(2*n)),
		events:    (counted(c.scrape(b), "receiver_perisco_events") - events) / long,
		cores:     (cpuTime(b, []int{c.pid()}) - cpu).Seconds() / long,
	}
}

// BenchmarkTempo finds, to some percent, the highest pace at which nothing is
// lost, with the collector on one core and on two, and there with two shards, too; and
// what is lost where client and server are as fast as they can. They share the cores
// with it.
func BenchmarkTempo(b *testing.B) {
	const (
		long  = 2 * time.Second // of a try: many times what the ring holds
		tries = 6
	)
	for _, s := range []struct {
		name, uri string
		args      []string
		flood     int // requests
		start     func() *site
	}{
		{"HTTP/1", "/text/", []string{"--h1"}, 60_000, func() *site { return startNginx(b, nginxSetup{}, 0).site }},
		{"HTTP/2", "/page", []string{"-m10"}, 300_000, func() *site { return startNghttpd(b, 13) }},
	} {
		site := s.start()
		for _, c := range []struct {
			cores  string
			shards int
		}{{"0", 1}, {"0,1", 1}, {"0,1", 2}} {
			b.Run(fmt.Sprintf("%s/cores=%s/shards=%d", s.name, c.cores, c.shards), func(b *testing.B) {
				var best, flood tempo
				for b.Loop() {
					collector := startCollector(b, setup{Discard: true, Cores: c.cores, Shards: c.shards})
					flood = collector.take(b, site, s.flood, 0, s.uri, s.args...)
					low, high := 0.0, flood.asked
					for range tries {
						rate := (low + high) / 2
						t := collector.take(b, site, int(rate*long.Seconds()), int(rate), s.uri, s.args...)
						if t.lost > 0 {
							high = rate
							continue
						}
						low = rate
						if t.exchanges > best.exchanges {
							best = t
						}
					}
					collector.stop(b)
				}
				b.ReportMetric(0, "ns/op") // which the pace decides
				b.ReportMetric(best.exchanges, "exchanges/s")
				b.ReportMetric(best.events, "events/s")
				b.ReportMetric(100*best.cores, "%core")
				b.ReportMetric(best.events/best.cores, "events/s/core")
				b.ReportMetric(2*flood.asked, "flood-exchanges/s")
				b.ReportMetric(100*flood.lost, "flood-%lost")
				b.ReportMetric(100*flood.cores, "flood-%core")
			})
		}
	}
}

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkConnections measures a collector that follows many connections, at
// both ends: its memory, that of its maps in the kernel, and what an exchange
// costs that is any connection's, of server, client and collector, beside it
// and after it has ended.
func BenchmarkConnections(b *testing.B) {
	const exchanges, rounds = 20_000, 3
	for _, n := range []int{0, 16, 1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			collector := startCollector(b, setup{Discard: true, Options: "{max_connections: 400000}"})
			if n == 0 {
				for b.Loop() {
					time.Sleep(time.Second) // its garbage of starting
				}
				b.ReportMetric(0, "ns/op")
				collector.reportMemory(b)
				collector.stop(b)
				return
			}
			w := byCrowds(b, n, exchanges)
			cost := func(pids []int) float64 {
				before := cpuTime(b, pids)
				made, _ := w.do(b)
				if len(pids) > len(w.pids) {
					collector.awaitQuiet(b)
				}
				return micros(cpuTime(b, pids)-before) / float64(made)
			}
			var on, off []float64
			for b.Loop() {
				for range rounds {
					on = append(on, cost(append([]int{collector.pid()}, w.pids...)))
				}
				collector.reportMemory(b)
				b.ReportMetric(counted(collector.scrape(b), "receiver_perisco_connections"), "followed")
				collector.stop(b)
				for range rounds {
					off = append(off, cost(w.pids))
				}
			}
			b.ReportMetric(0, "ns/op") // of opening them, too
			b.ReportMetric(median(off), "off-µs")
			b.ReportMetric(median(on), "on-µs")
		})
	}
}

// byCrowds is exchanges that are any connection's, of n.
func byCrowds(b *testing.B, n, exchanges int) work {
	var pids []int
	var wanted []*json.Encoder
	var said []*json.Decoder
	for left := n; left > 0; left -= crowded {
		s := site{host: "127.0.0.1", port: freePort(b)}
		server := startSite(b, s, self(b, "host", s.address()))
		client, ask, listen := startAgent(b, self(b, "crowd", s.address(), strconv.Itoa(min(left, crowded))))
		pids = append(pids, server.pid(), client.pid())
		wanted, said = append(wanted, ask), append(said, listen)
	}
	hear := func() (sum int) {
		for _, s := range said {
			var made int
			if err := s.Decode(&made); err != nil {
				b.Fatalf("hear from a crowd: %v", err)
			}
			sum += made
		}
		return sum
	}
	hear() // that all are connected
	return work{pids: pids, exchanges: 2, do: func(b *testing.B) (int, time.Duration) {
		for _, w := range wanted {
			if err := w.Encode(exchanges / len(wanted)); err != nil {
				b.Fatal(err)
			}
		}
		return hear(), 0
	}}
}

// reportMemory reports what a collector takes.
func (c *collector) reportMemory(b *testing.B) {
	b.Helper()
	b.ReportMetric(float64(memory(b, c.pid(), "VmRSS"))/1e6, "MB")
	b.ReportMetric(float64(c.maps(b))/1e6, "maps-MB")
}

// maps returns the bytes that the maps of a collector take in the kernel,
// without what is kept with sockets.
func (c *collector) maps(b *testing.B) (sum int) {
	b.Helper()
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", c.pid()))
	if err != nil {
		b.Fatal(err)
	}
	for _, path := range paths {
		info, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(info), "map_id:") {
			continue
		}
		_, rest, _ := strings.Cut(string(info), "memlock:")
		figure, _, _ := strings.Cut(rest, "\n")
		n, err := strconv.Atoi(strings.TrimSpace(figure))
		if err != nil {
			b.Fatalf("%s: %v", path, err)
		}
		sum += n
	}
	return sum
}

// BenchmarkBurst measures how many exchanges wait in the ring for a collector
// that does not run.
func BenchmarkBurst(b *testing.B) {
	nginx := startNginx(b, nginxSetup{}, 0)
	for _, size := range []struct{ name, location string }{{"300 B", "/text/"}, {"4 KiB", "/file/"}} {
		b.Run(size.name, func(b *testing.B) {
			collector := startCollector(b, setup{Discard: true})
			signal := func(s syscall.Signal) {
				if err := collector.cmd.Process.Signal(s); err != nil {
					b.Fatal(err)
				}
			}
			var fit float64
			for b.Loop() {
				before := collector.awaitQuiet(b)
				signal(syscall.SIGSTOP)
				wrk(b, "-t1", "-c8", "-d1s", nginx.url()+size.location)
				signal(syscall.SIGCONT)
				fit = collector.awaitQuiet(b) - before
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(fit, "exchanges")
			collector.stop(b)
		})
	}
}

package e2e

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// BenchmarkNginx measures what being observed costs: CPU time of server,
// client and collector for a request of 4 KiB over kept connections, without
// and with a collector, in turn on the same server. The best of some rounds
// counts: a machine with other work only makes it worse. Each request is two
// exchanges, of the server and of the client; what is lost of them costs less
// than it should, so that part is shown, too.
func BenchmarkNginx(b *testing.B) {
	const rounds = 3
	needCapture(b)
	nginx := startNginx(b, nginxSetup{Sendfile: true}, 0)
	off, on, lost := math.Inf(1), math.Inf(1), 0.0
	for b.Loop() {
		for range rounds {
			cost, _ := costOfRequest(b, nginx, nil)
			off = min(off, cost)
			collector := startCollector(b, setup{Discard: true})
			if cost, missing := costOfRequest(b, nginx, collector); cost < on {
				on, lost = cost, missing
			}
			collector.stop(b)
		}
	}
	b.ReportMetric(0, "ns/op") // of starting collectors, mostly
	b.ReportMetric(off, "off-µs/req")
	b.ReportMetric(on, "on-µs/req")
	b.ReportMetric(on/off, "on/off")
	b.ReportMetric(100*lost, "%lost")
}

// costOfRequest returns the CPU time in microseconds that a request takes, and
// which part of the exchanges the collector has missed.
func costOfRequest(b *testing.B, nginx *nginx, collector *collector) (cost, lost float64) {
	b.Helper()
	pids := nginx.family()
	if collector != nil {
		pids = append(pids, collector.pid())
	}
	before := cpuTime(b, pids)
	cmd, requests := wrk(b, "-t1", "-c32", "-d1s", nginx.url()+"/file/")
	if collector != nil {
		seen := collector.awaitQuiet(b)
		lost = max(0, 1-seen/float64(2*requests))
	}
	spent := cpuTime(b, pids) - before + cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return float64(spent.Microseconds()) / float64(requests), lost
}

// awaitQuiet waits until the collector has worked off what has happened, and
// returns how many answered exchanges it has seen.
func (c *collector) awaitQuiet(b *testing.B) (answered float64) {
	b.Helper()
	const pause, trickle = 100 * time.Millisecond, 10 // looking is a request, too
	c.await(b, "end of the exchanges", func() error {
		before := answered
		answered = counted(c.scrape(b), "receiver_perisco_exchanges", `outcome="answered"`)
		if answered == 0 || answered > before+trickle {
			time.Sleep(pause)
			return fmt.Errorf("%v more", answered-before)
		}
		return nil
	})
	return answered
}

// cpuTime returns the CPU time that processes have used.
func cpuTime(b *testing.B, pids []int) time.Duration {
	b.Helper()
	const tick = time.Second / 100 // USER_HZ
	var sum time.Duration
	for _, pid := range pids {
		fields, err := statFields(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			b.Fatal(err)
		}
		var user, system int64
		if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(user+system) * tick
	}
	return sum
}

// BenchmarkStart measures the time from the start of the process until the
// collector is ready, without and with the receiver.
func BenchmarkStart(b *testing.B) {
	needCapture(b)
	ready := func(s setup) time.Duration {
		began := time.Now()
		c := launchCollector(b, s)
		defer c.stop(b)
		c.await(b, "being healthy", c.healthy)
		return time.Since(began)
	}
	var off, on time.Duration
	for b.Loop() {
		off += ready(plain)
		on += ready(setup{})
	}
	b.ReportMetric(float64(off.Milliseconds())/float64(b.N), "off-ms")
	b.ReportMetric(float64(on.Milliseconds())/float64(b.N), "on-ms")
}

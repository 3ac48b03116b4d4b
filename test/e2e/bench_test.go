package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A work is something that can be done again and again, in units.
type work struct {
	pids      []int // processes that take part in it and stay
	exchanges int   // of a unit; 0: it is none that is followed
	moved     int   // bytes that all sockets send and receive for a unit, without heads; 0: does not matter
	// do does it for about a second and returns the CPU time of those that did
	// not stay.
	do func(b *testing.B) (units int, others time.Duration)
}

// A side is what runs beside a work.
type side struct {
	name   string
	*setup // nil: no collector
}

// A cost is what a unit of a work took beside something.
type cost struct {
	cpu       float64 // microseconds
	collector float64 // of these
	exchanges float64 // that were answered
	copied    float64 // bytes
}

// compare does the work beside each of the sides, in turn, for some rounds.
// The first is what the others are compared with. It reports the medians of
// CPU time, of server, client and collector; by how many percent the rounds
// differ; and what a unit takes beyond the first side of the same round.
func compare(b *testing.B, w work, rounds int, sides ...side) {
	b.Helper()
	needCapture(b)
	costs := make([][]cost, len(sides))
	for b.Loop() {
		for range rounds {
			for i, s := range sides {
				costs[i] = append(costs[i], w.beside(b, s))
			}
		}
	}
	b.ReportMetric(0, "ns/op") // of starting collectors, mostly
	for i, s := range sides {
		cpu := inRounds(costs[i], func(r int) float64 { return costs[i][r].cpu })
		b.ReportMetric(median(cpu), s.name+"-µs")
		b.ReportMetric(100*(slices.Max(cpu)-slices.Min(cpu))/median(cpu), s.name+"-±%")
		if i == 0 {
			continue
		}
		b.ReportMetric(median(inRounds(cpu, func(r int) float64 { return costs[i][r].cpu - costs[0][r].cpu })), s.name+"-more-µs")
		b.ReportMetric(median(inRounds(cpu, func(r int) float64 { return costs[i][r].cpu / costs[0][r].cpu })), s.name+"/"+sides[0].name)
		b.ReportMetric(median(inRounds(cpu, func(r int) float64 { return costs[i][r].collector })), s.name+"-collector-µs")
		if w.exchanges > 0 {
			seen := median(inRounds(cpu, func(r int) float64 { return costs[i][r].exchanges }))
			b.ReportMetric(100*max(0, 1-seen/float64(w.exchanges)), s.name+"-%lost")
		}
		if w.moved > 0 {
			b.ReportMetric(100*median(inRounds(cpu, func(r int) float64 { return costs[i][r].copied }))/float64(w.moved), s.name+"-%copied")
		}
	}
}

func inRounds[T any](rounds []T, f func(round int) float64) []float64 {
	figures := make([]float64, len(rounds))
	for i := range figures {
		figures[i] = f(i)
	}
	return figures
}

func median(figures []float64) float64 {
	return slices.Sorted(slices.Values(figures))[len(figures)/2]
}

// beside does the work once.
func (w work) beside(b *testing.B, s side) cost {
	b.Helper()
	before := cpuTime(b, w.pids)
	if s.setup == nil {
		units, others := w.do(b)
		return cost{cpu: micros(cpuTime(b, w.pids)-before+others) / float64(units)}
	}
	c := startCollector(b, *s.setup)
	defer c.stop(b)
	copied := func() float64 { return counted(c.scrape(b), "receiver_perisco_captured_bytes") }
	copiedBefore, answeredBefore := copied(), c.awaitQuiet(b)
	own := cpuTime(b, []int{c.pid()})
	before = cpuTime(b, w.pids)
	units, others := w.do(b)
	spent := cpuTime(b, w.pids) - before + others
	answered := c.awaitQuiet(b) - answeredBefore
	own = cpuTime(b, []int{c.pid()}) - own
	return cost{
		cpu:       micros(spent+own) / float64(units),
		collector: micros(own) / float64(units),
		exchanges: answered / float64(units),
		copied:    (copied() - copiedBefore) / float64(units),
	}
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// awaitQuiet waits until the collector has worked off what has happened, and
// returns how many answered exchanges it has seen.
func (c *collector) awaitQuiet(b *testing.B) (answered float64) {
	b.Helper()
	const pause, trickle = 100 * time.Millisecond, 10 // looking is a request, too
	events := -1.0
	c.await(b, "end of the events", func() error {
		before, points := events, c.scrape(b)
		events = counted(points, "receiver_perisco_events")
		answered = counted(points, "receiver_perisco_exchanges", `outcome="answered"`)
		if before < 0 || events > before+trickle {
			time.Sleep(pause)
			return fmt.Errorf("%v more", events-before)
		}
		return nil
	})
	return answered
}

// cpuTime returns the CPU time that the living threads of processes have used.
func cpuTime(b *testing.B, pids []int) time.Duration {
	b.Helper()
	var sum time.Duration
	for _, pid := range pids {
		// In nanoseconds, where /proc/<pid>/stat has ticks.
		paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil || len(paths) == 0 {
			b.Fatalf("no CPU time of process %d: has it ended, or the kernel no CONFIG_SCHED_INFO? %v", pid, err)
		}
		for _, path := range paths {
			line, err := os.ReadFile(path)
			if err != nil {
				continue // the thread has ended
			}
			ran, _, _ := strings.Cut(string(line), " ")
			ns, err := strconv.ParseInt(ran, 10, 64)
			if err != nil {
				b.Fatalf("%s: %v", path, err)
			}
			sum += time.Duration(ns)
		}
	}
	return sum
}

// BenchmarkNginx measures what being observed costs: a request of 4 KiB over
// kept connections. It is two exchanges, of the server and of the client.
func BenchmarkNginx(b *testing.B) {
	nginx := startNginx(b, nginxSetup{Sendfile: true}, 0)
	compare(b, byWrk(nginx.family(), 0, "-c32", nginx.url()+"/file/"), 5,
		side{"off", nil},
		side{"filtered", &setup{Discard: true, Options: fmt.Sprintf("{filter: {exclude: {ports: [%d]}}}", nginx.port)}},
		side{"ignored", &setup{Discard: true, Options: "{protocols: {http: {enabled: false}, http2: {enabled: false}}}"}},
		side{"nop", &setup{Discard: true}},
		side{"gogc", &setup{Discard: true, GOGC: 200}},
		side{"file", &setup{}},
		side{"proto", &setup{Format: "proto"}},
	)
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

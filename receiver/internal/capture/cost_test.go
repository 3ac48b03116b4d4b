//go:build linux && (amd64 || arm64)

package capture

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

var pingPong = register("requests of 500 bytes and answers of 4000", script{do: func(c, s *end) {
	request, answer, buf := c.next(500), s.next(4000), make([]byte, 4000)
	for range 20_000 {
		_, err := unix.Write(c.fd, request)
		must(err)
		_, err = unix.Read(s.fd, buf)
		must(err)
		_, err = unix.Write(s.fd, answer)
		must(err)
		_, err = unix.Read(c.fd, buf)
		must(err)
	}
	c.close()
	s.close()
}})

// BenchmarkPrograms measures a run of each hook, by the kernel's own clock,
// while events are read. Half of the payloads have 500 bytes, half 4000.
func BenchmarkPrograms(b *testing.B) { benchmarkPrograms(b, Filter{}) }

// BenchmarkFilteredPrograms measures the same, but looks for each connection in
// a thousand networks and ports, and asks about each process. All pass.
func BenchmarkFilteredPrograms(b *testing.B) {
	benchmarkPrograms(b, Filter{
		Include: Lists{Local: many(500, "127.0.0.0/8")},
		Exclude: Lists{Peer: many(500), Ports: []PortRange{{1, 1023}}},
		Process: func(uint32, uint64, [16]byte) bool { return true },
	})
}

func benchmarkPrograms(b *testing.B, f Filter) {
	src := openKernel(b, Options{Filter: f}, best())
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		b.Fatal(err)
	}
	defer stats.Close()
	hooks := best().hooks
	before := map[string]*ebpf.ProgramStats{}
	for _, hook := range hooks {
		before[hook], _ = src.programs.Programs[hook].Stats()
	}
	events := 0
	for b.Loop() {
		p := cast(b, pingPong)
		go p.play()
		for closed := 0; closed < 2; {
			src.SetDeadline(time.Now().Add(50 * time.Millisecond))
			var e Event
			if err := src.Next(&e); errors.Is(err, os.ErrDeadlineExceeded) {
				continue
			} else if err != nil {
				b.Fatal(err)
			}
			events++
			if p.w.end(&e) != "" && e.Kind == Closed {
				closed++
			}
		}
	}
	for _, hook := range hooks {
		after, err := src.programs.Programs[hook].Stats()
		if err != nil {
			b.Fatal(err)
		}
		runs := after.RunCount - before[hook].RunCount
		b.ReportMetric(float64(after.Runtime-before[hook].Runtime)/float64(runs), "ns/"+hook)
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(losses(src)["ring_full_data"]), "lost")
}

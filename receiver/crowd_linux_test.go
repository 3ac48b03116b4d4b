package receiver

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/capture"
)

// A crowd is a source of some connections. Each makes an exchange, and then
// any of them makes the next.
type crowd struct {
	*tap
	exchange [2]capture.Event // request and answer
	moved    []uint32         // exchanges of each connection
	opened   int              // connections
	met      func()           // called when all are
	left     int              // exchanges behind that
	random   *rand.Rand
	next     int // whose turn it is
	answers  int // 1: of the answer
}

func newCrowd(t testing.TB, connections, exchanges int, met func()) *crowd {
	const request, answer = 4, 5 // of a page that is not there
	events := newReplay(t, "http1/nginx-keepalive", 1).events
	return &crowd{
		tap: newTap(), exchange: [2]capture.Event{events[request], events[answer]}, moved: make([]uint32, connections),
		met: met, left: exchanges, random: rand.New(rand.NewPCG(1, 1)),
	}
}

func (s *crowd) Next(e *capture.Event) error {
	if s.answers == 0 {
		switch {
		case s.opened < len(s.moved):
			s.next = s.opened
			s.opened++
		case s.left == 0:
			return io.EOF
		default:
			if s.met != nil {
				s.met()
				s.met = nil
			}
			s.left--
			s.next = s.random.IntN(len(s.moved))
		}
	}
	*e = s.exchange[s.answers]
	other := s.exchange[1-s.answers].Len
	e.Flow = capture.FlowID(1 + s.next)
	e.Seq += s.moved[s.next] * e.Len
	e.Ack += s.moved[s.next] * other
	s.moved[s.next] += uint32(s.answers)
	s.answers = 1 - s.answers
	return nil
}

// BenchmarkCrowd is an exchange of HTTP/1 from its two events to span and log
// record where many connections are open, and what each of them takes.
func BenchmarkCrowd(b *testing.B) {
	for _, connections := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint(connections), func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // Run sets it
			sink := discard(b)
			var before, then runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			var began time.Duration
			source := newCrowd(b, connections, b.N, func() {
				runtime.GC()
				runtime.ReadMemStats(&then)
				b.ResetTimer() // it decides how often
				began = cpuTime()
			})
			play(b, source, sink)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64((cpuTime()-began).Nanoseconds())/float64(b.N), "cpu-ns/exchange")
			b.ReportMetric(float64(then.HeapAlloc-before.HeapAlloc)/float64(connections), "B/connection")
		})
	}
}

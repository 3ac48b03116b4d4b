package receiver

import (
	"fmt"
	"io"
	"math/bits"
	"runtime"
	"testing"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/capture"
)

// A crowd is a source of some connections. Each makes an exchange, and then all
// of them make the next, again and again, in an order that no cache expects.
type crowd struct {
	*tap
	exchange    [2]capture.Event // request and answer
	connections uint32
	round, turn uint32 // which connection's turn it is in which round
	answers     int    // 1: of the answer
	met         func() // called behind the first round
	left        int    // exchanges behind that
}

func newCrowd(t testing.TB, connections, exchanges int, met func()) *crowd {
	const request, answer = 4, 5 // of a page that is not there
	events := newReplay(t, "http1/nginx-keepalive", 1).events
	return &crowd{
		tap: newTap(), exchange: [2]capture.Event{events[request], events[answer]},
		connections: uint32(connections), met: met, left: exchanges,
	}
}

func (s *crowd) Next(e *capture.Event) error {
	if s.turn == s.connections {
		if s.round == 0 {
			s.met()
		}
		s.round++
		s.turn = 0
	}
	if s.round > 0 && s.left == 0 {
		return io.EOF
	}
	*e = s.exchange[s.answers]
	e.Flow = s.flow(s.turn)
	e.Seq += s.round * e.Len
	e.Ack += s.round * s.exchange[1-s.answers].Len
	if s.answers == 1 {
		s.turn++
		s.left -= int(min(s.round, 1))
	}
	s.answers = 1 - s.answers
	return nil
}

// Ahead implements capture.Foreseer.
func (s *crowd) Ahead(ids []capture.FlowID) int {
	for i := range ids {
		turn := s.turn + uint32(s.answers+i)/2
		if turn >= s.connections {
			return i
		}
		ids[i] = s.flow(turn)
	}
	return len(ids)
}

// flow returns whose turn it is in this round.
func (s *crowd) flow(turn uint32) capture.FlowID {
	return capture.FlowID(1 + shuffled(turn, s.round, s.connections))
}

// shuffled returns the place of i, which is below n, in a shuffle of n with this
// number. It needs no memory, which would take from the cache.
func shuffled(i, number, n uint32) uint32 {
	size := bits.Len32(n - 1)
	for {
		for range 3 { // each step can be undone, so that no two have the same place
			i = (i*0x2c9277b5 + number*0x9e3779b9 + 0x7f4a7c15) & (1<<size - 1)
			i ^= i >> (size/2 + 1)
		}
		if i < n {
			return i
		}
	}
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

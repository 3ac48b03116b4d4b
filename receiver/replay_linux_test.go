package receiver

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"golang.org/x/sys/unix"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/emit"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/process"
	"github.com/perisco-io/perisco/receiver/internal/protocol/protocoltest"
)

// recordings are the conversations that stand for their protocols, and what
// an exchange of them may cost from its events to a filled span and log record:
// allocations and bytes, with what a connection costs in proportion.
var recordings = []struct {
	name, file         string
	rounds             int // how often a connection goes through it
	allocations, bytes float64
}{
	{"http1", "http1/nginx-keepalive", 20, 31, 1780},
	{"http2", "http2/nghttpd-m100", 1, 31, 1790},
	{"grpc", "http2/grpc-go-many", 1, 25, 1540},
	{"mysql", "mysql/go-prepared", 1, 31, 1990},
}

// A replay is a source that plays what was recorded of a connection, on one
// connection after the other.
type replay struct {
	*tap
	events      []capture.Event // of one
	at          int
	connections int // to be played
	flow        capture.FlowID
}

func newReplay(t testing.TB, file string, rounds int) *replay {
	var begin, round, end []capture.Event
	var moved [2]uint32 // bytes in a round: in, out
	for _, e := range protocoltest.Events(t, filepath.Join("..", "testdata", file+".txtar")) {
		switch e.Kind {
		case capture.Opened:
			begin = append(begin, e)
		case capture.Data:
			round = append(round, e)
			moved[direction(e.Out)] += e.Len
		default:
			end = append(end, e)
		}
	}
	s := &replay{tap: newTap(), events: begin}
	var shift [2]uint32 // of the sequence numbers
	add := func(e capture.Event) {
		e.Seq += shift[direction(e.Out)]
		e.Ack += shift[direction(!e.Out)]
		s.events = append(s.events, e)
	}
	for i := range rounds {
		if i > 0 {
			shift[0] += moved[0]
			shift[1] += moved[1]
		}
		for _, e := range round {
			add(e)
		}
	}
	for _, e := range end {
		add(e)
	}
	return s
}

func direction(out bool) int {
	if out {
		return 1
	}
	return 0
}

func (s *replay) Next(e *capture.Event) error {
	if s.at == len(s.events) {
		s.at, s.connections = 0, s.connections-1
	}
	if s.connections == 0 {
		return io.EOF
	}
	if s.at == 0 {
		s.flow++
	}
	*e = s.events[s.at]
	e.Flow = s.flow
	s.at++
	return nil
}

// discard returns an emitter whose consumers do nothing.
func discard(t testing.TB) *emit.Emitter { return discards(t, 1)[0] }

// discards returns n of them, of one sender.
func discards(t testing.TB, n int) (sinks []*emit.Emitter) {
	sender := emit.New(emit.Settings{
		Traces: consumertest.NewNop(), Logs: consumertest.NewNop(), Report: newReport(t), Identify: process.Short, Wait: true,
	})
	for range n {
		sinks = append(sinks, sender.Emitter())
	}
	sender.Start()
	t.Cleanup(func() {
		sender.Release()
		require.NoError(t, sender.Shutdown(context.Background()))
	})
	return sinks
}

// play plays source to its end, with all protocols, and returns how many
// exchanges that gave. All of them have their answers, and nothing is lost.
func play(t testing.TB, source capture.Shard, sink engine.Sink) int {
	return playAll(t, engines{player(source, sink)})
}

func player(source capture.Shard, sink engine.Sink) *engine.Engine {
	return engine.New(engine.Settings{
		Source: source, Sink: sink, Protocols: defaultProtocols().open(), RequestTimeout: time.Hour, MaxConnections: 1 << 20, MaxState: 64 << 20,
	})
}

// playAll is play, by engines beside each other.
func playAll(t testing.TB, es engines) (exchanges int) {
	require.NoError(t, es.run(func() error { return nil }))
	es.exchanges(func(protocol string, how exchange.Outcome, n uint64) {
		exchanges += int(n)
		require.Equal(t, exchange.Answered, how, protocol)
	})
	es.losses(func(reason string, n uint64) { require.Zero(t, n, reason) })
	return exchanges
}

// one returns how many exchanges a connection gives.
func (s *replay) one(t testing.TB, sink engine.Sink) int {
	s.connections = 1
	n := play(t, s, sink)
	require.NotZero(t, n)
	return n
}

// BenchmarkReplay is an exchange from its events, as they were recorded, to a
// filled span and log record, on one processor.
func BenchmarkReplay(b *testing.B) {
	for _, r := range recordings {
		b.Run(r.name, func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // Run sets it
			sink, source := discard(b), newReplay(b, r.file, r.rounds)
			source.connections = 1 + b.N/source.one(b, sink)
			b.ReportAllocs()
			b.ResetTimer()
			began := cpuTime()
			n := play(b, source, sink) // b.N, and what completes the last connection
			spent := cpuTime() - began
			b.ReportMetric(0, "ns/op") // of other processes, too
			b.ReportMetric(float64(spent.Nanoseconds())/float64(n), "cpu-ns/exchange")
			b.ReportMetric(float64(n)/spent.Seconds(), "exchanges/s/core")
		})
	}
}

// BenchmarkShards is the same by one engine, and by two on as many processors, which
// share a sender.
func BenchmarkShards(b *testing.B) {
	for _, n := range []int{1, 2} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
			var es engines
			for _, sink := range discards(b, n) {
				r := recordings[0]
				source := newReplay(b, r.file, r.rounds)
				source.connections = 1 + b.N/n/source.one(b, sink)
				es = append(es, player(source, sink))
			}
			b.ResetTimer()
			began := cpuTime()
			exchanges := playAll(b, es)
			spent := cpuTime() - began
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(spent.Nanoseconds())/float64(exchanges), "cpu-ns/exchange")
			b.ReportMetric(float64(exchanges)/b.Elapsed().Seconds(), "exchanges/s")
		})
	}
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// What it costs in time is for BenchmarkReplay.
func TestAnExchangeCostsSoManyAllocations(t *testing.T) {
	if protocoltest.RaceEnabled {
		t.Skip("sync.Pool forgets on purpose under the race detector")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it would empty the pools
	for _, r := range recordings {
		t.Run(r.name, func(t *testing.T) {
			sink, source := discard(t), newReplay(t, r.file, r.rounds)
			source.connections = 1 + 10_000/source.one(t, sink)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			n := float64(play(t, source, sink))
			runtime.ReadMemStats(&after)
			allocations := float64(after.Mallocs-before.Mallocs) / n
			bytes := float64(after.TotalAlloc-before.TotalAlloc) / n
			t.Logf("%.2f allocations, %.0f bytes", allocations, bytes)
			if allocations > r.allocations || bytes > r.bytes {
				t.Errorf("%.2f allocations of %.0f bytes, want %v of %v at the most", allocations, bytes, r.allocations, r.bytes)
			}
		})
	}
}

package engine_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/protocol/protocoltest"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// loop plays the first two events of a script again and again.
type loop struct {
	script
	left int
}

func (l *loop) Next(e *capture.Event) error {
	if l.left--; l.left < 0 {
		return os.ErrClosed
	}
	*e = l.events[1-l.left&1]
	return nil
}

// play runs n exchanges on one connection.
func play(tb testing.TB, n int) {
	var s script
	f := s.flow(1, stream.Server)
	f.unseq = true
	f.client("?name\n").server("!700\n" + strings.Repeat("x", 700))
	out := new(nothing)
	e := engine.New(engine.Settings{
		Source: &loop{script: s, left: 2 * n}, Sink: out, Protocols: []protocol.Protocol{newToy()},
		RequestTimeout: time.Minute, MaxConnections: 100, MaxState: 64 << 20,
	})
	if err := e.Run(); err != nil || out.exchanges != n {
		tb.Errorf("%d exchanges of %d, %v", out.exchanges, n, err)
	}
}

// nothing is a sink that only counts.
type nothing struct{ exchanges int }

func (*nothing) Process(exchange.Process) {}
func (s *nothing) Emit(exchange.Exchange) { s.exchanges++ }
func (*nothing) Tick(stream.Time, int64)  {}
func (*nothing) Flush()                   {}

func BenchmarkExchange(b *testing.B) {
	b.ReportAllocs()
	play(b, b.N)
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	if protocoltest.RaceEnabled {
		t.Skip("sync.Pool forgets on purpose under the race detector")
	}
	allocs := func(n int) float64 { return testing.AllocsPerRun(1, func() { play(t, n) }) }
	if few, many := allocs(10), allocs(20_010); many-few > 20 {
		t.Errorf("20,000 exchanges more made %v allocations more", many-few)
	}
}

package protocoltest

import (
	"runtime/debug"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// quiet is a sink that only counts.
type quiet struct {
	result
	n int
}

func (q *quiet) Emit(x exchange.Exchange) {
	if x.Base().Outcome == exchange.Answered {
		q.n++
	}
}

// allocations checks that more of the same needs no more memory, for those
// conversations that can go on on one connection.
func allocations(t *testing.T, ps []protocol.Protocol, f file) {
	if RaceEnabled {
		return // sync.Pool forgets on purpose
	}
	var steps []step
	for _, s := range f.steps {
		if s.kind == send {
			steps = append(steps, s)
		}
	}
	run := func(rounds int) (exchanges int, sound bool) {
		var q quiet
		e, err := play(ps, &player{steps: steps, side: stream.Server, rounds: rounds, data: make([]byte, 0, 1<<20)}, &q)
		if err != nil {
			t.Fatal(err)
		}
		sound = true
		add := func(string, uint64) { sound = false }
		e.Losses(add)
		e.Ignored(add)
		return q.n, sound
	}
	once, _ := run(1)
	if n, sound := run(3); !sound || n != 3*once || n == 0 {
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it would empty the pools
	few := testing.AllocsPerRun(3, func() { run(50) })
	many := testing.AllocsPerRun(3, func() { run(250) })
	if more := many - few; more > 2 { // the tables double once more
		t.Errorf("%v allocations for 200 rounds of %d exchanges", more, once)
	}
}

package receiver

import (
	"errors"
	"sync"

	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
)

// engines are those of one source, one for each of its shards. What they count is
// summed up when somebody asks.
type engines []*engine.Engine

// run runs all of them until the source ends or is closed, or one of them fails,
// which closes it. It returns the errors of those that failed, and of closing.
func (es engines) run(closeSource func() error) error {
	errs := make([]error, len(es))
	var wg sync.WaitGroup
	for i, e := range es {
		wg.Go(func() {
			if err := e.Run(); err != nil {
				errs[i] = errors.Join(err, closeSource())
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// part is the share of engine i of n in a bound of all of them.
func part(bound, i, n int) int {
	p := bound / n
	if i < bound%n {
		p++
	}
	return p
}

func (es engines) stats() (sum engine.Stats) {
	for _, e := range es {
		s := e.Stats()
		sum.Events += s.Events
		sum.CapturedBytes += s.CapturedBytes
		sum.Connections += s.Connections
		sum.OpenExchanges += s.OpenExchanges
		sum.State += s.State
	}
	return sum
}

// sum calls yield once for each key, with the sum of what the engines count by it.
func sum[K comparable](es engines, count func(e *engine.Engine, yield func(K, uint64)), yield func(K, uint64)) {
	all := make(map[K]uint64)
	for _, e := range es {
		count(e, func(k K, n uint64) { all[k] += n })
	}
	for k, n := range all {
		yield(k, n)
	}
}

func (es engines) losses(yield func(reason string, n uint64)) {
	sum(es, (*engine.Engine).Losses, yield)
}

func (es engines) ignored(yield func(reason string, n uint64)) {
	sum(es, (*engine.Engine).Ignored, yield)
}

func (es engines) truncated(yield func(protocol string, n uint64)) {
	sum(es, (*engine.Engine).Truncated, yield)
}

func (es engines) exchanges(yield func(protocol string, how exchange.Outcome, n uint64)) {
	type kind struct {
		protocol string
		how      exchange.Outcome
	}
	sum(es, func(e *engine.Engine, add func(kind, uint64)) {
		e.Exchanges(func(protocol string, how exchange.Outcome, n uint64) { add(kind{protocol, how}, n) })
	}, func(k kind, n uint64) { yield(k.protocol, k.how, n) })
}

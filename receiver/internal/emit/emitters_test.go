package emit

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/process"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const several = 4

// startSeveral starts a Sender and returns it with some Emitters.
func startSeveral(t *testing.T, set Settings) (*Sender, [several]*Emitter) {
	set.Report = report(t, receivertest.NewNopSettings(perisco))
	s := New(set)
	var emitters [several]*Emitter
	for i := range emitters {
		emitters[i] = s.Emitter()
		emitters[i].Tick(1000*ms, epoch)
	}
	s.Start()
	return s, emitters
}

func TestWhatSeveralEnginesEmitIsTakenOrCounted(t *testing.T) {
	const each, processes = 5000, 50
	var looked sync.Map
	c := &answering{decide: func(context.Context) error { time.Sleep(10 * time.Microsecond); return nil }}
	s, emitters := startSeveral(t, Settings{Traces: c, Logs: c, BatchSize: 10, Queue: 4, Identify: func(p exchange.Process) process.Identity {
		n, _ := looked.LoadOrStore(p.PID, new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
		return identify(p)
	}})
	var wg sync.WaitGroup
	for _, e := range emitters {
		wg.Go(func() {
			for i := range each {
				e.Emit(newCall(endpoint(stream.Server, proc(uint32(1+i%processes), "p"+strconv.Itoa(i%processes)))))
			}
			e.Flush()
		})
	}
	wg.Wait()
	require.NoError(t, s.Shutdown(t.Context()))
	var lost uint64
	s.Losses(func(_ string, n uint64) { lost += n })
	assert.EqualValues(t, 2*several*each, uint64(c.took.Load())+lost)
	assert.NotZero(t, c.took.Load())
	looked.Range(func(pid, n any) bool {
		return assert.EqualValues(t, 1, n.(*atomic.Int64).Load(), "process %d is looked up once for all", pid)
	})
	assert.Zero(t, s.Unidentified())
}

func TestTheLastBatchesOfSeveralEnginesWaitForAShortQueue(t *testing.T) {
	c := &answering{decide: func(context.Context) error { time.Sleep(time.Millisecond); return nil }}
	s, emitters := startSeveral(t, Settings{Traces: c, Queue: 1, Identify: identify})
	for _, e := range emitters {
		e.Emit(newCall(endpoint(stream.Server, proc(1, "a"))))
	}
	for _, e := range emitters {
		e.Flush()
	}
	require.NoError(t, s.Shutdown(t.Context()))
	assert.EqualValues(t, several, c.took.Load())
}

// Where the ends of a connection are seen by different engines.
func TestAllEmittersFindTheSameTrace(t *testing.T) {
	x := newCall(endpoint(stream.Server, proc(1, "a")))
	x.Endpoint.Peer, x.First = at("127.0.0.1:40000"), stream.Sequence{Number: 7, Known: true}
	s := New(Settings{Traces: consumertest.NewNop()})
	one, other, elsewhere := s.Emitter(), s.Emitter(), New(Settings{Traces: consumertest.NewNop()}).Emitter()
	for _, e := range []*Emitter{one, other, elsewhere} {
		e.Tick(1000*ms, epoch)
	}
	assert.Equal(t, one.link(&x.Core).trace, other.link(&x.Core).trace)
	assert.NotEqual(t, one.link(&x.Core).trace, elsewhere.link(&x.Core).trace)
	assert.NotEqual(t, one.link(&x.Core).span, other.link(&x.Core).span)
}

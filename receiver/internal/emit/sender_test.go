package emit

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/perisco-io/perisco/receiver/internal/leaktest"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

var (
	errBusy = errors.New("busy")
	errBad  = consumererror.NewPermanent(errors.New("bad"))
)

// answering is a consumer of both signals that answers each call with what
// decide says, and counts what it took.
type answering struct {
	decide func(ctx context.Context) error
	calls  atomic.Int64
	took   atomic.Int64 // spans and log records
}

func (a *answering) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (a *answering) consume(ctx context.Context, items int) error {
	a.calls.Add(1)
	err := a.decide(ctx)
	if err == nil {
		a.took.Add(int64(items))
	}
	return err
}

func (a *answering) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	return a.consume(ctx, td.SpanCount())
}

func (a *answering) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	return a.consume(ctx, ld.LogRecordCount())
}

func emitN(e pair, n int) {
	x := newCall(endpoint(stream.Server, proc(1, "a")))
	for range n {
		e.Emit(x)
	}
}

func TestABatchOfLongExchangesIsSentBeforeItIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := new(consumertest.TracesSink)
		e := started(t, Settings{Traces: sink, BatchSize: 10})
		x := newCall(endpoint(stream.Server, proc(1, "a")))
		x.path = strings.Repeat("p", 8<<10)
		for range 9 {
			e.Emit(x)
		}
		synctest.Wait()
		require.Len(t, sink.AllTraces(), 3, "of 20 KiB")
		assert.Equal(t, 3, sink.AllTraces()[0].SpanCount())
		shutdown(t, e)
	})
}

// However long exchanges are that a pipeline does not take, what waits for it is
// bounded by bytes.
func TestWhatWaitsForThePipelineIsBounded(t *testing.T) {
	const size, exchanges = 128, 30_000
	blocked := make(chan struct{})
	never := &answering{decide: func(context.Context) error { <-blocked; return nil }}
	e := started(t, Settings{Traces: never, Logs: never, BatchSize: size})
	x := newCall(endpoint(stream.Server, proc(1, "a")))
	x.agent = strings.Repeat("a", 10<<10)
	before := leaktest.Heap().Reachable
	for range exchanges {
		x.agent = strings.Clone(x.agent) // as each has its own
		e.Emit(x)
	}
	kept := int(leaktest.Heap().Reachable - before)
	const batches, each = defaultQueue + 2, 4 << 10 // in the queue, at the sender, being filled; an exchange but its text
	most := batches * (size*maxText + x.Size() + size*maxText/x.Size()*each)
	t.Logf("%d bytes are kept, of %d", kept, exchanges*x.Size())
	assert.LessOrEqual(t, kept, most)
	close(blocked)
	shutdown(t, e)
	var lost uint64
	e.Losses(func(_ string, n uint64) { lost += n })
	assert.EqualValues(t, 2*exchanges, uint64(never.took.Load())+lost)
	assert.NotZero(t, never.took.Load())
}

func TestABatchIsSentWhenItIsFullOrOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := new(consumertest.TracesSink)
		e := started(t, Settings{Traces: sink, BatchSize: 10})
		emitN(e, 25)
		synctest.Wait()
		assert.Equal(t, 20, sink.SpanCount(), "two full ones")
		e.Tick(1199*ms, epoch)
		synctest.Wait()
		assert.Equal(t, 20, sink.SpanCount(), "too young")
		e.Tick(1200*ms, epoch)
		synctest.Wait()
		assert.Equal(t, 25, sink.SpanCount())
		e.Tick(9999*ms, epoch)
		shutdown(t, e)
		assert.Len(t, sink.AllTraces(), 3, "never an empty one")
	})
}

func TestTheEngineNeverWaitsForAConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		c := &answering{decide: func(context.Context) error { <-release; return nil }}
		e := started(t, Settings{Traces: c, Logs: c, BatchSize: 10, Queue: 2})
		for range 10 {
			emitN(e, 10)
			synctest.Wait()
		}
		assert.Equal(t, map[string]uint64{"queue_full": 2 * 10 * (10 - 1 - 2)}, e.lost())
		close(release)
		shutdown(t, e)
		assert.EqualValues(t, 2*10*3, c.took.Load())
	})
}

func TestARefusedBatchIsOfferedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n int
		c := &answering{}
		c.decide = func(context.Context) error {
			if n++; n <= 5 {
				return errBusy
			}
			return nil
		}
		var status []error
		e := started(t, Settings{Traces: c, BatchSize: 10, Status: func(err error) { status = append(status, err) }})
		begin := time.Now()
		emitN(e, 10)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.EqualValues(t, 10, c.took.Load())
		assert.Empty(t, e.lost())
		assert.Equal(t, []error{errBusy, nil}, status, "only changes are told")
		assert.Equal(t, time.Minute, time.Since(begin))
		shutdown(t, e)
	})
}

func TestAConsumerThatAlwaysRefusesCostsABatchAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &answering{decide: func(context.Context) error { return errBusy }}
		e := started(t, Settings{Traces: c, BatchSize: 10, RetryFor: 3 * time.Second})
		emitN(e, 10)
		time.Sleep(2 * time.Second)
		assert.Empty(t, e.lost())
		time.Sleep(time.Second)
		assert.Equal(t, map[string]uint64{"refused": 10}, e.lost())
		assert.EqualValues(t, 12, c.calls.Load(), "5 ms doubling to 500 ms")
		shutdown(t, e)
	})
}

func TestAPermanentErrorIsNotRetried(t *testing.T) {
	bad, good := &answering{decide: func(context.Context) error { return errBad }}, &answering{decide: func(context.Context) error { return nil }}
	e := started(t, Settings{Traces: bad, Logs: good, BatchSize: 10})
	emitN(e, 30)
	shutdown(t, e)
	assert.EqualValues(t, 3, bad.calls.Load())
	assert.EqualValues(t, 30, good.took.Load(), "the other signal is not touched")
	assert.Equal(t, map[string]uint64{"rejected": 30}, e.lost())
}

func TestStatusTellsWhenAllAreWellAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		badTraces, badLogs := true, true
		answer := func(bad *bool) *answering {
			return &answering{decide: func(context.Context) error {
				if *bad {
					return errBad
				}
				return nil
			}}
		}
		var status []error
		e := started(t, Settings{
			Traces: answer(&badTraces), Logs: answer(&badLogs), BatchSize: 1,
			Status: func(err error) { status = append(status, err) },
		})
		for range 3 {
			emitN(e, 1)
			synctest.Wait()
		}
		badTraces = false
		emitN(e, 1)
		synctest.Wait()
		assert.Equal(t, []error{errBad}, status)
		badLogs = false
		emitN(e, 1)
		shutdown(t, e)
		assert.Equal(t, []error{errBad, nil}, status)
	})
}

func TestShutdownSendsWhatIsLeft(t *testing.T) {
	c := &answering{decide: func(context.Context) error { time.Sleep(time.Millisecond); return nil }}
	e := started(t, Settings{Traces: c, Logs: c, BatchSize: 10})
	emitN(e, 105)
	shutdown(t, e)
	assert.EqualValues(t, 2*105, c.took.Load())
	assert.Empty(t, e.lost())
	shutdown(t, e) // again
}

func TestShutdownDoesNotRetryForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &answering{decide: func(context.Context) error { return errBusy }}
		e := started(t, Settings{Traces: c, BatchSize: 10, RetryFor: time.Hour})
		emitN(e, 35)
		time.Sleep(time.Second)
		begin := time.Now()
		shutdown(t, e)
		assert.Equal(t, map[string]uint64{"refused": 35}, e.lost())
		assert.Zero(t, time.Since(begin))
	})
}

func TestShutdownWithoutStartCountsWhatItDrops(t *testing.T) {
	e := newPair(Settings{Traces: consumertest.NewNop(), Logs: consumertest.NewNop(), BatchSize: 10})
	e.Tick(1000*ms, epoch)
	emitN(e, 25)
	shutdown(t, e)
	assert.Equal(t, map[string]uint64{"shutdown": 50}, e.lost())
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	t.Run("a consumer that honours its context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := &answering{decide: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
			e := started(t, Settings{Traces: c, BatchSize: 10, Queue: 2})
			emitN(e, 35)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begin := time.Now()
			assert.ErrorIs(t, e.Shutdown(ctx), context.DeadlineExceeded)
			assert.Equal(t, time.Second, time.Since(begin))
			assert.EqualValues(t, 35, e.lost()["shutdown"]+e.lost()["queue_full"])
		})
	})
	t.Run("a consumer that ignores it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			c := &answering{decide: func(context.Context) error { <-release; return nil }}
			e := started(t, Settings{Traces: c, BatchSize: 10})
			emitN(e, 35)
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begin := time.Now()
			assert.ErrorIs(t, e.Shutdown(ctx), context.DeadlineExceeded)
			assert.Equal(t, time.Second+grace, time.Since(begin))
			assert.Equal(t, map[string]uint64{"shutdown": 25}, e.lost(), "the first is still with the consumer")
			close(release)
			synctest.Wait()
			assert.EqualValues(t, 10, c.took.Load())
		})
	})
}

func TestEveryItemIsTakenOrCounted(t *testing.T) {
	for range 30 {
		synctest.Test(t, func(t *testing.T) {
			c := &answering{decide: func(ctx context.Context) error {
				select {
				case <-time.After(time.Duration(rand.IntN(200)) * time.Millisecond):
				case <-ctx.Done():
					return ctx.Err()
				}
				return []error{nil, nil, errBusy, errBusy, errBad}[rand.IntN(5)]
			}}
			e := started(t, Settings{Traces: c, Logs: c, BatchSize: 1 + rand.IntN(50), Queue: 1 + rand.IntN(4), RetryFor: time.Second})
			n, now := 0, 1000*ms
			for range 200 {
				some := rand.IntN(60)
				emitN(e, some)
				n += some
				time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
				now += 50 * ms
				e.Tick(now, epoch)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(1000))*time.Millisecond)
			defer cancel()
			_ = e.Shutdown(ctx)
			synctest.Wait()
			lost := uint64(0)
			for _, items := range e.lost() {
				lost += items
			}
			assert.EqualValues(t, 2*n, uint64(c.took.Load())+lost, e.lost())
		})
	}
}

func TestObsReportCountsEachItemOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := componenttest.NewTelemetry()
		set := receivertest.NewNopSettings(perisco)
		set.TelemetrySettings = tel.NewTelemetrySettings()
		answers := []error{errBusy, errBusy, nil, errBad, nil}
		c := &answering{}
		c.decide = func(context.Context) error { return answers[c.calls.Load()-1] }
		e := newPair(Settings{Traces: c, BatchSize: 10, Report: report(t, set), Identify: identify})
		e.Start()
		emitN(e, 30)
		time.Sleep(time.Second)
		for name, want := range map[string]int64{"otelcol_receiver_accepted_spans": 20, "otelcol_receiver_refused_spans": 10} {
			m, err := tel.GetMetric(name)
			require.NoError(t, err)
			assert.Equal(t, want, m.Data.(metricdata.Sum[int64]).DataPoints[0].Value, name)
		}
		shutdown(t, e)
		require.NoError(t, tel.Shutdown(t.Context()))
	})
}

// A source that loses nothing by waiting is made to wait, until it is to stop.
func TestEmitWaitsForASlowConsumerIfItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &answering{decide: func(context.Context) error { time.Sleep(time.Second); return nil }}
		e := started(t, Settings{Traces: slow, BatchSize: 1, Queue: 1, Wait: true})
		emitN(e, 10)
		e.Release()
		shutdown(t, e)
		assert.EqualValues(t, 10, slow.took.Load())
		assert.Empty(t, e.lost())
	})
}

func TestReleaseLetsGoOfWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := &answering{decide: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		e := started(t, Settings{Traces: stuck, BatchSize: 1, Queue: 1, Wait: true})
		time.AfterFunc(time.Second, e.Release)
		emitN(e, 10)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Error(t, e.Shutdown(ctx))
		var lost uint64
		for _, n := range e.lost() {
			lost += n
		}
		assert.EqualValues(t, 10, lost)
	})
}

package emit

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/process"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

func TestAProcessIsLookedUpAtFirstSightAndThenNeverAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looked atomic.Int64
		e := started(t, Settings{Traces: consumertest.NewNop(), Identify: func(p exchange.Process) process.Identity {
			looked.Add(1)
			return identify(p)
		}})
		e.Process(proc(1, "a"))
		synctest.Wait()
		assert.EqualValues(t, 1, looked.Load(), "before its first exchange")
		emitN(e, 10_000)
		shutdown(t, e)
		assert.EqualValues(t, 1, looked.Load())
		assert.Zero(t, e.Unidentified())
	})
}

func TestAProcessOfWhichNothingCouldBeReadIsCounted(t *testing.T) {
	e := started(t, Settings{Traces: consumertest.NewNop(), Identify: process.Short})
	emitN(e, 1000)
	shutdown(t, e)
	assert.EqualValues(t, 1, e.Unidentified())
}

func TestAProcessThatHangsIsToldByItsShortName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		sink := new(consumertest.TracesSink)
		e := started(t, Settings{Traces: sink, BatchSize: 2, Identify: func(p exchange.Process) process.Identity {
			if p.PID == 1 {
				<-hang
			}
			return identify(p)
		}})
		begin := time.Now()
		pair := func() {
			e.Emit(newCall(endpoint(stream.Server, proc(1, "stuck"))))
			e.Emit(newCall(endpoint(stream.Server, proc(2, "fine"))))
		}
		names := func() (paths []string) {
			rs := sink.AllTraces()[len(sink.AllTraces())-1].ResourceSpans()
			for i := range rs.Len() {
				v, _ := rs.At(i).Resource().Attributes().Get("process.executable.name")
				_, known := rs.At(i).Resource().Attributes().Get("process.executable.path")
				if known {
					paths = append(paths, v.Str()+" is known")
				} else {
					paths = append(paths, v.Str())
				}
			}
			return paths
		}
		pair()
		time.Sleep(patience)
		synctest.Wait()
		assert.Equal(t, []string{"stuck", "fine is known"}, names())
		pair()
		synctest.Wait()
		assert.Equal(t, []string{"stuck", "fine is known"}, names())
		assert.Equal(t, patience, time.Since(begin), "it is waited for once")
		assert.EqualValues(t, 2, e.Unidentified())
		close(hang)
		synctest.Wait()
		pair()
		synctest.Wait()
		assert.Equal(t, []string{"stuck is known", "fine is known"}, names())
		shutdown(t, e)
	})
}

func TestAPidThatIsUsedAgainHasAResourceOfItsOwn(t *testing.T) {
	sink := new(consumertest.TracesSink)
	e := started(t, Settings{Traces: sink})
	first, second := proc(1, "first"), proc(1, "second")
	second.Start++
	for range 3 {
		e.Emit(newCall(endpoint(stream.Server, first)))
		e.Emit(newCall(endpoint(stream.Server, second)))
	}
	shutdown(t, e)
	rs := sink.AllTraces()[0].ResourceSpans()
	require.Equal(t, 2, rs.Len())
	for i, want := range []string{"first", "second"} {
		got, _ := rs.At(i).Resource().Attributes().Get("process.executable.name")
		assert.Equal(t, want, got.Str())
		assert.Equal(t, 3, rs.At(i).ScopeSpans().At(0).Spans().Len())
	}
}

func TestAStormOfProcessesIsLookedUpInTheEnd(t *testing.T) {
	const n = 4 * maxUnknown
	var looked atomic.Int64
	e := started(t, Settings{Traces: consumertest.NewNop(), Identify: func(p exchange.Process) process.Identity {
		looked.Add(1)
		return identify(p)
	}})
	for round := 0; looked.Load() < n; round++ {
		require.Less(t, round, 10_000)
		for i := range uint32(n) {
			e.Process(proc(1+i, "a"))
		}
		time.Sleep(time.Millisecond)
	}
	shutdown(t, e)
	assert.EqualValues(t, n, looked.Load(), "each once")
}

func TestWhatAProcessDeclaresGivesWayToWhatWasSeen(t *testing.T) {
	r := newResource(process.Identity{PID: 7, ServiceName: "cart", Declared: []process.Attribute{
		{Key: "service.namespace", Value: "shop"}, {Key: "k8s.pod.uid", Value: "declared"}, {Key: "process.pid", Value: "1"},
	}}, "node")
	assert.Equal(t, map[string]any{
		"service.name": "cart", "service.namespace": "shop", "k8s.pod.uid": "declared", "process.pid": int64(7), "host.name": "node",
	}, r.Attributes().AsRaw())
}

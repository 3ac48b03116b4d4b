package emit

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
)

// recycling is a consumer as the service of the Collector wraps the first
// component of each pipeline: what it is given is over when it returns.
type recycling struct {
	answering
	traces ptrace.Traces // given last
	logs   plog.Logs
}

func (r *recycling) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	if r.traces = td; pref.MarkPipelineOwnedTraces(td) {
		defer pref.UnrefTraces(td)
	}
	return r.answering.ConsumeTraces(ctx, td)
}

func (r *recycling) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	if r.logs = ld; pref.MarkPipelineOwnedLogs(ld) {
		defer pref.UnrefLogs(ld)
	}
	return r.answering.ConsumeLogs(ctx, ld)
}

func TestWhatIsOfferedAgainIsNotRecycledBefore(t *testing.T) {
	gate := pref.UseProtoPooling
	for _, pooled := range []bool{false, true} {
		before := gate.IsEnabled()
		require.NoError(t, featuregate.GlobalRegistry().Set(gate.ID(), pooled))
		t.Cleanup(func() { require.NoError(t, featuregate.GlobalRegistry().Set(gate.ID(), before)) })
		for what, last := range map[string]error{"taken": nil, "rejected": errBad} {
			synctest.Test(t, func(t *testing.T) {
				c := &recycling{}
				c.decide = func(context.Context) error {
					if c.calls.Load()%3 > 0 { // the first two times of each signal
						return errBusy
					}
					return last
				}
				e := started(t, Settings{Traces: c, Logs: c, BatchSize: 10})
				emitN(e, 10)
				time.Sleep(time.Second)
				synctest.Wait()
				assert.EqualValues(t, 6, c.calls.Load(), what)
				if last == nil {
					assert.EqualValues(t, 20, c.took.Load(), "pooled %v", pooled)
				} else {
					assert.Equal(t, map[string]uint64{"rejected": 20}, e.lost())
				}
				// It is when it is offered no more.
				assert.Equal(t, pooled, c.traces.SpanCount() == 0, what)
				assert.Equal(t, pooled, c.logs.LogRecordCount() == 0, what)
				shutdown(t, e)
			})
		}
	}
}

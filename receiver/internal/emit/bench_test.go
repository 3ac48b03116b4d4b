package emit

import (
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// byHand builds the pdata of n exchanges as well as one can who knows it all
// beforehand: the least that any receiver pays.
func byHand(n int, x *call) {
	td, ld := ptrace.NewTraces(), plog.NewLogs()
	rs, rl := td.ResourceSpans().AppendEmpty(), ld.ResourceLogs().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "a")
	rl.Resource().Attributes().PutStr("service.name", "a")
	spans, records := rs.ScopeSpans().AppendEmpty().Spans(), rl.ScopeLogs().AppendEmpty().LogRecords()
	for i := range n {
		s := spans.AppendEmpty()
		s.SetName("GET")
		s.SetKind(ptrace.SpanKindServer)
		s.SetTraceID(pcommon.TraceID{1, byte(i)})
		s.SetSpanID(pcommon.SpanID{1, byte(i)})
		s.SetFlags(1)
		s.SetStartTimestamp(epoch)
		s.SetEndTimestamp(epoch + 1)
		m := s.Attributes()
		m.EnsureCapacity(16)
		x.Attributes(m, nil)
		m.PutStr("network.peer.address", "10.0.0.2")
		m.PutInt("network.peer.port", 40000)
		r := records.AppendEmpty()
		r.SetEventName("perisco.exchange")
		r.SetTimestamp(epoch + 1)
		r.SetObservedTimestamp(epoch + 1)
		r.SetSeverityNumber(plog.SeverityNumberInfo)
		r.SetTraceID(s.TraceID())
		r.SetSpanID(s.SpanID())
		r.SetFlags(1)
		r.Body().SetStr("GET /books/7 200 3.2ms")
		r.Attributes().EnsureCapacity(15)
		m.CopyTo(r.Attributes())
		r.Attributes().PutInt("perisco.exchange.duration", 1)
	}
}

func TestEmittingAllocatesLittleMoreThanPdataAlone(t *testing.T) {
	x := newCall(endpoint(stream.Server, proc(1, "a")))
	e := started(t, Settings{Traces: consumertest.NewNop(), Logs: consumertest.NewNop()})
	alone := testing.AllocsPerRun(20, func() { byHand(DefaultBatchSize, x) })
	whole := testing.AllocsPerRun(20, func() { emitN(e, DefaultBatchSize) })
	shutdown(t, e)
	t.Logf("%v, alone %v", whole, alone)
	// The texts of the bodies, which are a constant by hand; a batch, its sending.
	assert.LessOrEqual(t, whole, alone+DefaultBatchSize/16+64)
}

// emitting returns a pair that runs, of both signals.
func emitting(b *testing.B) pair {
	e := started(b, Settings{Traces: consumertest.NewNop(), Logs: consumertest.NewNop()})
	b.Cleanup(func() { shutdown(b, e) })
	return e
}

func BenchmarkExchange(b *testing.B) {
	x := newCall(endpoint(stream.Server, proc(1, "a")))
	b.Run("pdata alone", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; i < b.N; i += DefaultBatchSize {
			byHand(min(DefaultBatchSize, b.N-i), x)
		}
	})
	b.Run("emit", func(b *testing.B) {
		e := emitting(b)
		b.ReportAllocs()
		b.ResetTimer()
		emitN(e, b.N)
	})
	b.Run("emit, 50 processes in turn", func(b *testing.B) {
		e := emitting(b)
		calls := make([]*call, 50)
		for i := range calls {
			calls[i] = newCall(endpoint(stream.Server, proc(uint32(1+i), "p"+strconv.Itoa(i))))
		}
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			e.Emit(calls[i%len(calls)])
		}
	})
	// Both in turn, so that they see the same machine, for long enough that
	// each sees many garbage collections; on one processor, so that those and
	// the sender are in the time of who causes them. Medians, because others
	// use the machine too.
	b.Run("ratio", func(b *testing.B) {
		const batches = 32
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		e := emitting(b)
		var alone, whole []time.Duration
		for i := 0; i < b.N; i += batches * DefaultBatchSize {
			t0 := time.Now()
			for range batches {
				byHand(DefaultBatchSize, x)
				runtime.Gosched()
			}
			t1 := time.Now()
			for range batches {
				emitN(e, DefaultBatchSize)
				runtime.Gosched()
			}
			alone, whole = append(alone, t1.Sub(t0)), append(whole, time.Since(t1))
		}
		b.ReportMetric(float64(median(whole))/float64(median(alone)), "ratio")
		b.ReportMetric(float64(median(alone))/(batches*DefaultBatchSize), "alone-ns/op")
		b.ReportMetric(float64(median(whole))/(batches*DefaultBatchSize), "emit-ns/op")
		if lost := e.lost(); len(lost) > 0 {
			b.Errorf("not the whole path: %v", lost)
		}
	})
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

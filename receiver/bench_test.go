package receiver

import (
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/emit"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/process"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/protocol/http1"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// A loop is a source that plays one exchange again and again, on one
// connection, until it has played enough.
type loop struct {
	*tap
	events [2]capture.Event // request and answer
	played int
	enough int
}

func (s *loop) Shards() []capture.Shard { return []capture.Shard{s} }

func (s *loop) Next(e *capture.Event) error {
	if s.played == s.enough {
		s.end(io.EOF)
		return io.EOF
	}
	this, other := &s.events[s.played&1], &s.events[s.played&1^1]
	*e = *this
	e.Time += stream.Time(s.played) * 1000
	this.Seq += e.Len
	other.Ack += e.Len
	s.played++
	return nil
}

// BenchmarkExchange is an exchange from its two events to a consumer that
// does nothing: engine, protocol, span and log record, batch.
func BenchmarkExchange(b *testing.B) {
	recorded := newTap()
	go recorded.get(1, "/books/7?page=2")
	<-recorded.events // opened
	request, answer := <-recorded.events, <-recorded.events
	<-recorded.events // closed

	for _, signal := range []string{"traces", "logs", "both"} {
		b.Run(signal, func(b *testing.B) {
			source := &loop{tap: newTap(), events: [2]capture.Event{request, answer}, enough: 2 * b.N}
			f := newFactory(func(*Config) (capture.Source, error) { return source, nil })
			cfg := f.CreateDefaultConfig()
			var r component.Component
			var err error
			if signal != "logs" {
				r, err = f.CreateTraces(b.Context(), nop(), cfg, consumertest.NewNop())
				require.NoError(b, err)
			}
			if signal != "traces" {
				r, err = f.CreateLogs(b.Context(), nop(), cfg, consumertest.NewNop())
				require.NoError(b, err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			require.NoError(b, r.Start(b.Context(), componenttest.NewNopHost()))
			<-source.done
			require.NoError(b, r.Shutdown(b.Context()))
		})
	}
}

// BenchmarkWhole compares the whole way of an exchange, from its two events to
// a filled span and log record, with building that span and record alone. Both
// in turn and on one processor, as in emit's benchmark.
func BenchmarkWhole(b *testing.B) {
	const block = 16 * 1024 // exchanges
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))

	recorded := newTap()
	go func() {
		c := recorded.talk(1)
		c.client("GET /books/7?page=2 HTTP/1.1\r\nHost: books.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n" +
			"Accept: text/html,application/xhtml+xml,application/xml;q=0.9\r\nAccept-Language: en\r\nX-Padding: " +
			strings.Repeat("x", 400) + "\r\n\r\n")
		c.server("HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: 100\r\n\r\n" + strings.Repeat("x", 100))
		c.close()
	}()
	<-recorded.events
	request, answer := <-recorded.events, <-recorded.events
	<-recorded.events

	whole := func(sink engine.Sink, n int) {
		source := &loop{tap: newTap(), events: [2]capture.Event{request, answer}, enough: 2 * n}
		e := engine.New(engine.Settings{
			Source: source, Sink: sink, Protocols: []protocol.Protocol{http1.New(httpconv.Options{})},
			RequestTimeout: time.Minute, MaxConnections: 10, MaxState: 64 << 20,
		})
		require.NoError(b, e.Run())
	}
	spans, records := new(consumertest.TracesSink), new(consumertest.LogsSink)
	settings := emit.Settings{Traces: spans, Logs: records, Report: newReport(b), Identify: process.Short, Wait: true}
	sender := emit.New(settings)
	sink := sender.Emitter()
	sender.Start()
	whole(sink, 1)
	require.NoError(b, sender.Shutdown(b.Context()))
	span := spans.AllTraces()[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	record := records.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)

	settings.Traces, settings.Logs = consumertest.NewNop(), consumertest.NewNop()
	sender = emit.New(settings)
	sink = sender.Emitter()
	sender.Start()
	var alone, all []time.Duration
	for i := 0; i < b.N; i += block {
		t0 := time.Now()
		for range block / 512 {
			again(512, span, record)
		}
		t1 := time.Now()
		whole(sink, block)
		alone, all = append(alone, t1.Sub(t0)), append(all, time.Since(t1))
	}
	sender.Release()
	require.NoError(b, sender.Shutdown(b.Context()))
	slices.Sort(alone)
	slices.Sort(all)
	m := len(all) / 2
	b.ReportMetric(float64(alone[m])/block, "alone-ns/op")
	b.ReportMetric(float64(all[m])/block, "whole-ns/op")
	b.ReportMetric(float64(all[m])/float64(alone[m]), "ratio")
}

// again builds n copies of a span and its record, value by value.
func again(n int, span ptrace.Span, record plog.LogRecord) (ptrace.Traces, plog.Logs) {
	td, ld := ptrace.NewTraces(), plog.NewLogs()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for range n {
		s := spans.AppendEmpty()
		s.SetName(span.Name())
		s.SetKind(span.Kind())
		s.SetTraceID(span.TraceID())
		s.SetSpanID(span.SpanID())
		s.SetFlags(span.Flags())
		s.SetStartTimestamp(span.StartTimestamp())
		s.SetEndTimestamp(span.EndTimestamp())
		copyValues(s.Attributes(), span.Attributes())
		r := records.AppendEmpty()
		r.SetEventName(record.EventName())
		r.SetTimestamp(record.Timestamp())
		r.SetObservedTimestamp(record.ObservedTimestamp())
		r.SetSeverityNumber(record.SeverityNumber())
		r.SetTraceID(record.TraceID())
		r.SetSpanID(record.SpanID())
		r.SetFlags(record.Flags())
		r.Body().SetStr(strings.Clone(record.Body().Str()))
		copyValues(r.Attributes(), record.Attributes())
	}
	return td, ld
}

// copyValues makes strings anew, as from bytes.
func copyValues(to, from pcommon.Map) {
	to.EnsureCapacity(from.Len())
	for k, v := range from.All() {
		switch v.Type() {
		case pcommon.ValueTypeStr:
			to.PutStr(k, strings.Clone(v.Str()))
		case pcommon.ValueTypeInt:
			to.PutInt(k, v.Int())
		}
	}
}

package receiver

import (
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/ptracetest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perisco-io/perisco/receiver/internal/protocol/protocoltest"
)

// TestGolden follows a conversation from its events to what the pipelines get.
func TestGolden(t *testing.T) {
	tap := newTap()
	tap.epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano()
	f := newFactory(tap.open)
	cfg := f.CreateDefaultConfig().(*Config)
	cfg.Batch.Timeout = math.MaxInt64 // one batch, at the end
	cfg.RequestTimeout = math.MaxInt64
	cfg.ProcPath = t.TempDir() // no process is known, nor the machine
	p := newPair(t, f, nop(), cfg)
	require.NoError(t, p.start())

	c := tap.talk(1)
	c.at = 0
	c.client("GET /books/7?page=2 HTTP/1.1\r\nHost: books.example:8080\r\nUser-Agent: reader/1.0\r\n" +
		"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=1\r\n\r\n")
	c.server("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello ")
	c.server("world")
	c.client("POST /books HTTP/1.1\r\nHost: books.example:8080\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	c.server("HTTP/1.1 100 Continue\r\n\r\n")
	c.client("{}")
	c.server("HTTP/1.1 503 Service Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsorr\r\n1\r\ny\r\n0\r\n\r\n")
	c.client("BREW /pot HTTP/1.1\r\nHost: books.example:8080\r\n\r\n")
	c.close()
	require.NoError(t, p.shutdown())
	require.Len(t, p.spans.AllTraces(), 1)
	require.Len(t, p.record.AllLogs(), 1)
	traces, logs := p.spans.AllTraces()[0], p.record.AllLogs()[0]
	calm(t, traces, logs)

	tracesFile, logsFile := filepath.Join("testdata", "golden", "traces.yaml"), filepath.Join("testdata", "golden", "logs.yaml")
	if *protocoltest.Update {
		require.NoError(t, golden.WriteTracesToFile(tracesFile, traces))
		require.NoError(t, golden.WriteLogsToFile(logsFile, logs))
	}
	wantTraces, err := golden.ReadTraces(tracesFile)
	require.NoError(t, err)
	require.NoError(t, ptracetest.CompareTraces(wantTraces, traces))
	wantLogs, err := golden.ReadLogs(logsFile)
	require.NoError(t, err)
	require.NoError(t, plogtest.CompareLogs(wantLogs, logs))
}

// calm replaces what is different each time: random ids, and when a record was
// written. Before that it checks that every span has its record.
func calm(t *testing.T, traces ptrace.Traces, logs plog.Logs) {
	t.Helper()
	require.Equal(t, 1, traces.ResourceSpans().Len(), "one process was seen")
	spans := traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	records := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	require.Equal(t, spans.Len(), records.Len())
	for i, s := range spans.All() {
		r := records.At(i)
		require.Equal(t, s.TraceID(), r.TraceID())
		require.Equal(t, s.SpanID(), r.SpanID())
		require.GreaterOrEqual(t, r.ObservedTimestamp(), r.Timestamp())
		r.SetObservedTimestamp(r.Timestamp())
		n := byte(i + 1)
		s.SetSpanID(pcommon.SpanID{n})
		r.SetSpanID(pcommon.SpanID{n})
		if s.ParentSpanID().IsEmpty() {
			s.SetTraceID(pcommon.TraceID{n})
			r.SetTraceID(pcommon.TraceID{n})
		}
	}
}

package emit

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const (
	eventName    = "perisco.exchange"
	durationKey  = "perisco.exchange.duration" // ns
	truncatedKey = "perisco.truncated"

	// What the attributes of the first exchange of a process rarely exceed. Those
	// of others have the place that was needed before.
	usualAttributes = 14

	// Bits of a span's flags; OTLP, trace.proto, SpanFlags.
	flagsTrace       = 0xff // W3C Trace Context 3.2.2.5
	flagSampled      = 0x01
	flagRandom       = 0x02 // W3C Trace Context Level 2: the trace id is random
	flagHasRemote    = 0x100
	flagParentRemote = 0x200
)

func (e *Emitter) wall(t stream.Time) pcommon.Timestamp { return pcommon.Timestamp(int64(t) + e.epoch) }

// write appends x to a group: as a span, as a log record, or as both, which
// then have the same attributes.
func (e *Emitter) write(x exchange.Exchange, g *group) {
	c := x.Base()
	l := e.link(c)
	if e.set.Traces == nil {
		r := g.record.AppendEmpty()
		e.attributes(x, c, r.Attributes(), g.actor, 1)
		e.fillRecord(r, x, c, l)
		return
	}
	s := g.span.AppendEmpty()
	e.attributes(x, c, s.Attributes(), g.actor, 0)
	e.fillSpan(s, x, c, l)
	if e.set.Logs != nil {
		r := g.record.AppendEmpty()
		r.Attributes().EnsureCapacity(s.Attributes().Len() + 1)
		s.Attributes().CopyTo(r.Attributes())
		e.fillRecord(r, x, c, l)
	}
}

// attributes fills m with what spans and log records have in common, and
// leaves room for some more.
func (e *Emitter) attributes(x exchange.Exchange, c *exchange.Core, m pcommon.Map, a *actor, more int) {
	side := c.Endpoint.Side
	m.EnsureCapacity(a.attributes(side) + more)
	x.Attributes(m, &e.strings)
	if peer := c.Endpoint.Peer; peer.IsValid() {
		m.PutStr(string(semconv.NetworkPeerAddressKey), e.strings.Address(peer))
		m.PutInt(string(semconv.NetworkPeerPortKey), int64(peer.Port()))
	}
	if c.ErrorType != "" {
		m.PutStr(string(semconv.ErrorTypeKey), c.ErrorType)
	}
	if c.Truncated {
		m.PutBool(truncatedKey, true)
	}
	a.had(side, m.Len())
}

func (e *Emitter) fillSpan(s ptrace.Span, x exchange.Exchange, c *exchange.Core, l link) {
	s.SetName(x.SpanName(&e.strings))
	s.SetKind(ptrace.SpanKindClient)
	if c.Endpoint.Side == stream.Server {
		s.SetKind(ptrace.SpanKindServer)
	}
	s.SetTraceID(l.trace)
	s.SetSpanID(l.span)
	s.SetParentSpanID(l.parent)
	s.SetFlags(l.flags)
	s.SetStartTimestamp(l.start)
	s.SetEndTimestamp(l.end)
	if c.ErrorType != "" {
		s.Status().SetCode(ptrace.StatusCodeError)
	}
	if len(c.Trace.State) > 0 && isText(c.Trace.State) && !c.Trace.ID.IsEmpty() {
		s.TraceState().FromRaw(string(c.Trace.State))
	}
}

// fillRecord completes a log record whose attributes are those of its span.
func (e *Emitter) fillRecord(r plog.LogRecord, x exchange.Exchange, c *exchange.Core, l link) {
	r.SetEventName(eventName)
	r.SetTimestamp(l.end)
	r.SetObservedTimestamp(max(l.end, e.wall(e.now))) // Tick's time is a little old
	r.SetSeverityNumber(plog.SeverityNumberInfo)
	if c.ErrorType != "" {
		r.SetSeverityNumber(plog.SeverityNumberError)
	}
	r.SetTraceID(l.trace)
	r.SetSpanID(l.span)
	r.SetFlags(plog.LogRecordFlags(l.flags & flagsTrace)) // the other bits are reserved here
	took := int64(l.end - l.start)
	r.Attributes().PutInt(durationKey, took)
	e.summary = append(x.Summary(e.summary[:0]), ' ')
	e.summary = appendDuration(e.summary, took)
	r.Body().SetStr(e.strings.Of(e.summary))
}

// isText says whether a tracestate is printable ASCII (W3C Trace Context
// 3.3.1.3), which a span may hold.
func isText(s []byte) bool {
	for _, c := range s {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

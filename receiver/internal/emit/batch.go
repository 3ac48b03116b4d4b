package emit

import (
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// A batch is what the consumers get in one call. The engine's goroutine fills
// it; once in the queue it is the sender's.
type batch struct {
	emitter   *Emitter
	serial    uint64
	born      stream.Time
	exchanges int
	text      int           // bytes, about
	traces    ptrace.Traces // valid if Settings.Traces is set
	logs      plog.Logs     // valid if Settings.Logs is set
	groups    []group
}

// A group is what one process did. Its resource is filled by the sender, when
// it is known.
type group struct {
	subject *subject
	pending bool // the subject is being looked up, or has been
	spans   ptrace.ResourceSpans
	records plog.ResourceLogs
	span    ptrace.SpanSlice
	record  plog.LogRecordSlice
}

func (e *Emitter) newBatch() *batch {
	e.serial++
	b := &batch{emitter: e, serial: e.serial, born: e.now}
	if e.set.Traces != nil {
		b.traces = ptrace.NewTraces()
	}
	if e.set.Logs != nil {
		b.logs = plog.NewLogs()
	}
	return b
}

// group returns the group of a process. Valid until the next call.
func (b *batch) group(s *subject) *group {
	if s.batch == b.serial {
		return &b.groups[s.group]
	}
	s.begin(b.serial, len(b.groups))
	g := group{subject: s}
	set := &b.emitter.set
	if set.Traces != nil {
		g.spans = b.traces.ResourceSpans().AppendEmpty()
		ss := g.spans.ScopeSpans().AppendEmpty()
		ss.SetSchemaUrl(semconv.SchemaURL)
		ss.Scope().SetName(set.Scope)
		ss.Scope().SetVersion(set.Version)
		g.span = ss.Spans()
		g.span.EnsureCapacity(s.length)
	}
	if set.Logs != nil {
		g.records = b.logs.ResourceLogs().AppendEmpty()
		sl := g.records.ScopeLogs().AppendEmpty()
		sl.SetSchemaUrl(semconv.SchemaURL)
		sl.Scope().SetName(set.Scope)
		sl.Scope().SetVersion(set.Version)
		g.record = sl.LogRecords()
		g.record.EnsureCapacity(s.length)
	}
	b.groups = append(b.groups, g)
	return &b.groups[s.group]
}

// length is how many exchanges are in the group. Settings want one signal or both.
func (g *group) length() int {
	if g.span == (ptrace.SpanSlice{}) {
		return g.record.Len()
	}
	return g.span.Len()
}

// identify fills the resources. It waits for those that are being looked up,
// for patience in all.
func (b *batch) identify(patience time.Duration) {
	late := time.NewTimer(patience)
	defer late.Stop()
	for i := range b.groups {
		g := &b.groups[i]
		r := b.emitter.resource(g, late)
		if b.emitter.set.Traces != nil {
			r.CopyTo(g.spans.Resource())
		}
		if b.emitter.set.Logs != nil {
			r.CopyTo(g.records.Resource())
		}
	}
}

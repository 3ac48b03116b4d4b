package emit

import (
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// A batch is what the consumers get in one call. An engine's goroutine fills
// it; once in the queue it is the sender's.
type batch struct {
	set       *Settings
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
	actor   *actor
	pending bool // the subject is being looked up, or has been
	spans   ptrace.ResourceSpans
	records plog.ResourceLogs
	span    ptrace.SpanSlice
	record  plog.LogRecordSlice
}

func (e *Emitter) newBatch() *batch {
	e.serial++
	b := &batch{set: e.set, serial: e.serial, born: e.now}
	if e.set.Traces != nil {
		b.traces = ptrace.NewTraces()
	}
	if e.set.Logs != nil {
		b.logs = plog.NewLogs()
	}
	return b
}

// group returns the group of a process. Valid until the next call.
func (b *batch) group(a *actor) *group {
	if a.batch == b.serial {
		return &b.groups[a.group]
	}
	a.begin(b.serial, len(b.groups))
	g := group{actor: a}
	set := b.set
	if set.Traces != nil {
		g.spans = b.traces.ResourceSpans().AppendEmpty()
		ss := g.spans.ScopeSpans().AppendEmpty()
		ss.SetSchemaUrl(semconv.SchemaURL)
		ss.Scope().SetName(set.Scope)
		ss.Scope().SetVersion(set.Version)
		g.span = ss.Spans()
		g.span.EnsureCapacity(a.length)
	}
	if set.Logs != nil {
		g.records = b.logs.ResourceLogs().AppendEmpty()
		sl := g.records.ScopeLogs().AppendEmpty()
		sl.SetSchemaUrl(semconv.SchemaURL)
		sl.Scope().SetName(set.Scope)
		sl.Scope().SetVersion(set.Version)
		g.record = sl.LogRecords()
		g.record.EnsureCapacity(a.length)
	}
	b.groups = append(b.groups, g)
	return &b.groups[a.group]
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
func (s *Sender) identify(b *batch, patience time.Duration) {
	late := time.NewTimer(patience)
	defer late.Stop()
	for i := range b.groups {
		g := &b.groups[i]
		r := s.resource(g, late)
		if s.set.Traces != nil {
			r.CopyTo(g.spans.Resource())
		}
		if s.set.Logs != nil {
			r.CopyTo(g.records.Resource())
		}
	}
}

package e2e

import (
	"bytes"
	"errors"
	"io"
	"net/url"
	"os"
	"slices"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// A journal is a file to which the file exporter appends lines of JSON. It can
// be read while it grows.
type journal[T any] struct {
	path   string
	decode func(line []byte, into []T) ([]T, error)
	items  []T // read so far

	offset int64 // of the first line that was not read
}

// read adds what was written since the last call, and returns it.
func (j *journal[T]) read(t testing.TB) []T {
	t.Helper()
	known := len(j.items)
	f, err := os.Open(j.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // the exporter has not started
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, j.offset, 1<<40))
	if err != nil {
		t.Fatal(err)
	}
	for {
		line, rest, complete := bytes.Cut(data, []byte("\n"))
		if !complete {
			return j.items[known:]
		}
		if j.items, err = j.decode(line, j.items); err != nil {
			t.Fatalf("read %s at %d: %v", j.path, j.offset, err)
		}
		j.offset += int64(len(data) - len(rest))
		data = rest
	}
}

// origin is what spans and log records of one process share.
type origin struct {
	resource pcommon.Map
	scope    pcommon.InstrumentationScope
	schema   string
}

func (o origin) pid() int        { return int(number(o.resource, "process.pid")) }
func (o origin) service() string { return text(o.resource, "service.name") }

// A span is a span and where it came from.
type span struct {
	ptrace.Span
	origin
}

func decodeSpans(line []byte, into []span) ([]span, error) {
	td, err := new(ptrace.JSONUnmarshaler).UnmarshalTraces(line)
	if err != nil {
		return into, err
	}
	return appendSpans(into, td), nil
}

func appendSpans(into []span, td ptrace.Traces) []span {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			from := origin{rs.Resource().Attributes(), ss.Scope(), ss.SchemaUrl()}
			for _, s := range ss.Spans().All() {
				into = append(into, span{s, from})
			}
		}
	}
	return into
}

// A record is a log record and where it came from.
type record struct {
	plog.LogRecord
	origin
}

func decodeRecords(line []byte, into []record) ([]record, error) {
	ld, err := new(plog.JSONUnmarshaler).UnmarshalLogs(line)
	if err != nil {
		return into, err
	}
	return appendRecords(into, ld), nil
}

func appendRecords(into []record, ld plog.Logs) []record {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			from := origin{rl.Resource().Attributes(), sl.Scope(), sl.SchemaUrl()}
			for _, r := range sl.LogRecords().All() {
				into = append(into, record{r, from})
			}
		}
	}
	return into
}

// text and number return an attribute, empty or 0 if there is none.
func text(m pcommon.Map, key string) string {
	v, ok := m.Get(key)
	if !ok || v.Type() != pcommon.ValueTypeStr {
		return ""
	}
	return v.Str()
}

func number(m pcommon.Map, key string) int64 {
	v, ok := m.Get(key)
	if !ok || v.Type() != pcommon.ValueTypeInt {
		return 0
	}
	return v.Int()
}

func (s span) uri() string   { return uri(s.Attributes()) }
func (r record) uri() string { return uri(r.Attributes()) }

// uri returns what the request line asked for.
func uri(m pcommon.Map) string {
	if full := text(m, "url.full"); full != "" { // a client's
		u, err := url.Parse(full)
		if err != nil {
			return full
		}
		return u.RequestURI()
	}
	path := text(m, "url.path")
	if query := text(m, "url.query"); query != "" {
		path += "?" + query
	}
	return path
}

const (
	server = ptrace.SpanKindServer
	client = ptrace.SpanKindClient
)

// spans are some of those that came out.
type spans []span

// about returns the spans of a role whose requests were for a port.
func (ss spans) about(kind ptrace.SpanKind, port int) spans {
	return ss.where(func(s span) bool {
		return s.Kind() == kind && number(s.Attributes(), "server.port") == int64(port)
	})
}

// of returns the spans of some processes.
func (ss spans) of(pids ...int) spans {
	return ss.where(func(s span) bool { return slices.Contains(pids, s.pid()) })
}

func (ss spans) where(is func(span) bool) spans {
	var some spans
	for _, s := range ss {
		if is(s) {
			some = append(some, s)
		}
	}
	return some
}

// recordsAbout returns those whose requests were for a port.
func recordsAbout(rs []record, port int) []record {
	var some []record
	for _, r := range rs {
		if number(r.Attributes(), "server.port") == int64(port) {
			some = append(some, r)
		}
	}
	return some
}

// exchanges returns what the spans say.
func (ss spans) exchanges() []exchange {
	var xs []exchange
	for _, s := range ss {
		m := s.Attributes()
		method := text(m, "http.request.method_original")
		if method == "" {
			method = text(m, "http.request.method")
		}
		xs = append(xs, exchange{method, s.uri(), int(number(m, "http.response.status_code"))})
	}
	return xs
}

// requestParents returns, for each span, the parent that its request named,
// empty if none. The client's span comes between that and the server's.
func (ss spans) requestParents(t testing.TB) map[pcommon.SpanID]pcommon.SpanID {
	t.Helper()
	named := make(map[pcommon.SpanID]pcommon.SpanID)
	for _, s := range ss {
		if s.Kind() == client {
			named[s.SpanID()] = s.ParentSpanID()
		}
	}
	var orphans findings
	for _, s := range ss {
		if s.Kind() == server {
			parent, ok := named[s.ParentSpanID()]
			if !ok {
				orphans.addf("%s: parent %q", s.what(), s.ParentSpanID())
			}
			named[s.SpanID()] = parent
		}
	}
	orphans.report(t, "spans of a server whose parent is no span of a client")
	return named
}

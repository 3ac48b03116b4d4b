package e2e

import (
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const (
	scopeName = "github.com/perisco-io/perisco/receiver"
	schemaURL = "https://opentelemetry.io/schemas/1.43.0"
)

// knownMethods are those that may stand in a span's name.
var knownMethods = map[string]bool{
	"GET": true, "HEAD": true, "POST": true, "PUT": true, "DELETE": true, "CONNECT": true,
	"OPTIONS": true, "TRACE": true, "PATCH": true, "QUERY": true,
}

// checkSpans checks what must be true of every span of an answered request.
func checkSpans(t testing.TB, ss spans) {
	t.Helper()
	var found findings
	ids := make(map[pcommon.SpanID]bool)
	for _, s := range ss {
		for _, flaw := range s.flaws() {
			found.addf("%s: %s", s.what(), flaw)
		}
		if ids[s.SpanID()] {
			found.addf("%s: span id %s is another's, too", s.what(), s.SpanID())
		}
		ids[s.SpanID()] = true
	}
	found.report(t, "flaws of spans")
}

// flaws are what is wrong with a span or a log record.
type flaws []string

func (l *flaws) addf(format string, args ...any) { *l = append(*l, fmt.Sprintf(format, args...)) }

func (l *flaws) must(what string, got, want any) {
	if got != want {
		l.addf("%s is %v, want %v", what, got, want)
	}
}

func (s span) flaws() (l flaws) {
	m := s.Attributes()
	if s.TraceID().IsEmpty() || s.SpanID().IsEmpty() {
		l.addf("no id")
	}
	if s.EndTimestamp() < s.StartTimestamp() {
		l.addf("ends before it begins")
	}
	l.must("scope", s.scope.Name(), scopeName)
	if s.scope.Version() == "" {
		l.addf("the scope has no version")
	}
	l.must("schema URL", s.schema, schemaURL)
	l.must("perisco.truncated", m.AsRaw()["perisco.truncated"], s.wantTruncated())

	if host := text(m, "server.address"); host != "127.0.0.1" && host != "::1" {
		l.addf("server.address is %q", host)
	}
	l.must("network.peer.address", text(m, "network.peer.address"), text(m, "server.address"))
	if port := number(m, "network.peer.port"); port < 1 || port > 65535 {
		l.addf("network.peer.port is %d", port)
	}
	switch s.Kind() {
	case server:
		l.must("client.address", text(m, "client.address"), text(m, "server.address"))
	case client:
		l.must("network.peer.port", number(m, "network.peer.port"), number(m, "server.port"))
	default:
		l.addf("kind is %s", s.Kind())
	}

	failure := s.checkHTTP
	switch {
	case s.isCall():
		failure = s.checkCall
	case s.isCommand():
		failure = s.checkCommand
	}
	wantStatus, wantType := ptrace.StatusCodeUnset, failure(&l)
	if wantType != "" {
		wantStatus = ptrace.StatusCodeError
	}
	l.must("status", s.Status().Code(), wantStatus)
	l.must("status description", s.Status().Message(), "")
	l.must("error.type", text(m, "error.type"), wantType)
	return l
}

// checkHTTP returns what error.type must be.
func (s span) checkHTTP(l *flaws) (failure string) {
	m := s.Attributes()
	switch method := text(m, "http.request.method"); {
	case knownMethods[method]:
		l.must("name", s.Name(), method)
		l.must("http.request.method_original", text(m, "http.request.method_original"), "")
	default:
		l.must("http.request.method", method, "_OTHER")
		l.must("name", s.Name(), "HTTP")
		if text(m, "http.request.method_original") == "" {
			l.addf("no http.request.method_original")
		}
	}
	if v := text(m, "network.protocol.version"); v != "1.0" && v != "1.1" && v != "2" {
		l.addf("network.protocol.version is %q", v)
	}
	l.must("network.protocol.name", text(m, "network.protocol.name"), "") // http goes without saying
	if s.Kind() == server {
		l.must("url.scheme", text(m, "url.scheme"), "http")
		if !strings.HasPrefix(text(m, "url.path"), "/") {
			l.addf("url.path is %q", text(m, "url.path"))
		}
	} else {
		u, err := url.Parse(text(m, "url.full"))
		if err != nil || u.Scheme != "http" || u.Port() != strconv.Itoa(int(number(m, "server.port"))) {
			l.addf("url.full is %q", text(m, "url.full"))
		}
	}
	// A server's own errors are failures; those of its clients are the
	// clients' failures.
	status := number(m, "http.response.status_code")
	if status >= 500 || s.Kind() == client && status >= 400 {
		return strconv.Itoa(int(status))
	}
	return ""
}

// checkRecords checks that every span has its log record, which says the same.
func checkRecords(t testing.TB, ss spans, records []record) {
	t.Helper()
	bySpan := make(map[pcommon.SpanID][]record)
	for _, r := range records {
		bySpan[r.SpanID()] = append(bySpan[r.SpanID()], r)
	}
	var found findings
	for _, s := range ss {
		own := bySpan[s.SpanID()]
		if len(own) != 1 {
			found.addf("%s: %d log records", s.what(), len(own))
			continue
		}
		for _, flaw := range own[0].flaws(s) {
			found.addf("%s: %s", s.what(), flaw)
		}
	}
	found.report(t, "flaws of log records")
}

// flaws tells where a log record differs from its span.
func (r record) flaws(s span) (l flaws) {
	l.must("trace id", r.TraceID(), s.TraceID())
	l.must("flags", uint32(r.Flags())&0xff, s.Flags()&0xff)
	l.must("event name", r.EventName(), "perisco.exchange")
	l.must("time", r.Timestamp(), s.EndTimestamp())
	severity := plog.SeverityNumberInfo
	if s.Status().Code() == ptrace.StatusCodeError {
		severity = plog.SeverityNumberError
	}
	l.must("severity", r.SeverityNumber(), severity)
	line := r.Body().Str()
	const shown = 128 // of a path, in bytes
	path := text(s.Attributes(), "url.path")
	if len(path) > shown {
		path = path[:shown] + "…"
	}
	start := fmt.Sprintf("%s %s %d ", spans{s}.exchanges()[0].Method, path, number(s.Attributes(), "http.response.status_code"))
	switch {
	case s.isCall():
		start = spans{s}.calls()[0].String() + " "
	case s.isCommand():
		start = s.headline() + " "
	}
	if (s.Kind() == server || s.isCall() || s.isCommand()) && (!strings.HasPrefix(line, start) || strings.Contains(line, "\n")) {
		l.addf("body is %q, want %q and a duration", line, start)
	}

	attributes := pcommon.NewMap()
	r.Attributes().CopyTo(attributes)
	l.must("perisco.exchange.duration", number(attributes, "perisco.exchange.duration"), int64(s.EndTimestamp()-s.StartTimestamp()))
	attributes.Remove("perisco.exchange.duration")
	if !attributes.Equal(s.Attributes()) {
		l.addf("attributes are %v, the span's %v", attributes.AsRaw(), s.Attributes().AsRaw())
	}
	if !r.resource.Equal(s.resource) {
		l.addf("resource is %v, the span's %v", r.resource.AsRaw(), s.resource.AsRaw())
	}
	l.must("scope", r.scope.Name(), s.scope.Name())
	l.must("schema URL", r.schema, s.schema)
	return l
}

// checkResource checks that spans come from one of some processes that run the
// same executable, and that they have its name. Without one they must have the
// short name of their processes alone.
func checkResource(t testing.TB, ss spans, pids []int, exe, service string) {
	t.Helper()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"service.name":            service,
		"process.executable.path": exe,
		"process.executable.name": exe[strings.LastIndexByte(exe, '/')+1:],
		"host.name":               host,
	}
	if exe == "" {
		want["process.executable.path"], want["process.executable.name"] = nil, service
	}
	var found findings
	for _, s := range ss {
		have := s.resource.AsRaw()
		for key, value := range want {
			if have[key] != value {
				found.addf("%s: %s is %v, want %v", s.what(), key, have[key], value)
			}
		}
	}
	if n := len(ss) - len(ss.of(pids...)); n > 0 {
		found.addf("%d spans are not of the processes %v", n, pids)
	}
	found.report(t, "flaws of resources")
}

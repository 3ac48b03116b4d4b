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
	var flaws findings
	ids := make(map[pcommon.SpanID]bool)
	for _, s := range ss {
		for _, flaw := range s.flaws() {
			flaws.addf("%s %s: %s", s.Kind(), s.uri(), flaw)
		}
		if ids[s.SpanID()] {
			flaws.addf("%s %s: span id %s is another's, too", s.Kind(), s.uri(), s.SpanID())
		}
		ids[s.SpanID()] = true
	}
	flaws.report(t, "flaws of spans")
}

func (s span) flaws() (flaws []string) {
	addf := func(format string, args ...any) { flaws = append(flaws, fmt.Sprintf(format, args...)) }
	must := func(what string, got, want any) {
		if got != want {
			addf("%s is %v, want %v", what, got, want)
		}
	}
	m := s.Attributes()
	if s.TraceID().IsEmpty() || s.SpanID().IsEmpty() {
		addf("no id")
	}
	if s.EndTimestamp() < s.StartTimestamp() {
		addf("ends before it begins")
	}

	method, status := text(m, "http.request.method"), number(m, "http.response.status_code")
	switch {
	case knownMethods[method]:
		must("name", s.Name(), method)
		must("http.request.method_original", text(m, "http.request.method_original"), "")
	default:
		must("http.request.method", method, "_OTHER")
		must("name", s.Name(), "HTTP")
		if text(m, "http.request.method_original") == "" {
			addf("no http.request.method_original")
		}
	}

	// A server's own errors are failures; those of its clients are the
	// clients' failures.
	failed := status >= 500 || s.Kind() == client && status >= 400
	wantStatus, wantType := ptrace.StatusCodeUnset, ""
	if failed {
		wantStatus, wantType = ptrace.StatusCodeError, strconv.Itoa(int(status))
	}
	must("status", s.Status().Code(), wantStatus)
	must("status description", s.Status().Message(), "")
	must("error.type", text(m, "error.type"), wantType)

	must("scope", s.scope.Name(), scopeName)
	if s.scope.Version() == "" {
		addf("the scope has no version")
	}
	must("schema URL", s.schema, schemaURL)

	version := text(m, "network.protocol.version")
	if version != "1.0" && version != "1.1" {
		addf("network.protocol.version is %q", version)
	}
	must("network.protocol.name", text(m, "network.protocol.name"), "") // http goes without saying
	if host := text(m, "server.address"); host != "127.0.0.1" && host != "::1" {
		addf("server.address is %q", host)
	}
	must("network.peer.address", text(m, "network.peer.address"), text(m, "server.address"))
	if port := number(m, "network.peer.port"); port < 1 || port > 65535 {
		addf("network.peer.port is %d", port)
	}
	switch s.Kind() {
	case server:
		must("url.scheme", text(m, "url.scheme"), "http")
		if !strings.HasPrefix(text(m, "url.path"), "/") {
			addf("url.path is %q", text(m, "url.path"))
		}
		must("client.address", text(m, "client.address"), text(m, "server.address"))
	case client:
		must("network.peer.port", number(m, "network.peer.port"), number(m, "server.port"))
		u, err := url.Parse(text(m, "url.full"))
		if err != nil || u.Scheme != "http" || u.Port() != strconv.Itoa(int(number(m, "server.port"))) {
			addf("url.full is %q", text(m, "url.full"))
		}
	default:
		addf("kind is %s", s.Kind())
	}
	return flaws
}

// checkRecords checks that every span has its log record, which says the same.
func checkRecords(t testing.TB, ss spans, records []record) {
	t.Helper()
	bySpan := make(map[pcommon.SpanID][]record)
	for _, r := range records {
		bySpan[r.SpanID()] = append(bySpan[r.SpanID()], r)
	}
	var flaws findings
	for _, s := range ss {
		own := bySpan[s.SpanID()]
		if len(own) != 1 {
			flaws.addf("%s %s: %d log records", s.Kind(), s.uri(), len(own))
			continue
		}
		for _, flaw := range own[0].flaws(s) {
			flaws.addf("%s %s: %s", s.Kind(), s.uri(), flaw)
		}
	}
	flaws.report(t, "flaws of log records")
}

// flaws tells where a log record differs from its span.
func (r record) flaws(s span) (flaws []string) {
	must := func(what string, got, want any) {
		if got != want {
			flaws = append(flaws, fmt.Sprintf("%s is %v, want %v", what, got, want))
		}
	}
	must("trace id", r.TraceID(), s.TraceID())
	must("flags", uint32(r.Flags())&0xff, s.Flags()&0xff)
	must("event name", r.EventName(), "perisco.exchange")
	must("time", r.Timestamp(), s.EndTimestamp())
	severity := plog.SeverityNumberInfo
	if s.Status().Code() == ptrace.StatusCodeError {
		severity = plog.SeverityNumberError
	}
	must("severity", r.SeverityNumber(), severity)
	line := r.Body().Str()
	start := fmt.Sprintf("%s %s %d ", spans{s}.exchanges()[0].Method, text(s.Attributes(), "url.path"), number(s.Attributes(), "http.response.status_code"))
	if s.Kind() == server && (!strings.HasPrefix(line, start) || strings.Contains(line, "\n")) {
		flaws = append(flaws, fmt.Sprintf("body is %q, want %q and a duration", line, start))
	}

	attributes := pcommon.NewMap()
	r.Attributes().CopyTo(attributes)
	must("perisco.exchange.duration", number(attributes, "perisco.exchange.duration"), int64(s.EndTimestamp()-s.StartTimestamp()))
	attributes.Remove("perisco.exchange.duration")
	if !attributes.Equal(s.Attributes()) {
		flaws = append(flaws, fmt.Sprintf("attributes are %v, the span's %v", attributes.AsRaw(), s.Attributes().AsRaw()))
	}
	if !r.resource.Equal(s.resource) {
		flaws = append(flaws, fmt.Sprintf("resource is %v, the span's %v", r.resource.AsRaw(), s.resource.AsRaw()))
	}
	must("scope", r.scope.Name(), s.scope.Name())
	must("schema URL", r.schema, s.schema)
	return flaws
}

// checkResource checks that spans come from one of some processes that run the
// same executable, and that they have its name.
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
	var flaws findings
	for _, s := range ss {
		have := s.resource.AsRaw()
		for key, value := range want {
			if have[key] != value {
				flaws.addf("%s %s: %s is %v, want %v", s.Kind(), s.uri(), key, have[key], value)
			}
		}
	}
	if n := len(ss) - len(ss.of(pids...)); n > 0 {
		flaws.addf("%d spans are not of the processes %v", n, pids)
	}
	flaws.report(t, "flaws of resources")
}

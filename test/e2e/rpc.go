package e2e

import (
	"fmt"
	"strings"
)

// A call is what client and server can tell of a call of gRPC.
type call struct {
	Method string // with the service, and without a slash in front
	Code   string
}

func (c call) String() string { return c.Method + " " + c.Code }

// codes are the names of the status codes, in their order.
var codes = []string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
	"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

// serverErrors are those that are the server's fault.
var serverErrors = map[string]bool{
	"UNKNOWN": true, "DEADLINE_EXCEEDED": true, "UNIMPLEMENTED": true, "INTERNAL": true, "UNAVAILABLE": true, "DATA_LOSS": true,
}

func (s span) isCall() bool { return text(s.Attributes(), "rpc.system.name") != "" }

// what names a span for whoever reads a complaint.
func (s span) what() string {
	switch {
	case s.isCall():
		return fmt.Sprint(s.Kind(), " ", spans{s}.calls()[0])
	case s.isCommand():
		return fmt.Sprint(s.Kind(), " ", s.command())
	}
	return fmt.Sprint(s.Kind(), " ", s.uri())
}

// calls returns what the spans say.
func (ss spans) calls() []call {
	var cs []call
	for _, s := range ss {
		m := s.Attributes()
		method := text(m, "rpc.method_original")
		if method == "" {
			method = text(m, "rpc.method")
		}
		cs = append(cs, call{method, text(m, "rpc.response.status_code")})
	}
	return cs
}

// checkCall returns what error.type must be.
func (s span) checkCall(l *flaws) (failure string) {
	m := s.Attributes()
	method, code := text(m, "rpc.method"), text(m, "rpc.response.status_code")
	l.must("rpc.system.name", text(m, "rpc.system.name"), "grpc")
	if code == "UNIMPLEMENTED" { // the server has no such method, so that it may be anything
		l.must("rpc.method", method, "_OTHER")
		l.must("name", s.Name(), "grpc")
		if text(m, "rpc.method_original") == "" {
			l.addf("no rpc.method_original")
		}
	} else {
		l.must("name", s.Name(), method)
		l.must("rpc.method_original", text(m, "rpc.method_original"), "")
		if service, name, ok := strings.Cut(method, "/"); !ok || service == "" || name == "" {
			l.addf("rpc.method is %q", method)
		}
	}
	for key := range m.All() {
		if strings.HasPrefix(key, "http.") || strings.HasPrefix(key, "url.") {
			l.addf("there is %s, too", key)
		}
	}
	if code != "OK" && (s.Kind() == client || serverErrors[code]) {
		return code
	}
	return ""
}

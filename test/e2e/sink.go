package e2e

import (
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// A sink receives OTLP over HTTP as a backend does, in protobuf and gzip.
type sink struct {
	*httptest.Server

	mu      sync.Mutex
	refusal int                 // status that it answers with; 0: it takes everything
	headers map[string][]string // that it was sent, by path; Authorization only
	spans   spans
	records []record
	strange findings
}

func startSink(t testing.TB) *sink {
	t.Helper()
	s := &sink{headers: make(map[string][]string)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() {
		s.Close()
		s.strange.report(t, "requests that no backend would take")
	})
	return s
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusal != 0 {
		w.WriteHeader(s.refusal)
		return
	}
	if err := s.take(r); err != nil {
		s.strange.addf("%s %s: %v", r.Method, r.URL, err)
		w.WriteHeader(http.StatusBadRequest)
	}
}

func (s *sink) take(r *http.Request) error {
	for field, want := range map[string]string{"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"} {
		if got := r.Header.Get(field); got != want {
			return fmt.Errorf("%s is %q, want %q", field, got, want)
		}
	}
	packed, err := gzip.NewReader(r.Body)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(packed)
	if err != nil {
		return err
	}
	s.headers[r.URL.Path] = append(s.headers[r.URL.Path], r.Header.Get("Authorization"))
	if strings.HasSuffix(r.URL.Path, "/logs") {
		ld, err := new(plog.ProtoUnmarshaler).UnmarshalLogs(body)
		s.records = appendRecords(s.records, ld)
		return err
	}
	td, err := new(ptrace.ProtoUnmarshaler).UnmarshalTraces(body)
	s.spans = appendSpans(s.spans, td)
	return err
}

// refuse makes the sink answer with a status; 0: take everything again.
func (s *sink) refuse(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal = status
}

// received returns what came about a server at a port.
func (s *sink) received(port int) (ss spans, rs []record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(s.spans.about(server, port), s.spans.about(client, port)...), recordsAbout(s.records, port)
}

// checkPaths checks to which paths something was sent, and each time with
// which authorization.
func (s *sink) checkPaths(t testing.TB, authorization string, paths ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := slices.Sorted(maps.Keys(s.headers)); !slices.Equal(got, paths) {
		t.Errorf("requests to %q, want to %q", got, paths)
	}
	for path, got := range s.headers {
		if slices.ContainsFunc(got, func(a string) bool { return a != authorization }) {
			t.Errorf("%s: Authorization is %q, want %q", path, got, authorization)
		}
	}
}

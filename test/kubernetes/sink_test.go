package kubernetes

import (
	"context"
	"fmt"
	"maps"
	"net"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // the exporter compresses
)

// A sink takes what a collector exports, by OTLP/gRPC.
type sink struct {
	address string

	mu    sync.Mutex
	items []item
}

// An item is a span or a log record.
type item struct {
	signal   string // "CLIENT", "SERVER" or "log"
	resource map[string]any
	values   map[string]any // of it
}

func (i item) path() string {
	for _, key := range []string{"url.path", "url.full"} {
		if v, ok := i.values[key].(string); ok {
			return v
		}
	}
	return ""
}

func newSink(t *testing.T) *sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{address: l.Addr().String()}
	server := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(server, &traceSink{sink: s})
	plogotlp.RegisterGRPCServer(server, &logSink{sink: s})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // until it is stopped
	}()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
	return s
}

type traceSink struct {
	ptraceotlp.UnimplementedGRPCServer
	*sink
}

func (s *traceSink) Export(_ context.Context, req ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range req.Traces().ResourceSpans().All() {
		for _, scope := range r.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				kind := "CLIENT"
				if span.Kind() == ptrace.SpanKindServer {
					kind = "SERVER"
				}
				s.items = append(s.items, item{kind, r.Resource().Attributes().AsRaw(), span.Attributes().AsRaw()})
			}
		}
	}
	return ptraceotlp.NewExportResponse(), nil
}

type logSink struct {
	plogotlp.UnimplementedGRPCServer
	*sink
}

func (s *logSink) Export(_ context.Context, req plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range req.Logs().ResourceLogs().All() {
		for _, scope := range r.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				s.items = append(s.items, item{"log", r.Resource().Attributes().AsRaw(), record.Attributes().AsRaw()})
			}
		}
	}
	return plogotlp.NewExportResponse(), nil
}

func (s *sink) all() []item {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]item(nil), s.items...)
}

// find waits for the span, or log record of the same role, about a URL.
func (s *sink) find(t *testing.T, signal, uri string) item {
	t.Helper()
	var found item
	eventually(t, signal+" of "+uri, func() error {
		for _, i := range s.all() {
			if i.signal == signal && i.path() == uri {
				found = i
				return nil
			}
		}
		return fmt.Errorf("%d others", len(s.all()))
	})
	return found
}

// expect compares those of the attributes that are named; nil stands for one
// that must not be there.
func expect(t *testing.T, what string, got, want map[string]any) {
	t.Helper()
	for k, v := range maps.All(want) {
		if g, there := got[k]; there != (v != nil) || there && g != v {
			t.Errorf("%s: %s is %v, want %v; of %v", what, k, g, v, got)
		}
	}
}

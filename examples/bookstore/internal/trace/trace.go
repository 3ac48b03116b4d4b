// Package trace hands a request's trace context on to the requests that are
// made for it. That is no tracing: the header traceparent is copied as it came,
// as a proxy would do it, and no span is made. Who watches from the outside can
// tell by it which exchanges belong together.
package trace

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

const header = "traceparent" // W3C Trace Context 3.2

type key struct{}

// New returns a context of a trace of its own.
func New(ctx context.Context) context.Context {
	var id [24]byte
	rand.Read(id[:])
	return context.WithValue(ctx, key{}, fmt.Sprintf("00-%x-%x-01", id[:16], id[16:]))
}

// Of returns the traceparent of what is done in ctx, empty if there is none.
func Of(ctx context.Context) string {
	parent, _ := ctx.Value(key{}).(string)
	return parent
}

// Handler takes the trace context from each request, or begins a trace.
func Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if parent := r.Header.Get(header); parent != "" {
			ctx = context.WithValue(ctx, key{}, parent)
		} else {
			ctx = New(ctx)
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// Transport puts the trace context into each request.
type Transport struct{ http.RoundTripper }

func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if parent := Of(r.Context()); parent != "" {
		r = r.Clone(r.Context()) // that of the caller must stay as it is
		r.Header.Set(header, parent)
	}
	return t.RoundTripper.RoundTrip(r)
}

// Server takes the trace context from each call.
func Server(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if parent := metadata.ValueFromIncomingContext(ctx, header); len(parent) > 0 {
		ctx = context.WithValue(ctx, key{}, parent[0])
	}
	return handle(ctx, req)
}

// Client puts the trace context into each call.
func Client(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if parent := Of(ctx); parent != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, header, parent)
	}
	return invoke(ctx, method, req, reply, conn, opts...)
}

package http2

import (
	"bytes"

	"go.opentelemetry.io/collector/pdata/pcommon"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// grpcStatus is what is known of a gRPC call beyond its being HTTP/2.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
type grpcStatus struct {
	spoken bool // the content type says so; nothing else does
	typed  bool // a content type was seen
	known  bool // a status was sent
	missed bool // it may have been among what was lost
	code   uint8
}

// codes are the names of https://grpc.github.io/grpc/core/md_doc_statuscodes.html.
var codes = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
	"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

const (
	statusOK            = 0
	statusUnimplemented = 12
	// serverErrors are those that the conventions take for an error of the
	// server: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
	serverErrors = 1<<2 | 1<<4 | 1<<12 | 1<<13 | 1<<14 | 1<<15
)

// contentType takes the content type of either message: application/grpc, with
// +proto and the like. application/grpc-web is something else.
func (g *grpcStatus) contentType(v []byte) {
	const prefix = "application/grpc"
	g.typed = true
	if len(v) < len(prefix) || !httpconv.Is(v[:len(prefix)], prefix) {
		return
	}
	if len(v) == len(prefix) || v[len(prefix)] == '+' || v[len(prefix)] == ';' {
		g.spoken = true
	}
}

// set takes the value of grpc-status; one that has no name is not taken.
func (g *grpcStatus) set(v []byte) {
	code := 0
	for _, c := range v {
		if c < '0' || c > '9' || code >= len(codes) {
			return
		}
		code = code*10 + int(c-'0')
	}
	if len(v) > 0 && code < len(codes) {
		g.code, g.known = uint8(code), true
	}
}

// judgeStatus is judge for gRPC.
func (x *call) judgeStatus() {
	client := x.Endpoint.Side == stream.Client
	switch g := &x.grpc; {
	case !g.known:
		// An answer without a status: by what stands between, or broken.
		if x.Judge(); x.ErrorType == "" {
			x.ErrorType = "_OTHER"
		}
	case g.code == statusOK:
	case client, serverErrors>>g.code&1 != 0:
		x.ErrorType = codes[g.code]
	}
}

// other stands for what has no name that is known: a method that may not be one
// of the server's, an error code.
const other = "_OTHER"

// strange reports whether the method may not be one of the server's. Without a
// description of the service only the answer tells: the server called it
// unimplemented, or the answer was lost.
func (x *call) strange() bool {
	if x.grpc.known {
		return x.grpc.code == statusUnimplemented
	}
	return x.Outcome == exchange.Lost || x.Outcome == exchange.Evicted
}

// rpcMethod is the path without its slash: package.Service/Method.
func (x *call) rpcMethod(s *exchange.Strings) string {
	return s.Valid(bytes.TrimPrefix(x.Path(), []byte("/")))
}

func (x *call) rpcName(s *exchange.Strings) string {
	if !x.strange() {
		if m := x.rpcMethod(s); m != "" {
			return m
		}
	}
	return semconv.RPCSystemNameGRPC.Value.AsString()
}

func (x *call) rpcAttributes(m pcommon.Map, s *exchange.Strings) {
	m.PutStr(string(semconv.RPCSystemNameKey), semconv.RPCSystemNameGRPC.Value.AsString())
	switch method := x.rpcMethod(s); {
	case method == "":
	case !x.strange():
		m.PutStr(string(semconv.RPCMethodKey), method)
	default:
		if x.grpc.known {
			m.PutStr(string(semconv.RPCMethodKey), other)
		}
		m.PutStr(string(semconv.RPCMethodOriginalKey), method)
	}
	if x.grpc.known {
		m.PutStr(string(semconv.RPCResponseStatusCodeKey), codes[x.grpc.code])
	}
	x.Addresses(m, s)
}

// rpcSummary appends "package.Service/Method OK".
func (x *call) rpcSummary(dst []byte) []byte {
	n := len(dst)
	if dst = x.AppendPath(dst); len(dst) > n+1 && dst[n] == '/' {
		dst = append(dst[:n], dst[n+1:]...)
	} else {
		dst = append(dst[:n], semconv.RPCSystemNameGRPC.Value.AsString()...)
	}
	dst = append(dst, ' ')
	switch {
	case x.grpc.known && x.Outcome == exchange.Answered:
		dst = append(dst, codes[x.grpc.code]...)
	case x.ErrorType != "":
		dst = append(dst, x.ErrorType...)
	default:
		dst = append(dst, x.Outcome.String()...)
	}
	return x.appendMessages(dst)
}

package http2

import (
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// version is the value of network.protocol.version.
const version = "2"

// A call is a request and its response: a stream.
type call struct {
	httpconv.Exchange
	grpc     grpcStatus
	messages [2]messages // by side; of gRPC

	sent bool // the request was seen to its end
	// unsure says that bytes were lost that may have ended the stream.
	unsure bool
	doubts [2]uint32 // those of conn.doubts that x knows of
	// blind says of each side that some of its DATA was lost.
	blind [2]bool
	size  [2]int64 // of the bodies, so far

	// Of an answer that was seen before its request: see conn.early.
	over   bool
	overAt stream.Time
	broken string // what RST_STREAM said
}

// reset prepares x for a new exchange. It leaves Core alone.
func (x *call) reset(o *httpconv.Options) {
	x.Reset(o)
	*x = call{Exchange: x.Exchange}
	x.Version = version
}

// Weight implements match.Weighty.
func (x *call) Weight() int { return x.Exchange.Weight() + int(unsafe.Sizeof(*x)) }

// SpanName implements exchange.Exchange.
func (x *call) SpanName(s *exchange.Strings) string {
	if x.grpc.spoken {
		return x.rpcName(s)
	}
	return x.Exchange.SpanName(s)
}

// Attributes implements exchange.Exchange.
func (x *call) Attributes(m pcommon.Map, s *exchange.Strings) {
	if x.grpc.spoken {
		x.rpcAttributes(m, s)
		return
	}
	x.Exchange.Attributes(m, s)
}

// Summary implements exchange.Exchange.
func (x *call) Summary(dst []byte) []byte {
	if x.grpc.spoken {
		return x.rpcSummary(dst)
	}
	return x.Exchange.Summary(dst)
}

// seen notes when a part of x came. What came first may be reported later.
func (x *call) seen(at stream.Time) { x.Active = max(x.Active, at) }

// requestField takes a field of the request, a pseudo-header too.
func (x *call) requestField(name, value []byte) {
	if name[0] != ':' {
		if string(name) == "content-type" {
			x.grpc.contentType(value)
		}
		x.RequestField(name, value)
		return
	}
	switch string(name) { // RFC 9113 8.3.1
	case ":method":
		x.SetMethod(value)
	case ":path":
		if len(value) == 1 && value[0] == '*' {
			x.SetTarget(value)
		} else {
			x.SetPath(value)
		}
	case ":scheme":
		x.SetScheme(value)
	case ":authority":
		x.SetAuthority(value)
	}
}

// responseField takes a field of the final response.
func (x *call) responseField(name, value []byte) {
	switch string(name) {
	case "content-type":
		x.grpc.contentType(value)
	case "grpc-status":
		x.grpc.set(value)
	}
	x.ResponseField(name, value)
}

// trailer takes a field behind the body of the response.
func (x *call) trailer(name, value []byte) {
	if string(name) == "grpc-status" {
		x.grpc.set(value)
	}
}

// maybe reports whether x is gRPC for all that is known.
func (x *call) maybe() bool {
	return x.grpc.spoken || !x.Whole && !x.grpc.typed && x.MaybePOST()
}

// told reports whether what the answer says is known: whether it is an error.
func (x *call) told() bool {
	if x.maybe() {
		return x.grpc.known || x.Status != 0 && !x.grpc.missed && !x.unsure
	}
	return x.Status != 0
}

// judge sets ErrorType by the answer, which has ended.
func (x *call) judge() {
	if x.grpc.spoken || x.grpc.known && x.maybe() {
		x.judgeStatus()
	} else {
		x.Judge()
	}
}

// tunnel reports whether x is answered by what follows on its stream being
// another protocol (RFC 9113 8.5, RFC 8441 5), which may last for days.
func (x *call) tunnel() bool { return x.Connect() && x.Status/100 == 2 }

// settle completes what is known when x ends.
func (x *call) settle() {
	if x.sent && !x.blind[stream.Client] {
		x.RequestBody = x.size[stream.Client]
	}
	switch x.Outcome {
	case exchange.Answered:
		if !x.blind[stream.Server] && !x.tunnel() {
			x.ResponseBody = x.size[stream.Server]
		}
	case exchange.Closed, exchange.Expired, exchange.Reset:
		if x.unsure { // it may have ended well, and long ago
			x.Outcome, x.ErrorType, x.Truncated = exchange.Lost, "", true
			x.End = max(x.Active, x.Start)
		}
	}
}

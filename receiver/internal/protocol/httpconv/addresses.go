package httpconv

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Addresses adds whom the request names and, at the server, who sent it: what
// is left of HTTP in the attributes of a protocol that stands on it.
func (x *Exchange) Addresses(m pcommon.Map, s *exchange.Strings) {
	a := x.told(s)
	host, port := split(a.authority())
	known := x.Whole && x.Endpoint != nil && x.Endpoint.Peer.IsValid()
	if x.side() == stream.Client {
		if host == "" && known {
			host, port = a.peer(), int64(x.Endpoint.Peer.Port())
		}
	} else if known {
		m.PutStr(string(semconv.ClientAddressKey), a.peer())
	}
	a.address(m, host, port, a.scheme())
}

// Path is that of the target, without the query. Valid until x changes.
func (x *Exchange) Path() []byte { return x.bytes(x.path) }

// AppendPath appends it as a person may see it.
func (x *Exchange) AppendPath(dst []byte) []byte {
	return exchange.AppendVisible(dst, x.Path(), maxShown)
}

func (x *Exchange) self() *Exchange { return x }

// Adopt makes x the continuation of another protocol's exchange, and reports
// whether that is one of HTTP. x keeps its key.
func (x *Exchange) Adopt(from exchange.Exchange) bool {
	of, ok := from.(interface{ self() *Exchange })
	if !ok {
		return false
	}
	src, own := of.self(), *x
	*x = *src
	x.Key, x.Endpoint, x.Weighed = own.Key, own.Endpoint, own.Weighed
	x.text = append(own.text[:0], src.text...)
	x.headers = append(own.headers[:0], src.headers...)
	x.Trace.State = append(own.Trace.State[:0], src.Trace.State...)
	return true
}

// Swap exchanges what x and y are, but not what the table knows of them.
func (x *Exchange) Swap(y *Exchange) {
	*x, *y = *y, *x
	x.Core, y.Core = y.Core, x.Core
}

// Lists reports whether fields of the response are wanted.
func (x *Exchange) Lists() bool { return x.options != nil && len(x.options.ResponseHeaders) > 0 }

// Posts reports whether the method is POST, for all that is known.
func (x *Exchange) Posts() bool {
	return methods[x.method] == "POST" || x.method == other && x.original.empty()
}

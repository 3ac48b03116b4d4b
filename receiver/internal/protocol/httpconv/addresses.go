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

package httpconv

import "github.com/perisco-io/perisco/receiver/internal/exchange"

// self makes it possible to find the Exchange in whatever embeds it.
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

package emit

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// A link places a span, and the log record that goes with it, in its trace
// and in time.
type link struct {
	trace      pcommon.TraceID
	span       pcommon.SpanID
	parent     pcommon.SpanID // empty: the span is a root
	flags      uint32
	start, end pcommon.Timestamp
}

// link makes both ends of one exchange agree, wherever they are observed: the
// client's span has the id that a hash of what both see gives, and is the
// server's span's parent. Where the request has no trace, that of both comes
// from the same hash.
//
//	                    client span            server span
//	no traceparent      h.trace, h.span        h.trace, parent h.span if linked
//	traceparent t, p    t, h.span, parent p    t, parent h.span if linked, else p
//
// What only one end sees, or sees differently, is in a trace of its own.
func (e *Emitter) link(c *exchange.Core) link {
	l := link{start: e.wall(c.Start), end: e.wall(c.End)}
	if c.Start == 0 {
		l.start = l.end
	}
	l.end = max(l.end, l.start)
	l.trace, l.parent, l.flags = c.Trace.ID, c.Trace.Parent, uint32(c.Trace.Flags)

	client := c.Endpoint.Local
	if c.Endpoint.Side == stream.Server {
		client = c.Endpoint.Peer
	}
	common, known := e.ids.common(client, c.First, l.start)
	if known && c.Endpoint.Side == stream.Client {
		l.span = common.span
	} else {
		l.span = e.ids.span()
	}
	if known && c.Endpoint.Side == stream.Server && (c.Endpoint.Met || e.linked(client.Addr())) {
		l.parent = common.span
	}
	switch {
	case !l.trace.IsEmpty():
	case known:
		l.trace, l.flags = common.trace, flagSampled
	default:
		l.trace, l.flags = e.ids.trace(), flagSampled|flagRandom
	}
	if !l.parent.IsEmpty() {
		// The parent is the span of whoever wrote the request: the peer of a
		// server, the observed process itself where that is the client.
		l.flags |= flagHasRemote
		if c.Endpoint.Side == stream.Server {
			l.flags |= flagParentRemote
		}
	}
	return l
}

// linked reports whether the client's end is observed elsewhere.
func (e *Emitter) linked(client netip.Addr) bool {
	for _, p := range e.set.Clients {
		if p.Contains(client) {
			return true
		}
	}
	return false
}

// common are the ids that both ends of an exchange find.
type common struct {
	trace pcommon.TraceID
	span  pcommon.SpanID
}

// period is how long a sequence number names one exchange of a client's port.
// Requests that are sent and read on different sides of its end are not
// linked: with 1 ms between, one in 3.6 million.
const period = 3600 * 1e9 // ns

// common hashes what survives on the way: the client's address, which
// translation of the server's address (services of Kubernetes, load balancers)
// leaves alone, and the sequence number of the request's first byte. Not so
// where the client's address is translated or a proxy stands between.
//
// Loopback addresses mean another machine on each, so they are hashed with a
// number of this process's.
func (g *ids) common(client exchange.Address, first stream.Sequence, start pcommon.Timestamp) (c common, ok bool) {
	ip := client.Addr()
	if !first.Known || !ip.IsValid() || ip.IsUnspecified() || client.Port() == 0 {
		return c, false
	}
	var seen [16 + 8 + 8 + 8]byte
	addr := ip.As16()
	copy(seen[:], addr[:])
	binary.LittleEndian.PutUint64(seen[16:], first.Number)
	binary.LittleEndian.PutUint64(seen[24:], uint64(start)/period<<16|uint64(client.Port()))
	if ip.IsLoopback() {
		binary.LittleEndian.PutUint64(seen[32:], g.here)
	}
	high := xxhash.Sum64(seen[:])
	seen[31] ^= 0x80 // of the period, which does not reach so far
	low := xxhash.Sum64(seen[:])
	binary.BigEndian.PutUint64(c.trace[:8], high)
	binary.BigEndian.PutUint64(c.trace[8:], low)
	binary.BigEndian.PutUint64(c.span[:], mix(high^bits.RotateLeft64(low, 32)))
	return c, !c.trace.IsEmpty() && !c.span.IsEmpty()
}

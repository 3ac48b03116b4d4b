package http2

import (
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/match"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const (
	// maxOpen is how many streams of a connection are followed at once; the
	// oldest goes first. Servers allow 100 to 250 (RFC 9113 6.5.2 wants at least
	// 100), gRPC's as many as come.
	maxOpen = 8192
	// maxWeight is how many bytes the open streams of a connection may take, the
	// oldest goes first: maxOpen of the usual length. A header table makes a path
	// of 8 KiB of one byte, so that little need be sent for it.
	maxWeight = 8 << 20
	// maxEarly is how many answers may wait for their requests to be reported.
	maxEarly = 128
)

// doubt notes that bytes of side went by unread that may have belonged to any
// of the streams that are open. Each of them learns of it when it is next looked
// at: there may be thousands, and bytes that go by one by one.
func (c *conn) doubt(side stream.Side) {
	if side == stream.Server {
		c.doubtful = c.now
	}
	c.doubts[side]++
}

// learn tells x what went by unread since it was last looked at.
func (c *conn) learn(x *call) {
	for side := stream.Client; side <= stream.Server; side++ {
		if x.doubts[side] == c.doubts[side] {
			continue
		}
		x.unsure = true
		// What is over cannot be lost, nor can what has not begun in part: an
		// answer whose head is yet to come is whole if it comes.
		if side == stream.Client && !x.sent || side == stream.Server && x.Status != 0 {
			x.blind[side] = true
			x.Truncated = true
		}
	}
	x.doubts = c.doubts
}

// find returns the open exchange of a stream.
func (c *conn) find(id uint32) (x *call, ok bool) {
	if x, ok = c.calls.Find(uint64(id)); ok {
		c.learn(x)
	}
	return x, ok
}

// open adds the exchange of a stream.
func (c *conn) open(id uint32, start, active stream.Time) *call {
	x, ok := c.calls.Open(uint64(id), start)
	if !ok {
		c.evict(active)
		x, _ = c.calls.Open(uint64(id), start)
	}
	x.Active, x.First = active, c.client.block.first
	x.reset(&c.protocol.options)
	if e := c.waiting(id); e != nil {
		x.Swap(&e.Exchange)
		x.messages, x.blind, x.Truncated = e.messages, e.blind, e.Truncated
		x.grpc, x.size, x.over, x.overAt, x.broken = e.grpc, e.size, e.over, e.overAt, e.broken
		c.early.End(uint64(id), exchange.Answered, active)
	}
	x.unsure = id <= c.dropped || start <= c.doubtful
	x.doubts = c.doubts
	if id > c.latest {
		c.endEarly(active)
	}
	return x
}

// waiting returns the answer of a stream whose request is yet to come, or nil.
func (c *conn) waiting(id uint32) *call {
	if c.early == nil {
		return nil
	}
	x, _ := c.early.Find(uint64(id))
	return x
}

// endEarly drops the answers whose requests will not come.
func (c *conn) endEarly(at stream.Time) {
	if c.early != nil {
		c.early.EndAll(exchange.Lost, at)
		c.early = nil
	}
}

// evict ends the oldest exchange, to make room.
func (c *conn) evict(at stream.Time) {
	for oldest := range c.calls.All() {
		c.calls.End(oldest.Key, exchange.Evicted, at)
		return
	}
}

// weigh notes how much memory x takes, which is open and has grown, and makes room
// for it.
func (c *conn) weigh(x *call, at stream.Time) {
	c.calls.Weigh(x)
	for c.calls.Len() > 1 && c.calls.Weight() > maxWeight {
		c.evict(at)
	}
}

// answering finds the exchange that the server speaks of; begun says that an
// answer may begin here whose request has yet to be reported.
func (c *conn) answering(id uint32, begun bool, at stream.Time) *call {
	if x, ok := c.find(id); ok {
		return x
	}
	if id <= c.ledger.last || id&1 == 0 {
		return nil
	}
	if x := c.waiting(id); x != nil {
		return x
	}
	if !begun {
		return nil
	}
	if c.early == nil { // they are no exchanges of the endpoint's yet
		t := match.NewTable[*call](maxEarly, &c.protocol.calls, nil, func(exchange.Exchange) {})
		c.early = &t
	}
	x, ok := c.early.Open(uint64(id), at)
	if !ok {
		c.dropped = max(c.dropped, id)
		return nil
	}
	x.reset(&c.protocol.options)
	c.latest = max(c.latest, id)
	return x
}

// requestOver goes on after the last byte of a request.
func (c *conn) requestOver(id uint32) {
	if x, ok := c.find(id); ok {
		x.sent = true
	}
}

// responseOver goes on after the last byte of a response.
func (c *conn) responseOver(id uint32, at stream.Time) {
	if x := c.answering(id, false, at); x != nil {
		c.finish(x, at)
	}
}

// finish ends an exchange whose response has ended.
func (c *conn) finish(x *call, at stream.Time) {
	at = max(at, x.Active, x.Start)
	if _, ok := c.calls.Find(x.Key); !ok { // its request is yet to come
		x.over, x.overAt = true, at
		return
	}
	if !x.told() {
		c.calls.End(x.Key, exchange.Lost, at)
		return
	}
	x.judge()
	c.calls.End(x.Key, exchange.Answered, at)
}

// broke ends the exchange of a stream that one of the sides gave up.
func (c *conn) broke(x *call, why string, at stream.Time) {
	at = max(at, x.Active, x.Start)
	x.broken = why
	if _, ok := c.calls.Find(x.Key); !ok {
		x.over, x.overAt = true, at
		return
	}
	x.ErrorType = why
	c.calls.End(x.Key, exchange.Reset, at)
}

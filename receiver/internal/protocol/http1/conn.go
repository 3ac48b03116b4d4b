package http1

import (
	"unsafe"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/match"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// maxOpen is how many requests may wait for their answers. Who pipelines sends
// a few; nginx ends a connection after 1000 requests of any kind.
const maxOpen = 1024

// A call is a request and its response.
type call struct {
	httpconv.Exchange
	match.Place
}

// Weight implements match.Weighty.
func (x *call) Weight() int { return x.Exchange.Weight() + int(unsafe.Sizeof(*x)) }

// conn follows one connection.
type conn struct {
	match.Queue[*call]
	protocol *Protocol

	client, server half

	status    int16 // of the head being read
	interim   bool  // that is of a 1xx response
	continued bool  // the client was told to send the body that it waits with
	bodyAt    uint64

	upgrade *protocol.Upgrade // of the 101 with which HTTP/1 ended; nil before
}

// Client implements protocol.Conn.
func (c *conn) Client(b *stream.Buffer) error {
	var err error
	for err == nil {
		switch c.client.stage {
		case atStart, astray:
			err = c.requestLine(b)
		case inFields:
			err = c.requestFields(b)
		case atBody:
			err = c.expectedBody(b)
		default:
			var over bool
			if over, err = c.client.walk(b); over {
				c.requestOver()
			}
		}
	}
	return c.Asked(b, err)
}

// Server implements protocol.Conn.
func (c *conn) Server(b *stream.Buffer) error {
	err := c.Resume(b)
	if err != nil {
		c.server = half{stage: astray}
	}
	for err == nil {
		switch c.server.stage {
		case atStart, astray:
			err = c.statusLine(b)
		case inReason:
			err = c.reason(b)
		case inFields:
			err = c.responseFields(b)
		default:
			var over bool
			if over, err = c.server.walk(b); over {
				c.responseOver(b)
			}
		}
	}
	return c.Said(b, err)
}

// Lost implements protocol.Conn.
func (c *conn) Lost(side stream.Side, at stream.Time) error {
	if side == stream.Client {
		c.lostClient()
		return nil
	}
	return c.lostServer(at)
}

func (c *conn) lostClient() {
	whole := true
	switch c.client.stage {
	case atStart:
	case astray:
		// More of what is being skipped, if its exchange still waits.
		whole = c.client.whole || c.Len() == 0
	default:
		whole = false
		if c.Sending != nil {
			c.Sending.Truncated = true
		}
	}
	c.LostClient(whole)
	c.client = half{stage: astray, whole: whole}
}

func (c *conn) lostServer(at stream.Time) error {
	c.server = half{stage: astray}
	if x := c.Answering; x != nil {
		x.Truncated = true
		c.end(x, c.Last())
	}
	return c.LostServer(at)
}

// Weight implements protocol.Conn.
func (c *conn) Weight() int {
	n := c.Queue.Weight() + c.client.weight() + c.server.weight()
	if c.upgrade != nil {
		n += int(unsafe.Sizeof(*c.upgrade)) + len(c.upgrade.Token)
	}
	return n
}

func (h *half) weight() int {
	if h.unfolds == nil {
		return 0
	}
	return int(unsafe.Sizeof(*h.unfolds)) + cap(*h.unfolds)
}

// Shed implements protocol.Conn.
func (c *conn) Shed(at stream.Time) {
	c.Queue.Shed(at)
	c.upgrade = nil
	c.Sleep()
}

// Sleep implements protocol.Sleeper.
func (c *conn) Sleep() {
	c.Shrink()
	c.client.unfolds, c.server.unfolds = nil, nil
}

// Continues implements protocol.Dialogue.
func (c *conn) Continues() bool { return c.client.stage == atBody && !c.refused() }

// Parts implements protocol.Dialogue.
func (c *conn) Parts() bool { return false }

// Ended implements protocol.Conn.
func (c *conn) Ended(side stream.Side, at stream.Time) {
	if side == stream.Server {
		// RFC 9112 8: a body without a length is complete with the connection.
		if x := c.Answering; x != nil && c.server.stage == tillEnd {
			x.ResponseBody = int64(c.Seen() - c.bodyAt)
			c.end(x, c.Last())
		}
		c.endAll(exchange.Closed, at)
	}
}

// Close implements protocol.Conn.
func (c *conn) Close(why exchange.Outcome, at stream.Time) {
	switch u := c.upgrade; {
	case u != nil && u.Taken:
		c.Yield(c.Answering)
	case u != nil && u.Request != nil: // to what nobody follows: it ends with 101
		c.Answering.Status = 101
		c.end(c.Answering, c.Answering.Active)
	case why == exchange.Closed:
		c.Ended(stream.Server, at)
	}
	c.endAll(why, at)
}

// end ends the oldest exchange, which is x, as answered.
func (c *conn) end(x *call, at stream.Time) {
	if c.Sending == x && c.client.stage == inFields {
		x.Truncated = true // it was answered before its head had come
	}
	x.Judge()
	c.Drop(x, exchange.Answered, at)
}

// endAll ends all exchanges.
func (c *conn) endAll(why exchange.Outcome, at stream.Time) {
	if x := c.Sending; x != nil && c.client.stage == inFields {
		x.Truncated = true
	}
	c.EndAll(why, at)
}

// refused reports whether the request of atBody was answered without being
// told to continue: its body may never come.
func (c *conn) refused() bool { return c.Sending == nil && !c.continued }

// skip handles bytes that do not begin a message, where one should begin.
// After a loss they are the rest of what was lost: skipped, not counted again.
func (c *conn) skip(h *half, b *stream.Buffer, senseless error) error {
	if h.stage != astray {
		return senseless
	}
	if protocol.IsTLS(b.Bytes()) {
		c.endAll(exchange.Lost, b.Latest())
		return protocol.Encrypted
	}
	if h == &c.client && b.Truncated() && c.Len() == 0 {
		h.whole = true // nothing waits whose rest this could be
		c.LostClient(true)
	}
	b.Reset()
	h.scanned = 0
	return stream.ErrShort
}

// nothing is what to do without bytes where a message should begin.
func nothing(b *stream.Buffer) error {
	if b.Truncated() {
		return stream.ErrHole
	}
	return stream.ErrShort
}

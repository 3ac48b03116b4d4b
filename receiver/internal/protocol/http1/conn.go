package http1

import (
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/match"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const (
	inOrder = 0 // the key of every exchange
	// maxOpen is how many requests may wait for their answers. Who pipelines
	// sends a few; nginx ends a connection after 1000 requests of any kind.
	maxOpen = 1024
)

// A call is a request and its response.
type call struct {
	httpconv.Exchange
	number    uint64 // of the request on its connection
	pos       uint64 // where its first byte stands in the client's stream
	ack       uint64 // where the server's stream stood when it arrived
	expects   bool   // Expect: 100-continue
	continued bool   // and it was told to
}

// conn follows one connection.
//
// Which answer is whose after a loss rests on positions. No answer to a request
// begins before the position that the server's stream had when the request
// arrived. And a client that does not pipeline sends a request only after the
// last answer: it has to be shown pipelining, by a request that arrives while an
// answer is due of which nothing was missed, before a loss leaves the order
// open. One that begins to pipeline in the very bytes that are lost is not found
// out: nothing in those that are left would show it.
type conn struct {
	protocol *Protocol
	calls    match.Table[*call]

	client half
	sent   uint64 // requests opened
	// sending is whose message the client is in the middle of; nil if the
	// exchange has ended, or between messages.
	sending   *call
	ack       uint64 // of the youngest request
	pipelined bool   // proven
	refused   bool   // the request of atBody was answered: its body may never come
	hole      hole   // what the client's last loss may have hidden

	server    half
	answering *call // whose final answer's head has begun; nil between them
	interim   bool  // the head being read is of a 1xx response
	status    int   // of the head being read
	bodyAt    uint64
	last      stream.Time // when the server was last seen
	seen      uint64      // how far the server's stream has been seen
	answered  uint64      // where the last answer ended that was paired
	// gap says that the server's bytes were lost and none were seen since: the
	// answers to the requests before number unsure may have been among them.
	gap    bool
	unsure uint64
	lossy  bool // anything was ever lost

	upgrade protocol.Upgrade // of the 101 with which HTTP/1 ended
}

// hole says what a loss of the client's bytes may have hidden.
type hole uint8

const (
	noHole   hole = iota
	restHole      // the rest of a message whose exchange is known
	headHole      // at least one head
)

// Client implements protocol.Conn.
func (c *conn) Client(b *stream.Buffer) error {
	if c.sending != nil {
		c.sending.Active = b.Latest()
	}
	for {
		var err error
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
		switch err {
		case nil:
		case stream.ErrShort:
			return nil
		default:
			return err
		}
	}
}

// Server implements protocol.Conn.
func (c *conn) Server(b *stream.Buffer) error {
	if c.gap && len(b.Bytes()) > 0 {
		if err := c.settle(b); err != nil {
			return err
		}
	}
	c.last = b.Latest()
	if c.answering != nil {
		c.answering.Active = max(c.answering.Active, b.Latest())
	}
	var err error
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
	c.seen = b.Pos() + uint64(len(b.Bytes()))
	if err == stream.ErrShort {
		return nil
	}
	return err
}

// Lost implements protocol.Conn.
func (c *conn) Lost(side stream.Side, at stream.Time) error {
	c.lossy = true
	if side == stream.Client {
		c.lostClient()
		return nil
	}
	return c.lostServer(at)
}

func (c *conn) lostClient() {
	kind := headHole
	switch c.client.stage {
	case atStart:
	case astray:
		// More of what is being skipped, if its exchange still waits.
		if c.hole == restHole && c.calls.Len() > 0 {
			kind = restHole
		}
	default:
		kind = restHole
		if c.sending != nil {
			c.sending.Truncated = true
		}
	}
	c.sending, c.refused = nil, false
	c.hole = kind
	c.client = half{stage: astray}
}

func (c *conn) lostServer(at stream.Time) error {
	several := c.calls.Len() > 1
	if x := c.answering; x != nil {
		x.Truncated = true
		c.end(x, c.last)
	}
	c.server = half{stage: astray}
	c.gap, c.unsure = true, c.sent
	if c.pipelined && several {
		return c.giveUp(exchange.Lost, at)
	}
	return nil
}

// settle ends the exchanges whose answers were or may have been in a gap that
// ends at the front of b.
func (c *conn) settle(b *stream.Buffer) error {
	c.gap = false
	expects := false
	for {
		x, ok := c.calls.Find(inOrder)
		if !ok {
			return nil
		}
		if x.ack >= b.Pos() {
			break
		}
		expects = expects || x.expects && !x.continued
		c.drop(x, exchange.Lost, b.Latest())
	}
	if expects {
		// What was lost may have been 100 (Continue) alone.
		return c.giveUp(exchange.Lost, b.Latest())
	}
	return nil
}

// resume judges whether the order of answers is certain when the first head
// after a loss of the client's bytes arrives.
func (c *conn) resume(b *stream.Buffer) error {
	hidden := c.hole
	c.hole = noHole
	certain := !c.pipelined
	if x, ok := c.calls.Find(inOrder); ok {
		// It was answered before this one was sent, so that its answer must
		// be among bytes of the server that were not seen.
		certain = certain && b.Ack() > x.ack && (c.gap || b.Ack() > c.seen)
	} else if hidden == headHole {
		// What was hidden was answered: by bytes that belong to no exchange.
		certain = certain && b.Ack() > c.answered
	}
	if !certain {
		return c.giveUp(exchange.Lost, b.Latest())
	}
	return nil
}

// mine reports whether a response that begins b can be the answer to x: it
// began after x had arrived, or it was sent by who knew of x. The latter is the
// case of a client whose threads race each other: see protocol.ErrEarly.
func (c *conn) mine(x *call, b *stream.Buffer) bool {
	return b.Pos() >= x.ack || b.Ack() > x.pos
}

// Ended implements protocol.Conn.
func (c *conn) Ended(side stream.Side, at stream.Time) {
	if side == stream.Server {
		// RFC 9112 8: a body without a length is complete with the connection.
		if c.server.stage == tillEnd && c.answering != nil {
			c.answering.ResponseBody = int64(c.seen - c.bodyAt)
			c.end(c.answering, c.last)
		}
		c.endAll(exchange.Closed, at)
	}
}

// Expire implements protocol.Conn.
func (c *conn) Expire(before, at stream.Time) { c.calls.Expire(before, at) }

// Close implements protocol.Conn.
func (c *conn) Close(why exchange.Outcome, at stream.Time) {
	switch {
	case c.upgrade.Taken:
		c.calls.Yield(inOrder)
	case c.upgrade.Request != nil: // to what nobody follows: it ends with 101
		c.answering.Status = 101
		c.end(c.answering, c.answering.Active)
	case why == exchange.Closed:
		c.Ended(stream.Server, at)
	}
	c.endAll(why, at)
}

// Open implements protocol.Conn.
func (c *conn) Open() int { return c.calls.Live() }

// end ends the oldest exchange as answered.
func (c *conn) end(x *call, at stream.Time) {
	if c.sending == x && c.client.stage == inFields {
		x.Truncated = true // it was answered before its head had come
	}
	x.Judge()
	c.drop(x, exchange.Answered, at)
}

// drop ends the oldest exchange, which is x.
func (c *conn) drop(x *call, why exchange.Outcome, at stream.Time) {
	if c.sending == x {
		c.refused = c.client.stage == atBody && !x.continued
		c.sending = nil
	}
	if c.answering == x {
		c.answering = nil
	}
	c.calls.End(inOrder, why, at)
}

// endAll ends all exchanges, but those whose answers may have been missed as Lost.
func (c *conn) endAll(why exchange.Outcome, at stream.Time) {
	if x := c.sending; x != nil && c.client.stage == inFields {
		x.Truncated = true
	}
	for c.gap {
		x, ok := c.calls.Find(inOrder)
		if !ok || x.number >= c.unsure && x.ack >= c.seen {
			break
		}
		c.drop(x, exchange.Lost, at)
	}
	c.calls.EndAll(why, at)
	c.sending, c.answering = nil, nil
}

// giveUp ends all exchanges of a connection that can be followed no more.
func (c *conn) giveUp(why exchange.Outcome, at stream.Time) error {
	c.endAll(why, at)
	return protocol.ErrUnpaired
}

// skip handles bytes that do not begin a message, where one should begin.
// After a loss they are the rest of what was lost: skipped, not counted again.
func (c *conn) skip(h *half, b *stream.Buffer, senseless error) error {
	if h.stage != astray {
		return senseless
	}
	if isTLS(b.Bytes()) {
		c.endAll(exchange.Lost, b.Latest())
		return protocol.ErrOpaque
	}
	if h == &c.client && b.Truncated() && c.calls.Len() == 0 {
		c.hole = headHole // nothing waits whose rest this could be
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

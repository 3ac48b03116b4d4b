package http2

import (
	"errors"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/match"
	"github.com/perisco-io/perisco/receiver/internal/protocol/http2/hpack"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Why bytes made no sense. The engine counts each by its text.
var (
	errFrame  = errors.New("http2: not a frame")
	errBlock  = errors.New("http2: not a header block")
	errAstray = errors.New("http2: no frame begins a write")
)

// conn follows one connection.
type conn struct {
	protocol *Protocol
	calls    match.Table[*call] // by stream
	// early are answers whose requests were not read yet: at a client one thread
	// may be seen reading before another was seen writing; and what is missing of
	// a request may be known to be lost only when more comes. A client's ids
	// only grow (RFC 9113 5.1.1), so the request can still come while the id
	// is greater than all that came.
	early   *match.Table[*call] // nil while there are none
	latest  uint32              // greatest id of early
	dropped uint32              // greatest id of an answer that did not wait until its request came
	ledger  ledger
	now     stream.Time // of the latest bytes
	// doubtful is until when the server said what nobody read: the answer to a
	// request that had begun by then may have been there.
	doubtful stream.Time
	// served is the greatest id that the server says it may look at. RFC 9113
	// 6.8: what the client opened before it was told is not served.
	served uint32
	whole  bool // the client's preface was seen
	// doubts counts, by side, how often bytes went by unread that may have
	// belonged to any of the streams that were open.
	doubts [2]uint32

	client, server half
}

// stage is where in its stream a side is.
type stage uint8

const (
	atOpening stage = iota
	inFrames
	astray // a write must show where frames begin
)

// half is one direction of a connection.
type half struct {
	stage stage
	whole bool // nothing was lost so far, nothing came before
	// joining says that the bytes at hand waited until they told the protocol.
	// The latest did; when the others came is not known well.
	joining bool
	skipped uint16 // writes, while astray
	proven  uint8  // frames in a row, since then, that look like ones; up to sureFrom
	ends    bool   // the DATA that is arriving is the last of its stream
	padding uint8  // bytes at its end
	left    int32  // bytes before those in which messages are looked for
	stream  uint32 // whose it is, 0 if nobody's
	fields  hpack.Decoder
	block   block
}

// Client implements protocol.Conn.
func (c *conn) Client(b *stream.Buffer) error {
	h := &c.client
	c.now = max(c.now, b.Latest())
	if h.stage == atOpening {
		p, err := b.Peek(len(preface))
		switch {
		case err == nil && string(p) == preface:
			b.Discard(int64(len(preface)))
			h.stage, h.whole, c.whole = inFrames, true, true
		case err == stream.ErrShort && string(b.Bytes()) == preface[:len(b.Bytes())]:
			return nil
		case err == stream.ErrHole && string(b.Bytes()) == preface[:len(b.Bytes())]:
			return err
		default:
			c.join(h)
		}
	}
	err := c.frames(h, b, stream.Client)
	h.joining = false
	if err != nil {
		c.ledger.missed(b.End()) // the engine drops it
	}
	return err
}

// Server implements protocol.Conn.
func (c *conn) Server(b *stream.Buffer) error {
	h := &c.server
	c.now = max(c.now, b.Latest())
	if h.stage == atOpening {
		switch {
		case len(b.Bytes()) == 0 && !b.Truncated():
			return nil
		case c.whole && b.Pos() == 0:
			h.stage, h.whole = inFrames, true
		default:
			c.join(h)
		}
	}
	err := c.frames(h, b, stream.Server)
	h.joining = false
	return err
}

// join is for a side whose beginning was not seen.
func (c *conn) join(h *half) {
	h.stage, h.joining = astray, true
	h.fields.Forget()
}

// Lost implements protocol.Conn.
func (c *conn) Lost(side stream.Side, at stream.Time) error {
	h := c.half(side)
	if h.block.stream != 0 {
		h.block.cut = true
		_ = c.endBlock(h, side, nil, at) // what is there of it
	}
	h.fields.Forget()
	h.stage, h.whole, h.proven = astray, false, 0
	h.stream, h.ends, h.left, h.padding = 0, false, 0, 0
	c.now = max(c.now, at)
	c.doubt(side)
	c.endEarly(at)
	c.dropped = c.latest
	return nil
}

func (c *conn) half(side stream.Side) *half {
	if side == stream.Client {
		return &c.client
	}
	return &c.server
}

// sureFrom is how many frames in a row show that they are no chance.
const sureFrom = 8

// Framed implements protocol.Framer.
func (c *conn) Framed(side stream.Side) bool {
	h := c.half(side)
	return h.stage == inFrames && (h.whole || h.proven == sureFrom) && h.left == 0
}

// Ended implements protocol.Conn.
func (c *conn) Ended(side stream.Side, at stream.Time) {
	if side == stream.Server {
		c.calls.EndAll(exchange.Closed, at)
	}
}

// Expire implements protocol.Conn.
func (c *conn) Expire(before, lost, at stream.Time) {
	c.calls.Expire(before, lost, at)
	c.calls.Forget()
	if c.now < before {
		c.endEarly(at)
		c.dropped = c.latest
		c.ledger.close()
	}
}

// Close implements protocol.Conn.
func (c *conn) Close(why exchange.Outcome, at stream.Time) {
	c.endEarly(at)
	c.calls.EndAll(why, at)
	c.ledger.close()
}

// Account implements protocol.Accountant.
func (c *conn) Account(lose func(reason string, n uint64)) { c.ledger.lose = lose }

// Weight implements protocol.Conn.
func (c *conn) Weight() int {
	n := c.calls.Weight() + c.client.weight() + c.server.weight()
	if c.early != nil {
		n += c.early.Weight()
	}
	return n
}

func (h *half) weight() int { return h.fields.Weight() + cap(h.block.held) }

// Shed implements protocol.Conn.
func (c *conn) Shed(at stream.Time) {
	for _, h := range []*half{&c.client, &c.server} {
		h.fields.Forget()
		h.block.cut, h.block.held = true, nil // where one is under way
	}
	c.calls.EndAll(exchange.Evicted, at)
	c.endEarly(at)
	c.dropped = max(c.dropped, c.latest)
	c.Sleep()
}

// Sleep implements protocol.Sleeper.
func (c *conn) Sleep() {
	for _, h := range []*half{&c.client, &c.server} {
		h.fields.Shrink()
		if h.block.stream == 0 {
			h.block.held = nil
		}
	}
	c.calls.Shrink()
}

// Live implements protocol.Conn.
func (c *conn) Live() int { return c.calls.Live() }

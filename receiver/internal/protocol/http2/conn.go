package http2

import (
	"errors"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/match"
	"github.com/perisco-io/perisco/receiver/internal/protocol/http2/hpack"
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

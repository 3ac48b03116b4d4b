package http2

import (
	"encoding/binary"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// maxSkipped is how many writes may begin without a frame, where one must,
// before that counts as senseless: a body of 64 MiB in pieces of 16 KiB.
const maxSkipped = 4096

// frames consumes what is there of the frames of one side.
func (c *conn) frames(h *half, b *stream.Buffer, side stream.Side) error {
	if h.stage == astray {
		if err := c.realign(h, b, side); err != nil {
			return wait(err)
		}
	}
	for {
		if h.stream != 0 && !c.arrived(h, b, side) {
			return nil
		}
		if side == stream.Client {
			c.ledger.at = b.Pos()
		}
		p, err := b.Peek(headLen)
		if err != nil {
			return wait(err)
		}
		f := parseFrame(p)
		if !f.valid(side) || (f.kind == continuation) != (h.block.stream != 0) || h.block.stream != 0 && f.stream != h.block.stream {
			return errFrame
		}
		if !h.whole && h.proven < sureFrom {
			if h.proven++; !f.plausible(side, p[5]&0x80 != 0) {
				h.proven = 0
			}
		}
		c.ledger.seen(f)
		switch f.kind {
		case data:
			err = c.data(h, b, f, side)
		case headers, pushPromise, continuation:
			err = c.fragment(h, b, f, side)
		case rstStream:
			err = c.reset(b, f, side)
		case goAway:
			err = c.goAway(b, f, side)
		default:
			b.Discard(int64(headLen + f.length))
		}
		if err != nil {
			return wait(err)
		}
	}
}

// realign looks whether a frame begins b, which begins a write. If none does b is
// dropped; the error is stream.ErrShort as long as that may go on.
func (c *conn) realign(h *half, b *stream.Buffer, side stream.Side) error {
	if len(b.Bytes()) == 0 && !b.Truncated() {
		return stream.ErrShort
	}
	found := c.aligned(b, side)
	if !found {
		b.Reset()
		c.doubt(side)
	}
	if side == stream.Client {
		c.ledger.missed(b.Pos())
	}
	switch {
	case found:
		h.stage, h.skipped = inFrames, 0
		return nil
	case h.skipped >= maxSkipped:
		return errAstray
	}
	h.skipped++
	return stream.ErrShort
}

// wait turns the error of Peek into that of protocol.Conn.
func wait(err error) error {
	if err == stream.ErrShort {
		return nil
	}
	return err
}

// data skips a frame of DATA. RFC 9113 6.1.
func (c *conn) data(h *half, b *stream.Buffer, f frame, side stream.Side) error {
	head, size, padding := int64(headLen), int64(f.length), int64(0)
	blind := false
	if f.flags&padded != 0 {
		p, err := b.Peek(headLen + 1)
		switch {
		case err == nil && int(p[headLen]) >= f.length:
			return errFrame
		case err == nil:
			head++
			padding = int64(p[headLen])
			size -= 1 + padding
		case err == stream.ErrHole:
			blind = true
		default:
			return err
		}
	}
	if x := c.sending(f.stream, side, b.Latest()); x != nil {
		x.seen(b.Latest())
		x.size[side] += size
		x.blind[side] = x.blind[side] || blind
		if size > 0 && x.countable(side) {
			h.left, h.padding = int32(size), uint8(padding)
			b.Discard(head)
		}
	}
	if h.left == 0 {
		b.Discard(int64(headLen + f.length))
	}
	h.stream, h.ends = f.stream, f.flags&endStream != 0
	return nil
}

// sending finds the exchange of which side sends a part.
func (c *conn) sending(id uint32, side stream.Side, at stream.Time) *call {
	if side == stream.Server {
		return c.answering(id, false, at)
	}
	x, _ := c.find(id)
	return x
}

// arrived reports whether the DATA that is being skipped has come to its end.
func (c *conn) arrived(h *half, b *stream.Buffer, side stream.Side) bool {
	if !c.walk(h, b, side) {
		if x := c.sending(h.stream, side, b.Latest()); x != nil {
			x.seen(b.Latest())
		}
		return false
	}
	id, ends := h.stream, h.ends
	h.stream, h.ends = 0, false
	if ends {
		c.over(id, side, b.Latest())
	}
	return true
}

// over goes on after END_STREAM.
func (c *conn) over(id uint32, side stream.Side, at stream.Time) {
	if side == stream.Client {
		c.requestOver(id)
	} else {
		c.responseOver(id, at)
	}
}

// errorCodes are the names of RFC 9113 7.
var errorCodes = [...]string{
	"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
	"FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
	"INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
}

const refusedStream = 0x7

// errorType is the value of error.type for an error code.
func errorType(code uint32) string {
	if code < uint32(len(errorCodes)) {
		return errorCodes[code]
	}
	return other
}

// reset ends the exchange that one of the sides gave up. RFC 9113 6.4.
func (c *conn) reset(b *stream.Buffer, f frame, side stream.Side) error {
	p, err := b.Peek(headLen + resetLen)
	if err == stream.ErrShort {
		return err
	}
	at := b.Latest()
	x, ok := c.find(f.stream)
	if !ok && side == stream.Server {
		x = c.answering(f.stream, true, at)
	}
	switch {
	case x == nil:
	case err != nil: // it is over, and why is not known
		c.calls.End(x.Key, exchange.Lost, max(at, x.Active, x.Start))
	default:
		c.broke(x, errorType(binary.BigEndian.Uint32(p[headLen:])), at)
	}
	b.Discard(int64(headLen + f.length))
	return nil
}

// goAway ends the exchanges that the server says it has not looked at and
// never will. RFC 9113 6.8.
func (c *conn) goAway(b *stream.Buffer, f frame, side stream.Side) error {
	p, err := b.Peek(headLen + goAwayLen)
	if err != nil {
		return err // Lost marks what is open
	}
	if side == stream.Server {
		last := uint64(binary.BigEndian.Uint32(p[headLen:]) &^ (1 << 31))
		code := binary.BigEndian.Uint32(p[headLen+4:])
		if code == 0 {
			code = refusedStream // 8.7: says the same of one stream
		}
		if c.server.whole { // else it may be no frame at all
			c.served = min(c.served, uint32(last))
		}
		c.calls.EndAbove(last, exchange.Reset, errorType(code), b.Latest())
	}
	b.Discard(int64(headLen + f.length))
	return nil
}

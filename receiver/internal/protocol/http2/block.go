package http2

import (
	"github.com/perisco-io/perisco/receiver/internal/protocol/http2/hpack"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const (
	// maxBlock is how long a header block, in one frame or several, may be to
	// be read. Servers take less: nginx 32 KiB, nghttp2 64 KiB, Apache 100
	// fields of 8 KiB at the very most; gRPC 8 to 16 KiB; Go alone 1 MiB.
	maxBlock = 128 << 10
	// maxIdle is how much memory of a block is kept for the next that comes in
	// several frames.
	maxIdle = 16 << 10
	// maxList is how long the fields of a block may be together to be looked at,
	// counted as in RFC 9113 6.5.2: a byte may stand for the longest entry of the
	// table. Servers take less: nghttp2 64 KiB, Go alone 1 MiB.
	maxList = 1 << 20
)

// A block is a header block under way. RFC 9113 4.3.
type block struct {
	stream uint32 // 0 between blocks
	ends   bool   // the stream ends with it
	push   bool   // it is a request that the server makes up (8.4)
	cut    bool   // the rest of it will not be seen
	stale  bool   // when it came is not known
	start  stream.Time
	first  stream.Sequence // of its first frame
	held   []byte          // fragments, if they come in several frames
	list   int             // length of the fields that were decoded
}

// fragment takes a frame that carries a piece of a header block.
func (c *conn) fragment(h *half, b *stream.Buffer, f frame, side stream.Side) error {
	whole := headLen + f.length
	var p []byte
	cut := f.length > maxBlock
	if !cut {
		var err error
		if p, err = b.Peek(whole); err == stream.ErrShort {
			return err
		} else if err != nil {
			p, cut = b.Bytes(), true
		}
	}
	k := &h.block
	if f.kind != continuation {
		*k = block{
			stream: f.stream, ends: f.kind == headers && f.flags&endStream != 0, push: f.kind == pushPromise,
			start: b.Time(), first: b.Sequence(), held: k.held[:0],
		}
		if h.joining {
			k.start = b.Latest()
			_, told := begins(b.Bytes(), f)
			k.stale = !told
		}
	}
	var piece []byte
	if !k.cut && len(p) > headLen {
		piece = strip(p[headLen:], f)
	}
	k.cut = k.cut || cut || len(k.held)+len(piece) > maxBlock
	var err error
	if f.flags&endHeaders != 0 {
		err = c.endBlock(h, side, piece, b.Latest())
	} else {
		k.held = append(k.held, piece...)
	}
	if err != nil {
		return err
	}
	b.Discard(int64(whole))
	return nil
}

// strip takes padding and what stands before a fragment off the payload of a
// frame, of which p may be the beginning. RFC 9113 6.2, 6.6.
func strip(p []byte, f frame) []byte {
	end := f.length
	at := 0
	if f.flags&padded != 0 && f.kind != continuation {
		end -= int(p[0])
		at++
	}
	switch {
	case f.kind == headers && f.flags&hasPriority != 0:
		at += priorityLen
	case f.kind == pushPromise:
		at += promisedLen
	}
	end = min(end, len(p))
	if at >= end {
		return nil
	}
	return p[at:end]
}

// endBlock decodes the block that last, its last piece, makes whole or that
// was cut there.
func (c *conn) endBlock(h *half, side stream.Side, last []byte, at stream.Time) (err error) {
	k := &h.block
	p := last
	if len(k.held) > 0 {
		k.held = append(k.held, last...)
		p = k.held
	}
	switch {
	case side == stream.Client:
		err = c.request(h, p, at)
	case k.push:
		err = c.promise(h, p)
	default:
		err = c.response(h, p, at)
	}
	if k.cut || err != nil {
		h.fields.Forget()
	}
	id, ends := k.stream, k.ends
	k.stream = 0
	h.fields.Rest(maxIdle)
	if cap(k.held) > maxIdle {
		k.held = nil
	}
	if ends && err == nil {
		c.over(id, side, at)
	}
	return err
}

// next decodes the next field of a block. It returns false at its end.
func (h *half) next(p *[]byte, f *hpack.Field) (ok bool, err error) {
	for len(*p) > 0 {
		n, err := h.fields.Decode(*p, f)
		if err != nil {
			if err == hpack.ErrShort && h.block.cut {
				return false, nil
			}
			return false, errBlock
		}
		*p = (*p)[n:]
		if h.block.list += f.Size(); h.block.list > maxList {
			h.fields.Blind()
			f.Unknown = true
		}
		if len(f.Name) > 0 || f.Unknown {
			return true, nil
		}
	}
	return false, nil
}

// request reads the header block of a request, or trailers.
func (c *conn) request(h *half, p []byte, at stream.Time) error {
	id := h.block.stream
	first := id > c.ledger.last // RFC 9113 5.1.1
	x, err := c.requestFields(h, p, at, first)
	if x != nil {
		c.weigh(x, at)
	}
	if first {
		c.ledger.opened(id, x != nil)
	}
	switch {
	case x == nil || err != nil:
	case x.over: // it was answered before it was seen
		x.sent = x.sent || h.block.ends
		if x.broken != "" {
			c.broke(x, x.broken, x.overAt)
		} else {
			c.finish(x, x.overAt)
		}
	case x.tunnel():
		c.finish(x, at)
	case id > c.served:
		c.broke(x, errorType(refusedStream), at)
	}
	return err
}

// requestFields reads the fields of a request. x is nil if it is trailers, or
// if nothing of it is known, or not when it came.
func (c *conn) requestFields(h *half, p []byte, at stream.Time, first bool) (x *call, err error) {
	id := h.block.stream
	if old, ok := c.find(id); ok {
		old.seen(at)
		first = false
	}
	first = first && !h.block.stale
	if first && h.whole {
		x = c.open(id, h.block.start, at) // it cannot be trailers
	}
	missed := h.block.cut
	var f hpack.Field
	for {
		ok, err := h.next(&p, &f)
		if err != nil {
			if x != nil {
				x.Truncated, x.unsure = true, true
			}
			return x, err
		}
		if !ok {
			break
		}
		switch {
		case f.Unknown:
			missed = true
		case f.Name[0] == ':' && x == nil && first:
			x = c.open(id, h.block.start, at)
			fallthrough
		case x != nil && c.protocol.wanted.Has(f.Name):
			x.requestField(f.Name, f.Value)
		}
	}
	if x != nil {
		x.Whole = !missed
		x.Truncated = x.Truncated || missed
	}
	return x, nil
}

// response reads the header block of a response, interim or final, or trailers.
func (c *conn) response(h *half, p []byte, at stream.Time) error {
	x := c.answering(h.block.stream, true, at)
	if x != nil {
		x.seen(at)
	}
	missed, interim := h.block.cut, false
	status := 0
	var f hpack.Field
	for {
		ok, err := h.next(&p, &f)
		if err != nil {
			if x != nil {
				x.Truncated, x.unsure = true, true
			}
			return err
		}
		switch {
		case !ok:
			if x != nil && missed {
				x.missed(status, interim, h.block.ends)
			}
			if x != nil && x.tunnel() {
				c.finish(x, at)
			}
			switch {
			case x == nil || x.Weighed == 0: // it has ended
			case x.Key <= uint64(c.ledger.last):
				c.weigh(x, at)
			default:
				c.early.Weigh(x)
			}
			return nil
		case f.Unknown:
			missed = true
		case string(f.Name) == ":status":
			status = number(f.Value)
			if interim = status < 200; x != nil && !interim { // RFC 9113 8.1
				x.Status = status
			}
		case x == nil || interim:
		case status != 0:
			x.responseField(f.Name, f.Value)
		default:
			x.trailer(f.Name, f.Value)
		}
	}
}

// missed notes that a block of the response has fields that are not known.
func (x *call) missed(status int, interim, ends bool) {
	if interim {
		return
	}
	// A gRPC status stands in the last block, alone or not.
	x.grpc.missed = x.grpc.missed || ends
	if x.Status == 0 || ends && x.maybe() && !x.grpc.known || status != 0 && x.WantsResponseFields() {
		x.Truncated = true
	}
}

// promise reads the request that a server answers without being asked, which
// is no exchange of anybody's: for the table alone.
func (c *conn) promise(h *half, p []byte) error {
	var f hpack.Field
	for {
		if ok, err := h.next(&p, &f); !ok {
			return err
		}
	}
}

// number reads a status. RFC 9110 15: three digits.
func number(v []byte) (n int) {
	if len(v) != 3 {
		return 0
	}
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + int(c-'0')
	}
	return n
}

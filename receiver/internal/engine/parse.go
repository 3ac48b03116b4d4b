package engine

import (
	"slices"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const (
	// maxHeld bounds the bytes that a parser may leave waiting on one side.
	// Parsers have smaller bounds of their own.
	maxHeld = 256 << 10
	// skipFrom is how many unwanted bytes must lie ahead for the source to be
	// told: below it, what is saved is less than one read or write.
	skipFrom = 16 << 10
	// skipMost bounds how far ahead the source is told, well within the half
	// of the sequence space in which numbers can be compared.
	skipMost = 1 << 29
	// maxTurns is how many times in a row the direction may turn without any
	// sense in the bytes before a connection is ignored.
	maxTurns = 16
)

// feed appends c to what side sent and lets the protocol have it. Whatever was
// lost is known to the protocol when feed returns. why tells why bytes of c are
// missing, if any are.
func (e *Engine) feed(f *flow, side stream.Side, c stream.Chunk, why string) {
	if f.opaque {
		return
	}
	h := &f.halves[side]
	lost := h.buf.Feed(c, &e.pool)
	if lost && f.conn != nil {
		e.lost(f, side, stream.ErrHole, c.At) // the hole before c
	}
	h.torn = why == tornWrite
	if c.Missing > 0 {
		h.missing = e.cause(why)
	}
	switch {
	case f.opaque:
		return
	case f.conn == nil:
		e.detect(f, lost)
		return
	}
	e.parse(f, side)
	if side == stream.Client && f.early {
		f.early = false
		e.parse(f, stream.Server)
	}
}

// parse offers the protocol what side sent.
func (e *Engine) parse(f *flow, side stream.Side) {
	if f.conn == nil {
		return
	}
	b := &f.halves[side].buf
	before := b.Pos()
	var err error
	if side == stream.Client {
		err = f.conn.Client(b)
	} else {
		err = f.conn.Server(b)
	}
	if (err == nil || err == protocol.ErrEarly) && len(b.Bytes()) > maxHeld {
		err = errHeld
	}
	switch v := err.(type) {
	case *protocol.Upgrade:
		e.upgrade(f, v, b.Latest())
		return
	case protocol.Opaque:
		e.ignore(f, ignored(v), b.Latest())
		return
	}
	switch err {
	case nil:
		if b.Pos() != before {
			f.turns = 0
		}
	case protocol.ErrUnpaired:
		e.stats.loseBy(err)
		b.Reset()
		e.strike(f, b.Latest())
	case protocol.ErrEarly:
		if f.overtakes(b) {
			if !f.early {
				f.early = true
				e.waiting = append(e.waiting, waiting{f.id, b.Latest()})
			}
			return
		}
		e.unasked(f, b.Latest())
	default:
		b.Reset()
		e.lost(f, side, err, b.Latest())
	}
}

// overtakes reports whether the request that b answers may yet be told of: threads of
// a client race each other. What was told of the rest shows it, if all was, or b does,
// if more was asked before it came.
func (f *flow) overtakes(b *stream.Buffer) bool {
	return f.endpoint.Side == stream.Client && (f.whole || b.Ack() > f.halves[stream.Client].buf.End())
}

// upgrade hands a connection over to the protocol that it turned to.
func (e *Engine) upgrade(f *flow, u *protocol.Upgrade, at stream.Time) {
	for i, p := range e.Protocols {
		s, ok := p.(protocol.Successor)
		if !ok {
			continue
		}
		next := s.Upgraded(u.Token, u.Request, &f.endpoint, e.emits[i])
		if next == nil {
			continue
		}
		u.Taken = true
		f.conn.Close(exchange.Lost, at)
		e.follow(f, i, next)
		e.parse(f, stream.Client)
		e.parse(f, stream.Server)
		return
	}
	e.ignore(f, ignored(u.Else), at)
}

// unasked drops an answer whose request was not seen.
func (e *Engine) unasked(f *flow, at stream.Time) {
	f.early = false
	f.halves[stream.Server].buf.Reset()
	e.lost(f, stream.Server, protocol.ErrEarly, at)
}

// lost tells the protocol that what side had sent is gone.
func (e *Engine) lost(f *flow, side stream.Side, why error, at stream.Time) {
	if why == stream.ErrHole {
		cause := e.causes[f.halves[side].missing]
		e.stats.lose(notCaptured + cause)
		if f.unbroken && !f.entire && cause == capture.Skipped {
			f.entire = true
			e.askWhole(f)
		}
	} else {
		e.stats.loseBy(why)
		if f.guided { // by what made no sense
			f.guided = false
			e.Source.Whole(f.id, stream.Framing{})
		}
	}
	f.whole, f.halves[side].torn = false, true
	if err, ok := f.conn.Lost(side, at).(protocol.Opaque); ok {
		e.ignore(f, ignored(err), at)
		return
	}
	e.strike(f, at)
}

// cause returns the place in Engine.causes of why bytes are missing.
func (e *Engine) cause(why string) uint8 {
	i := slices.Index(e.causes, why)
	if i < 0 {
		i = len(e.causes)
		e.causes = append(e.causes, why)
	}
	return uint8(i)
}

// strike notes that the bytes of this turn made no sense, and gives up on a
// connection that never makes any.
func (e *Engine) strike(f *flow, at stream.Time) {
	if f.struck {
		return
	}
	f.struck = true
	if f.turns++; f.turns >= maxTurns {
		e.ignore(f, unknown, at)
	}
}

// ignore gives a connection up: whatever it speaks from here on, it is not
// followed.
func (e *Engine) ignore(f *flow, why ignored, at stream.Time) {
	e.stats.ignored[why].Add(1)
	if f.conn != nil {
		e.finish(f)
		f.conn.Close(exchange.Lost, at)
	}
	f.reset()
	f.opaque = true
	e.enlist(f, false)
	e.Source.Ignore(f.id)
}

// skip tells the source which bytes of h, of which ev came last, the protocol does
// not want.
func (e *Engine) skip(f *flow, h *half, ev *capture.Event) {
	owed := h.buf.Owed()
	until := h.next + uint32(min(owed, skipMost))
	switch {
	case f.opaque:
	case e.guides(f, h, ev):
		h.skip, h.skipped, f.guided = until, true, true
		e.askWhole(f)
		e.Source.Frames(f.id, ev.Out, until)
	case owed >= skipFrom:
		if !h.skipped || int32(h.skip-h.next) < skipFrom {
			h.skip, h.skipped = until, true
			e.Source.Skip(f.id, ev.Out, until)
		}
	case h.skipped && owed == 0:
		h.skipped = false
		e.Source.Skip(f.id, ev.Out, h.next)
	}
}

// guides reports whether the source needs to be told where the next frame of h
// begins, and that is known.
func (e *Engine) guides(f *flow, h *half, ev *capture.Event) bool {
	if !f.unbroken || f.entire {
		return false
	}
	from := e.skims[f.speaks].SkimFrom
	h.unframed = !ev.Framed && (h.unframed || from > 0 && int64(ev.Len) >= int64(from))
	if !h.unframed || len(h.buf.Bytes()) > 0 || h.buf.Truncated() || h.buf.Owed() > skipMost {
		return false
	}
	framer, ok := f.conn.(protocol.Framer)
	return ok && framer.Framed(f.sender(ev.Out))
}

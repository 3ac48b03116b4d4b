package engine

import (
	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// A half is one direction of a connection.
type half struct {
	buf     stream.Buffer
	next    uint32 // sequence number of the next byte to arrive
	skip    uint32 // the source was told to skip up to here
	known   bool   // next is
	seen    bool   // bytes have come, so next is not merely inferred
	skipped bool   // skip is in force
	torn    bool   // what came before in the current read or write was lost
	// The source does not know where frames begin, and had to copy a long event.
	unframed bool
	missing  uint8 // why bytes were missing when some last were, by its place in Engine.causes
}

func (h *half) start(seq uint32) {
	if !h.seen {
		h.anchor(seq)
	}
}

// anchor says which sequence number the next byte to arrive has.
func (h *half) anchor(seq uint32) {
	h.next, h.known = seq, true
	h.buf.Anchor(seq)
}

// data feeds the bytes of an event to the side that sent them.
func (e *Engine) data(f *flow, ev *capture.Event) {
	if p := &f.endpoint.Process; ev.PID != 0 && (ev.PID != p.PID || ev.Start != p.Start || ev.Comm != p.Comm) {
		*p = exchange.Process{PID: ev.PID, Start: ev.Start, Comm: ev.Comm}
		if f.conn != nil {
			e.Sink.Process(*p)
		}
	}
	sender := f.sender(ev.Out)
	if sender != f.last {
		f.last, f.struck = sender, false
	}
	c, why := f.halves[sender].chunk(ev)
	peer := &f.halves[sender.Peer()]
	if f.unbroken && ev.Missing != "" && ev.Missing != capture.Skipped {
		e.askWhole(f) // it may have been forgotten
	}
	if !ev.Sequenced {
		c.Ack = peer.buf.End()
		f.halves[sender].buf.Drift()
		e.feed(f, sender, c, why)
		f.halves[f.sender(ev.Out)].buf.Settle()
		return
	}
	c.Ack = peer.position(ev.Ack)
	if e.align(f, sender, ev, &c) {
		e.feed(f, sender, c, why)
		// The protocol may have corrected who is who.
		h := &f.halves[f.sender(ev.Out)]
		e.skip(f, h, ev)
		h.buf.Settle()
	}
}

// chunk is what h is to be fed of an event, and why bytes are missing, if any are.
func (h *half) chunk(ev *capture.Event) (c stream.Chunk, why string) {
	if ev.Continued && (h.torn || h.buf.End() == 0) {
		// Where it goes on is nowhere that a protocol could begin again.
		return stream.Chunk{Missing: int64(ev.Len), At: ev.Time}, tornWrite
	}
	return stream.Chunk{Data: ev.Data, Missing: int64(ev.Len) - int64(len(ev.Data)), At: ev.Time}, ev.Missing
}

// position turns a sequence number into a position of the buffer.
func (h *half) position(seq uint32) uint64 {
	if !h.known {
		h.anchor(seq)
	}
	return h.buf.End() + uint64(int64(int32(seq-h.next)))
}

// gap feeds bytes of which no event came. They moved at some time since the
// last that did, so that is what is known of them; ack is as far as the other
// side can have come.
func (e *Engine) gap(f *flow, sender stream.Side, missing int64, ack uint64, now stream.Time) {
	e.stats.lose(sequenceGap)
	f.whole = false
	b := &f.halves[sender].buf
	c := stream.Chunk{Missing: missing, At: b.Latest(), Ack: ack}
	if c.At == 0 {
		c.At = now
	}
	e.feed(f, sender, c, sequenceGap)
}

// catchUp brings both sides to where they were when the connection, or one
// half of it, ended.
func (e *Engine) catchUp(f *flow, ev *capture.Event) {
	// Nothing of the collector's own connections is reported, but their ends.
	if !ev.Sequenced || f.opaque || !f.halves[0].seen && !f.halves[1].seen {
		return
	}
	next := [2]uint32{ev.Ack, ev.Ack}
	next[f.sender(ev.Out)] = ev.Seq
	for side := stream.Client; side <= stream.Server; side++ {
		h := &f.halves[side]
		h.pass(next[side], f.skims)
		// One byte more is a FIN: no message is that short.
		if missing := int32(next[side] - h.next); h.known && missing > 1 {
			h.next = next[side]
			e.gap(f, side, int64(missing), f.halves[side.Peer()].buf.End(), ev.Time)
			h.buf.Settle()
		}
	}
}

// pass goes on to seq where the source was asked to skip what lies before it, or skims
// it as a part of a frame, and may have said nothing of that.
func (h *half) pass(seq uint32, skims bool) {
	n := int64(int32(seq - h.next))
	if (skims || h.skipped && int32(h.skip-seq) > 0) && n > 0 && n < h.buf.Owed() {
		h.buf.Pass(n)
		h.next = seq
	}
}

// passes takes from ev the bytes that were passed over, if that is all that there is
// to say of them: they were discarded ahead of their arrival, and what is behind
// them follows.
func (f *flow) passes(ev *capture.Event) bool {
	h := &f.halves[f.sender(ev.Out)]
	if f.conn == nil || f.dialogue || !ev.Sequenced || ev.Seq != h.next || int64(ev.Passed) > h.buf.Owed() {
		return false
	}
	h.buf.Pass(int64(ev.Passed))
	h.next += ev.Passed
	cut(ev)
	return true
}

// passed takes from ev the bytes that were passed over, and returns them as an
// event of their own.
func passed(ev *capture.Event) (first capture.Event) {
	first = *ev
	first.Len, first.Passed, first.Data, first.Missing = ev.Passed, 0, nil, capture.Skipped
	cut(ev)
	ev.TurnsOut, ev.TurnsIn, ev.Turned = 0, 0, false
	return first
}

// cut takes from ev the bytes that were passed over.
func cut(ev *capture.Event) {
	ev.Seq += ev.Passed
	ev.Len -= ev.Passed
	ev.Passed, ev.Continued = 0, true
}

// align puts c where its sequence number says: behind a hole if bytes were
// never reported, cut if some were reported before. It reports false if
// nothing is left.
func (e *Engine) align(f *flow, sender stream.Side, ev *capture.Event, c *stream.Chunk) bool {
	h := &f.halves[sender]
	if !h.known || !h.seen && int32(ev.Seq-h.next) < 0 {
		// Nothing was known, or it was inferred from an acknowledgement that
		// ran ahead of the events.
		h.anchor(ev.Seq)
	}
	h.seen = true
	h.pass(ev.Seq, false)
	switch gap := int32(ev.Seq - h.next); {
	case gap > 0:
		e.gap(f, sender, int64(gap), c.Ack, ev.Time)
	case gap < 0:
		// Threads that share a socket can shift each other's numbers.
		e.stats.lose(outOfOrder)
		f.whole = false
		old := min(-int64(gap), int64(ev.Len))
		if old == int64(ev.Len) {
			return false
		}
		cut := min(old, int64(len(c.Data)))
		c.Data = c.Data[cut:]
		c.Missing -= old - cut
	}
	h.next = ev.Seq + ev.Len
	return true
}

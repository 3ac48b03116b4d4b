package engine

import (
	"time"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const (
	// maxHeld bounds the bytes that a parser may leave waiting on one side.
	// Parsers have smaller bounds of their own.
	maxHeld = 256 << 10
	// maxWaiting bounds the bytes that all sides leave waiting together. Beyond
	// it none may have more than its share. Most are in the middle of no
	// message: of 65,536 connections 1 KiB each can be.
	maxWaiting = 64 << 20
	// skipFrom is how many unwanted bytes must lie ahead for the source to be
	// told: below it, what is saved is less than one read or write.
	skipFrom = 16 << 10
	// skipMost bounds how far ahead the source is told, well within the half
	// of the sequence space in which numbers can be compared.
	skipMost = 1 << 29
	// maxTurns is how many times in a row the direction may turn without any
	// sense in the bytes before a connection is ignored.
	maxTurns = 16
	// maxSilence is after how long a connection is taken to be over although
	// its end was not told: the event may have been lost. MySQL, which keeps what
	// is silent for longer than other servers do, ends it by then (wait_timeout).
	maxSilence = stream.Time(8 * time.Hour)
)

// A flow is one end of a connection.
type flow struct {
	id       capture.FlowID
	endpoint exchange.Endpoint
	conn     protocol.Conn // nil until the protocol is known, and once opaque
	halves   *[2]half      // by the side that sends; nil once opaque
	out      stream.Side   // the side that Event.Out means
	turns    int           // without sense; see maxTurns
	last     stream.Side   // who sent last
	active   stream.Time   // when the latest event came
	sure     bool          // endpoint.Side is known, not guessed
	whole    bool          // seen from its opening on, nothing lost so far
	asleep   bool          // nothing came since conn was told so
	unbroken bool          // conn's protocol is protocol.Unbroken
	opaque   bool          // not to be looked at any more
	early    bool          // an answer waits for its request
	listed   bool          // in Engine.clients
	struck   bool          // no sense was found since the direction last turned
	place    uint32        // in Engine.recent
	tally
}

// A half is one direction of a connection.
type half struct {
	buf     stream.Buffer
	next    uint32 // sequence number of the next byte to arrive
	skip    uint32 // the source was told to skip up to here
	known   bool   // next is
	seen    bool   // bytes have come, so next is not merely inferred
	skipped bool   // skip is in force
	torn    bool   // what came before in the current read or write was lost
	missing string // why bytes were missing when some last were
}

// handle takes one event.
func (e *Engine) handle(ev *capture.Event) {
	e.now = ev.Time
	f := e.flows[ev.Flow]
	if f == nil {
		if ev.Kind != capture.Data && ev.Kind != capture.Opened {
			e.unfollowed(ev)
			return
		}
		f = e.open(ev)
	} else {
		e.recent.touch(f)
	}
	f.active, f.asleep = ev.Time, false
	open, handed := f.open(), e.handed
	e.turn(f, ev)
	switch ev.Kind {
	case capture.Opened:
		f.opened(ev)
	case capture.Data:
		e.stats.events.Add(1)
		e.stats.bytes.Add(uint64(len(ev.Data)))
		if f.opaque {
			e.Source.Ignore(f.id) // it was asked before, and forgot
			return
		}
		e.data(f, ev)
		e.told(f, uint64(f.open()-open)+e.handed-handed)
	case capture.Refused:
		if f.conn == nil { // else others use the socket, too
			f.tally = tally{settled: true}
			e.close(f, exchange.Evicted, ev.Time)
		}
	case capture.Ended:
		e.catchUp(f, ev)
		if f.conn != nil {
			f.conn.Ended(f.sender(ev.Out), ev.Time)
		}
	case capture.Closed:
		e.catchUp(f, ev)
		why := exchange.Closed
		if ev.Reset {
			why = exchange.Reset
		}
		e.close(f, why, ev.Time)
	}
	e.recount(f, open)
	f.abandon()
}

// open is how many exchanges of f are open.
func (f *flow) open() int {
	if f.conn == nil {
		return 0
	}
	return f.conn.Live()
}

// recount brings the gauge of open exchanges up to date after something that
// may have changed f, which had this many before.
func (e *Engine) recount(f *flow, before int) {
	if n := f.open() - before; n != 0 {
		e.stats.open.Add(int64(n))
	}
}

// sender is the side that sent what went out of, or came in at, the observed end.
func (f *flow) sender(out bool) stream.Side {
	if out {
		return f.out
	}
	return f.out.Peer()
}

// open makes room for a connection and begins to follow it.
func (e *Engine) open(ev *capture.Event) *flow {
	if len(e.flows) >= e.MaxConnections {
		e.stats.lose(connectionEvicted)
		e.drop(e.recent.oldest(), exchange.Evicted, ev.Time)
	}
	f := &flow{id: ev.Flow, sure: ev.Sure, out: ev.Side, halves: new([2]half)}
	f.settled = true
	f.endpoint = exchange.Endpoint{Side: ev.Side, Local: ev.Local, Peer: ev.Peer}
	for i := range f.halves {
		f.halves[i].buf.Pool = &e.pool
	}
	e.flows[ev.Flow] = f
	e.enlist(f, ev.Side == stream.Client)
	e.stats.connections.Store(int64(len(e.flows)))
	e.recent.add(f)
	return f
}

// drop ends a connection that had no event of its own.
func (e *Engine) drop(f *flow, why exchange.Outcome, at stream.Time) {
	open := f.open()
	f.missed = f.missed || !f.opaque && len(f.halves[stream.Client].buf.Bytes()) > 0 // a request had begun
	e.close(f, why, at)
	e.recount(f, open)
}

// close ends a connection and forgets it.
func (e *Engine) close(f *flow, why exchange.Outcome, at stream.Time) {
	e.finish(f)
	if f.conn != nil {
		f.conn.Close(why, at)
	}
	f.reset()
	e.recent.remove(f)
	e.enlist(f, false)
	delete(e.flows, f.id)
	e.stats.connections.Store(int64(len(e.flows)))
}

// opened notes where the streams begin.
func (f *flow) opened(ev *capture.Event) {
	f.whole, f.endpoint.Opened = true, true
	if !ev.Sequenced || f.opaque {
		return
	}
	out, in := ev.Seq, ev.Ack
	f.halves[f.out].start(out)
	f.halves[f.out.Peer()].start(in)
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
	if p := (exchange.Process{PID: ev.PID, Start: ev.Start, Comm: ev.Comm}); p.PID != 0 && p != f.endpoint.Process {
		f.endpoint.Process = p
		if f.conn != nil {
			e.Sink.Process(p)
		}
	}
	sender := f.sender(ev.Out)
	if sender != f.last {
		f.last, f.struck = sender, false
	}
	c, why := f.halves[sender].chunk(ev)
	peer := &f.halves[sender.Peer()]
	if f.unbroken && ev.Missing != "" {
		e.Source.Whole(f.id) // it may have been forgotten
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
		e.skip(f, h, ev.Out)
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
		// One byte more is a FIN: no message is that short.
		if missing := int32(next[side] - h.next); h.known && missing > 1 {
			h.next = next[side]
			e.gap(f, side, int64(missing), f.halves[side.Peer()].buf.End(), ev.Time)
			h.buf.Settle()
		}
	}
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

// feed appends c to what side sent and lets the protocol have it. Whatever was
// lost is known to the protocol when feed returns. why tells why bytes of c are
// missing, if any are.
func (e *Engine) feed(f *flow, side stream.Side, c stream.Chunk, why string) {
	if f.opaque {
		return
	}
	h := &f.halves[side]
	lost := h.buf.Feed(c)
	if lost && f.conn != nil {
		e.lost(f, side, stream.ErrHole, c.At) // the hole before c
	}
	h.torn = why == tornWrite
	if c.Missing > 0 {
		h.missing = why
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
	if n := len(b.Bytes()); (err == nil || err == protocol.ErrEarly) && n > e.share() {
		if err = errHeld; n <= maxHeld {
			err = errCrowd
		}
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
		if f.whole && f.endpoint.Side == stream.Client {
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

// share is how many bytes one side may leave waiting.
func (e *Engine) share() int {
	if e.pool.Lent() < maxWaiting {
		return maxHeld
	}
	return min(maxHeld, maxWaiting/2/len(e.flows))
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
		e.stats.lose(notCaptured + f.halves[side].missing)
	} else {
		e.stats.loseBy(why)
	}
	f.whole, f.halves[side].torn = false, true
	if err, ok := f.conn.Lost(side, at).(protocol.Opaque); ok {
		e.ignore(f, ignored(err), at)
		return
	}
	e.strike(f, at)
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

// reset lets go of what a connection holds.
func (f *flow) reset() {
	f.conn, f.early = nil, false
	if f.halves == nil {
		return
	}
	for i := range f.halves {
		f.halves[i].buf.Reset()
	}
}

// abandon lets go of the streams of a connection that was given up. Its place is
// kept, lest it be looked at again.
func (f *flow) abandon() {
	if f.opaque {
		f.halves, f.tally = nil, tally{settled: true}
	}
}

// skip tells the source which bytes of h the protocol does not want.
func (e *Engine) skip(f *flow, h *half, out bool) {
	owed := h.buf.Owed()
	switch {
	case f.opaque:
	case owed >= skipFrom:
		until := h.next + uint32(min(owed, skipMost))
		if !h.skipped || int32(h.skip-h.next) < skipFrom {
			h.skip, h.skipped = until, true
			e.Source.Skip(f.id, out, until)
		}
	case h.skipped && owed == 0:
		h.skipped = false
		e.Source.Skip(f.id, out, h.next)
	}
}

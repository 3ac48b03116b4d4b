package pcap

import (
	"net/netip"
	"slices"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const (
	// maxJump is the largest window TCP can announce (RFC 7323 2.3). What is
	// farther from the bytes before it belongs to another connection between
	// the same ports.
	maxJump = 1 << 30
	// patience is how many more packets of a connection are looked at for bytes
	// that were acknowledged and are not there, before they are held to be
	// missing: captures that were merged, or made of several queues, have
	// packets in another order than the wire had.
	patience = 8
	// mergeSkew is how long they are waited for at most, in the time of the capture.
	mergeSkew = stream.Time(20 * time.Millisecond)
)

// A connection puts the bytes of both its ends in order, and leaves them in
// the order of the capture: nothing is handed out before the bytes that
// it acknowledges.
type connection struct {
	ends
	id      capture.FlowID
	halves  [2]half     // by the sender, as in ends
	server  int         // index of the end that accepted
	sure    bool        // server is known, not guessed
	whole   bool        // the opening was seen
	shown   bool        // events of it have been handed out
	ignored bool        // nobody wants its bytes
	closed  bool        // kept so that what comes late is not taken for a new one
	at      stream.Time // of the latest event

	stalled  stream.Time // since when bytes are acknowledged and not there; 0: they are
	patience int         // packets, while stalled

	prev, next *connection // ring of table.recent
}

// ends are those of a connection, the lower address first.
type ends [2]netip.AddrPort

// A half is what one end sends.
type half struct {
	known bool      // the numbers are
	fin   bool      // it has sent all
	first uint32    // sequence number of the first byte
	next  uint32    // of the next byte to hand out
	acked uint32    // up to where the peer has it, if that is beyond next
	due   uint32    // acked, when the connection stalled
	hole  [2]uint32 // numbers of the latest bytes that were given up, and behind them
	held  []held    // segments behind next, by sequence number
}

// held is a segment that cannot be handed out yet.
type held struct {
	segment
	order uint64 // of arrival, counted over all connections
}

// after reports whether sequence number a comes after b (RFC 9293 3.4).
func after(a, b uint32) bool { return int32(a-b) > 0 }

// start says where the numbers of h begin.
func (h *half) start(seq uint32) {
	h.known, h.first, h.next, h.acked, h.due = true, seq, seq, seq, seq
}

// acknowledge notes that the peer has everything before ack.
func (h *half) acknowledge(ack uint32) {
	switch {
	case !h.known:
		h.start(ack)
	case after(ack, h.acked) && ack-h.next <= maxJump:
		h.acked = ack
	}
}

// position is the number of the next byte of data. The end of a stream is
// numbered, too.
func (h *half) position() uint32 {
	if h.fin {
		return h.next - 1
	}
	return h.next
}

// missing reports whether the peer has bytes that were not handed out.
func (h *half) missing() bool { return after(h.acked, h.next) }

// foreign reports whether seq cannot be of this connection.
func (h *half) foreign(seq uint32) bool {
	d := int32(seq - h.next)
	return h.known && (d > maxJump || d < -maxJump)
}

// passed notes that everything before seq was handed out.
func (h *half) passed(seq uint32) {
	h.next = seq
	if after(seq, h.acked) {
		h.acked = seq
	}
}

// receive takes what end from sent. It may keep a copy.
func (t *table) receive(c *connection, from int, s *segment) {
	h, peer := &c.halves[from], &c.halves[1-from]
	if s.acks {
		peer.acknowledge(s.ack)
	}
	if !h.known {
		h.start(s.seq)
	}
	switch empty := s.size == 0 && !s.fin; {
	case c.count() > 0:
		if !empty {
			t.hold(c, from, s)
		}
		t.drain(c)
	case empty:
	case c.ready(from, s):
		t.deliver(c, from, s)
	default:
		t.hold(c, from, s)
	}
	t.watch(c, s.at)
}

// ready reports whether s, sent by end from, comes next.
func (c *connection) ready(from int, s *segment) bool {
	h, peer := &c.halves[from], &c.halves[1-from]
	return !after(s.seq, h.next) && peer.known && (!s.acks || !after(s.ack, peer.next))
}

// hold keeps a segment.
func (t *table) hold(c *connection, from int, s *segment) {
	h := &c.halves[from]
	end := s.seq + s.size
	if !after(end, h.next) && !s.fin {
		t.old(h, s)
		return
	}
	i, _ := slices.BinarySearchFunc(h.held, s.seq, func(a held, seq uint32) int { return int(int32(a.seq - seq)) })
	if i < len(h.held) && h.held[i].seq == s.seq && !after(end, h.held[i].seq+h.held[i].size) && !s.fin {
		return
	}
	t.arrivals++
	x := held{*s, t.arrivals}
	x.data = slices.Clone(s.data)
	h.held = slices.Insert(h.held, i, x)
	t.holding += x.cost()
	// Of all connections it is this one that pays: those that hold on to much
	// for long are those that ended so.
	for c.count() > maxHeld || t.holding > maxHolding && c.count() > 0 {
		t.losses.add(reorderLimit)
		t.force(c)
	}
}

// count is how many segments are held.
func (c *connection) count() int { return len(c.halves[0].held) + len(c.halves[1].held) }

func (x *held) cost() int { return len(x.data) + heldCost }

// drain hands out all that comes next.
func (t *table) drain(c *connection) {
	for {
		from := c.oldest(c.ready)
		if from < 0 {
			return
		}
		t.release(c, from)
	}
}

// oldest returns the end of which a segment is held, is the first of its
// half and passes ok. If both have one, it is the one that came first. -1 is none.
func (c *connection) oldest(ok func(int, *segment) bool) int {
	found := -1
	for i := range c.halves {
		if q := c.halves[i].held; len(q) > 0 && ok(i, &q[0].segment) &&
			(found < 0 || q[0].order < c.halves[found].held[0].order) {
			found = i
		}
	}
	return found
}

// release hands out the first segment that is held of a half.
func (t *table) release(c *connection, from int) {
	h := &c.halves[from]
	x := h.held[0]
	h.held[0] = held{}
	if h.held = h.held[1:]; len(h.held) == 0 {
		h.held = nil
	}
	t.holding -= x.cost()
	t.deliver(c, from, &x.segment)
}

// force hands out the segment that is held for longest, behind all that it
// acknowledges and that stands before it, and says what of that is missing.
func (t *table) force(c *connection) {
	from := c.oldest(func(int, *segment) bool { return true })
	h, peer := &c.halves[from], &c.halves[1-from]
	first := &h.held[0].segment
	seq, ack := first.seq, first.ack
	if first.acks && peer.known && !peer.foreign(ack) {
		t.fill(c, 1-from, ack)
	}
	t.fill(c, from, seq)
	if len(h.held) > 0 {
		t.release(c, from)
	}
	t.drain(c)
}

// fill hands out what a half has before seq, and says what is missing.
func (t *table) fill(c *connection, from int, seq uint32) {
	h := &c.halves[from]
	for !h.fin && after(seq, h.next) {
		until := seq
		if len(h.held) > 0 {
			if !after(h.held[0].seq, h.next) {
				t.release(c, from)
				continue
			}
			if after(until, h.held[0].seq) {
				until = h.held[0].seq
			}
		} else if until == h.next+1 {
			// One byte and nothing behind it: more likely the end of the
			// stream, which is numbered like a byte. If not, the engine sees the gap.
			h.passed(until)
			return
		}
		t.losses.add(segmentMissing)
		h.hole = [2]uint32{h.next, until}
		t.event(c, capture.Data, from, capture.Event{Len: until - h.next, Missing: notInFile})
		h.passed(until)
	}
}

// watch looks whether bytes are missing that were acknowledged, and no longer
// waits for them when it has waited for enough.
func (t *table) watch(c *connection, at stream.Time) {
	switch {
	case c.closed, !c.halves[0].missing() && !c.halves[1].missing():
		c.stalled = 0
	case c.stalled == 0:
		c.stalled, c.patience = max(at, 1), patience
		for i := range c.halves {
			c.halves[i].due = c.halves[i].acked
		}
		t.stalled = append(t.stalled, stalled{c, c.stalled})
	default:
		if c.patience--; c.patience == 0 {
			t.giveUp(c)
		}
	}
}

// giveUp hands out what was acknowledged when c stalled, and says what is
// missing of it.
func (t *table) giveUp(c *connection) {
	c.stalled = 0
	first := max(c.oldest(func(int, *segment) bool { return true }), 0)
	// What is held for longest waits for the other half.
	for _, from := range [2]int{1 - first, first} {
		t.fill(c, from, c.halves[from].due)
		t.drain(c)
	}
}

// deliver hands out what is new in a segment that comes next.
func (t *table) deliver(c *connection, from int, s *segment) {
	h := &c.halves[from]
	old := h.next - s.seq
	if h.fin || old > s.size || old == s.size && !s.fin {
		t.old(h, s)
		return
	}
	if n := s.size - old; n > 0 {
		e := capture.Event{Len: n, Data: s.data[min(int(old), len(s.data)):]}
		if len(e.Data) < int(n) {
			e.Missing = cutOff
		}
		c.at = max(c.at, s.at)
		t.event(c, capture.Data, from, e)
		h.passed(h.next + n)
	}
	if s.fin {
		c.at = max(c.at, s.at)
		t.event(c, capture.Ended, from, capture.Event{})
		h.passed(h.next + 1)
		h.fin = true
		if c.halves[1-from].fin {
			t.close(c, false)
		}
	}
}

// old looks at a segment whose bytes have been passed: mostly it was sent again,
// but it may be one that was given up.
func (t *table) old(h *half, s *segment) {
	if s.size > 0 && after(h.hole[1], s.seq) && after(s.seq+s.size, h.hole[0]) {
		t.losses.add(segmentLate)
	}
}

// event queues an event about what end from sent.
func (t *table) event(c *connection, kind capture.Kind, from int, e capture.Event) {
	if c.ignored && kind != capture.Closed {
		return
	}
	if !c.shown && kind != capture.Closed {
		c.shown = true
		if client, server := &c.halves[1-c.server], &c.halves[c.server]; c.whole && client.known && server.known {
			o := capture.Event{Seq: server.first, Ack: client.first}
			t.queue(c, capture.Opened, c.server, o)
		}
	}
	e.Seq, e.Ack = c.halves[from].position(), c.halves[1-from].position()
	t.queue(c, kind, from, e)
}

func (t *table) queue(c *connection, kind capture.Kind, from int, e capture.Event) {
	e.Flow, e.Kind, e.Time = c.id, kind, c.at
	e.Out, e.Side, e.Sure, e.Sequenced = from == c.server, stream.Server, c.sure, true
	e.Local, e.Peer = c.ends[c.server], c.ends[1-c.server]
	t.events = append(t.events, e)
}

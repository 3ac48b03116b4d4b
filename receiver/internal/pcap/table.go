package pcap

import (
	"time"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const (
	// maxConnections bounds the connections that are known, closed ones
	// included. Beyond it the one that was silent for longest is forgotten.
	maxConnections = 1 << 16
	// maxHeld bounds the segments of a connection that wait for one before
	// them: what fits into a window of 6 MB, Linux's largest (net.ipv4.tcp_rmem).
	maxHeld = 4096
	// maxHolding bounds the bytes of all segments that wait.
	maxHolding = 64 << 20
	// maxStalled bounds the connections of which acknowledged bytes are waited for.
	maxStalled = 1 << 14
	heldCost   = 192 // bytes a segment costs beside its data, about
	// lingering is how long packets of a closed connection are taken for late
	// ones (RFC 9293 3.4.2: twice the segment lifetime, of which most make 30 s).
	lingering = stream.Time(time.Minute)
)

// A table follows all connections of a capture, and queues their events.
type table struct {
	connections map[ends]*connection
	flows       map[capture.FlowID]*connection
	recent      connection // ring of all: next is the latest to be active, prev the first to go
	lastFlow    capture.FlowID
	arrivals    uint64
	holding     int       // bytes of held segments, heldCost included
	stalled     []stalled // by time
	events      []capture.Event
	taken       int // of events
	losses      *losses
}

// stalled is a connection that was stalled at a time.
type stalled struct {
	c     *connection
	since stream.Time
}

func (t *table) init(l *losses) {
	t.connections, t.flows, t.losses = make(map[ends]*connection), make(map[capture.FlowID]*connection), l
	t.recent.next, t.recent.prev = &t.recent, &t.recent
}

// pop takes the next event. It reports false if there is none.
func (t *table) pop(e *capture.Event) bool {
	if t.taken == len(t.events) {
		clear(t.events)
		t.events, t.taken = t.events[:0], 0
		return false
	}
	*e = t.events[t.taken]
	t.taken++
	return true
}

// add takes a segment. Its data must be valid until pop reports false.
func (t *table) add(s segment) {
	t.overdue(s.at)
	key, from := ends{s.from, s.to}, 0
	if s.from.Compare(s.to) > 0 {
		key, from = ends{s.to, s.from}, 1
	}
	c := t.connections[key]
	if c != nil {
		c.touch(&t.recent)
	}
	switch {
	case s.rst:
		if c != nil {
			c.at = max(c.at, s.at)
			t.close(c, true)
		}
		return
	case s.syn:
		c = t.opening(c, key, from, &s)
		s.seq++ // SYN is numbered like a byte; with Fast Open, data is behind it
	case c != nil && s.size > 0 && (c.closed && s.at > c.at+lingering || !c.closed && !c.ignored && c.halves[from].foreign(s.seq)):
		t.replace(c)
		c = nil
	}
	switch {
	case c == nil && s.size == 0, c != nil && c.closed:
		return
	case c == nil:
		c = t.join(key, s.at)
	}
	if c.ignored {
		c.halves[from].fin = c.halves[from].fin || s.fin
		if c.at = max(c.at, s.at); c.halves[0].fin && c.halves[1].fin {
			t.close(c, false)
		}
		return
	}
	t.receive(c, from, &s)
}

// opening takes a SYN, which may be that of a new connection between the ends
// of an old one, and returns the connection it opens.
func (t *table) opening(c *connection, key ends, from int, s *segment) *connection {
	first := s.seq + 1
	if c != nil {
		h, peer := &c.halves[from], &c.halves[1-from]
		switch {
		case h.known && h.first == first:
			return c // sent again
		case !h.known && s.acks && peer.known && s.ack-peer.first <= maxPacket && !c.closed:
			h.start(first) // the answer to the SYN, and perhaps to data that came with it
			return c
		}
		t.replace(c)
	}
	c = t.insert(key, s.at)
	c.sure, c.whole, c.server = true, true, 1-from
	if s.acks {
		c.server = from
	}
	c.halves[from].start(first)
	return c
}

// join meets a connection that was opened before the capture began.
func (t *table) join(key ends, at stream.Time) *connection {
	c := t.insert(key, at)
	if key[1].Port() < key[0].Port() {
		c.server = 1
	}
	return c
}

func (t *table) insert(key ends, at stream.Time) *connection {
	if len(t.connections) >= maxConnections {
		c := t.recent.prev
		if !c.closed {
			t.losses.add(connectionEvicted)
		}
		t.forget(c)
	}
	t.lastFlow++
	c := &connection{ends: key, id: t.lastFlow, at: at}
	t.connections[key], t.flows[c.id] = c, c
	c.link(&t.recent)
	return c
}

// replace ends a connection whose ends have begun another.
func (t *table) replace(c *connection) {
	t.close(c, false)
	t.forget(c)
}

// close hands out what is held, what is missing of what was waited for, and the
// end of the connection.
func (t *table) close(c *connection, reset bool) {
	if c.closed {
		return
	}
	c.closed = true // first, because to hand out a segment may close, too
	for c.count() > 0 {
		t.force(c)
	}
	if c.stalled != 0 {
		t.giveUp(c)
	}
	if c.shown {
		t.event(c, capture.Closed, c.server, capture.Event{Reset: reset})
	}
}

// forget lets go of what the connection holds, and of the connection. Its flow
// has no more events; the engine forgets it by its own bound.
func (t *table) forget(c *connection) {
	t.drop(c)
	c.closed, c.stalled = true, 0
	c.unlink()
	delete(t.connections, c.ends)
	delete(t.flows, c.id)
}

// drop lets go of held segments.
func (t *table) drop(c *connection) {
	for i := range c.halves {
		for j := range c.halves[i].held {
			t.holding -= c.halves[i].held[j].cost()
		}
		c.halves[i].held = nil
	}
}

func (t *table) ignore(id capture.FlowID) {
	if c := t.flows[id]; c != nil {
		c.ignored, c.stalled = true, 0
		t.drop(c)
	}
}

// overdue gives up what was waited for until now.
func (t *table) overdue(now stream.Time) {
	n := 0
	for ; n < len(t.stalled); n++ {
		x := &t.stalled[n]
		// Time may go back in captures that were merged by appending.
		if now >= x.since && now < x.since+mergeSkew && len(t.stalled)-n < maxStalled {
			break
		}
		if x.c.stalled == x.since {
			t.giveUp(x.c)
		}
	}
	if n > 0 {
		rest := copy(t.stalled, t.stalled[n:])
		clear(t.stalled[rest:])
		t.stalled = t.stalled[:rest]
	}
}

// flush hands out what one connection still holds, at the end of the capture.
// It reports false if none does.
func (t *table) flush() bool {
	for c := t.recent.prev; c != &t.recent; c = t.recent.prev {
		for c.count() > 0 {
			t.force(c)
		}
		t.forget(c)
		if len(t.events) > 0 {
			return true
		}
	}
	return false
}

// link makes c the latest of the ring at root.
func (c *connection) link(root *connection) {
	c.prev, c.next = root, root.next
	c.prev.next, c.next.prev = c, c
}

func (c *connection) unlink() {
	c.prev.next, c.next.prev = c.next, c.prev
	c.prev, c.next = nil, nil
}

func (c *connection) touch(root *connection) {
	if root.next != c {
		c.unlink()
		c.link(root)
	}
}

package stream

import "unsafe"

// A Chunk is what one read or write moved: the bytes that were captured, then
// a count of bytes that were not.
type Chunk struct {
	Data    []byte
	Missing int64 // bytes moved after Data and not captured; never negative
	At      Time
	// Ack is how far the other side's stream had come when this chunk moved,
	// as a position of its Buffer.
	Ack uint64
}

// A Buffer is what one side sent and its parser has not consumed yet: held
// bytes, then a hole, which is a count of bytes that were sent but not
// captured. The zero value is ready to use. Not safe for concurrent use.
//
// There are two for each connection, and most wait for nothing: what they need
// for that is lent to them while they do, and few numbers are left, without a
// pointer for the garbage collector to follow.
type Buffer struct {
	waiting *waiting // lent by a Pool; nil when all is consumed and settled

	hole int64  // bytes missing after those that are held
	owed int64  // bytes discarded ahead of their arrival; none are held then
	pos  uint64 // position in the stream of the first unconsumed byte

	latest Time
	ack    uint64
	origin uint32 // TCP sequence number of position 0

	anchored bool // origin is known
}

// waiting is what a buffer needs while bytes wait in it.
type waiting struct {
	pool *Pool // who lent it, and own

	held []byte // unconsumed; aliases the chunk from Feed to Settle, own after
	own  []byte // borrowed from pool, nil when nothing had to be kept

	before Time  // when the bytes before those of marks came
	marks  marks // the chunks that held bytes came in, oldest first
	marked uint8 // how many

	borrowed bool // held aliases a chunk
}

// maxMarks is how many waiting chunks a buffer tells apart. Of more, those
// between the first and the latest are taken for one.
const maxMarks = 4

type marks [maxMarks]mark

// A mark is where a chunk begins.
type mark struct {
	pos    uint64
	at     Time
	ack    uint64
	turned bool // the other side had come further since the chunk before
}

// Feed appends a chunk. The buffer keeps a reference to c.Data until Settle. pool
// lends the memory for what is not consumed yet; nil allocates. Feed reports
// whether bytes that the parser still waited for turned out to be lost: a hole
// that nobody discarded was followed by more. The bytes before that hole are
// dropped with it and the buffer starts over with c.
func (b *Buffer) Feed(c Chunk, pool *Pool) (lost bool) {
	if b.hole > 0 {
		lost = true
		b.Reset()
	}
	if b.waiting == nil {
		b.waiting = pool.getWaiting()
	}
	b.mark(c)
	data, missing := c.Data, c.Missing
	if b.owed > 0 {
		n := min(b.owed, int64(len(data)))
		data = data[n:]
		b.owed -= n
		b.pos += uint64(n)
		n = min(b.owed, missing)
		missing -= n
		b.owed -= n
		b.pos += uint64(n)
	}
	if w := b.waiting; len(data) > 0 {
		if len(w.held) == 0 {
			w.held, w.borrowed = data, true
		} else {
			w.append(data)
		}
	}
	b.hole = missing
	return lost
}

// mark notes where c begins.
func (b *Buffer) mark(c Chunk) {
	w := b.waiting
	if len(w.held) == 0 { // all before it was consumed
		w.marked, w.before = 0, b.latest
	}
	for w.marked == maxMarks && w.marks[1].pos <= b.pos {
		w.before = w.marks[0].at
		w.marked = uint8(copy(w.marks[:], w.marks[1:]))
	}
	if w.marked == maxMarks {
		w.marked--
	}
	w.marks[w.marked] = mark{pos: b.End(), at: c.At, ack: c.Ack, turned: c.Ack > b.ack}
	w.marked++
	b.latest, b.ack = c.At, c.Ack
}

// append adds data behind the held bytes, which are this buffer's own.
func (w *waiting) append(data []byte) {
	if w.borrowed { // two chunks without a Settle between them
		w.keep()
	}
	n := len(w.held)
	if n+len(data) > cap(w.held) {
		// The front of own that was consumed cannot be reached any more: move
		// to memory that has room for as much again.
		next := append(w.pool.get(2*(n+len(data))), w.held...)
		w.pool.put(w.own)
		w.own, w.held = next, next
	}
	w.held = append(w.held, data...)
}

// Settle copies what is left, so that the chunk passed to Feed can be reused,
// and returns memory that is not needed any more.
func (b *Buffer) Settle() {
	switch w := b.waiting; {
	case w == nil:
	case len(w.held) == 0:
		w.pool.put(w.own)
		b.waiting = nil
		w.pool.putWaiting(w)
	case w.borrowed:
		w.keep()
	}
}

// keep copies what is held of a chunk.
func (w *waiting) keep() {
	own := w.own
	if cap(own) < len(w.held) {
		w.pool.put(own)
		own = w.pool.get(len(w.held))
	}
	w.own = append(own[:0], w.held...)
	w.held, w.borrowed = w.own, false
}

// Weight is how many bytes of memory are taken by what waits, once settled.
func (b *Buffer) Weight() int {
	if b.waiting == nil {
		return 0
	}
	return cap(b.waiting.own) + int(unsafe.Sizeof(waiting{}))
}

// Bytes returns the held bytes, up to the hole. Valid until the next call of
// Feed, Settle or Reset.
func (b *Buffer) Bytes() []byte {
	if b.waiting == nil {
		return nil
	}
	held := b.waiting.held
	return held[:len(held):len(held)]
}

// Truncated reports whether a hole follows Bytes.
func (b *Buffer) Truncated() bool { return b.hole > 0 }

// Peek returns the next n bytes without consuming them, or ErrShort or ErrHole.
func (b *Buffer) Peek(n int) ([]byte, error) {
	if held := b.Bytes(); n <= len(held) {
		return held[:n:n], nil
	}
	if b.hole > 0 {
		return nil, ErrHole
	}
	return nil, ErrShort
}

// Discard consumes n bytes: held ones, missing ones and, if those are too few,
// bytes that have yet to be sent. It never fails and never buffers.
func (b *Buffer) Discard(n int64) {
	var k int64
	if w := b.waiting; w != nil {
		k = min(n, int64(len(w.held)))
		w.held = w.held[k:]
		n -= k
	}
	m := min(n, b.hole)
	b.hole -= m
	b.owed += n - m
	b.pos += uint64(k + m)
}

// Owed returns how many of the discarded bytes have yet to be sent.
func (b *Buffer) Owed() int64 { return b.owed }

// Pass says that n of the bytes that are owed were sent, and nothing else is known
// of them; n is at most Owed.
func (b *Buffer) Pass(n int64) {
	b.owed -= n
	b.pos += uint64(n)
}

// Reset drops everything that was fed, and forgets what is owed.
func (b *Buffer) Reset() {
	b.pos, b.hole, b.owed = b.End(), 0, 0
	if b.waiting != nil {
		b.waiting.held = nil
		b.Settle()
	}
}

// Pos is the position in the stream of the first unconsumed byte, counted from
// where the capture of the stream began. While bytes are owed it is where the
// next byte to arrive stands.
func (b *Buffer) Pos() uint64 { return b.pos }

// End is the position of the next byte to arrive.
func (b *Buffer) End() uint64 { return b.pos + uint64(len(b.Bytes())) + uint64(b.hole) }

// Anchor says which TCP sequence number the next byte to arrive has.
func (b *Buffer) Anchor(seq uint32) { b.origin, b.anchored = seq-uint32(b.End()), true }

// Drift says that sequence numbers are not known any more.
func (b *Buffer) Drift() { b.anchored = false }

// Sequence is the sequence number of the first unconsumed byte.
func (b *Buffer) Sequence() Sequence {
	if !b.anchored {
		return Sequence{}
	}
	return Sequence{Number: uint64(b.origin) + b.pos, Known: true}
}

// Ack is how far the other side's stream had come when the first of Bytes was
// sent; with none held, at the latest chunk.
func (b *Buffer) Ack() uint64 {
	if m := b.front(); m != nil {
		return m.ack
	}
	return b.ack
}

// Time is when the first of Bytes was seen; with none held, Latest.
func (b *Buffer) Time() Time {
	if m := b.front(); m != nil {
		return m.at
	}
	return b.latest
}

// front returns the chunk that the first of Bytes came in; nil with none held.
func (b *Buffer) front() *mark {
	if w := b.waiting; w != nil && len(w.held) > 0 {
		for i := int(w.marked) - 1; i >= 0; i-- {
			if w.marks[i].pos <= b.pos {
				return &w.marks[i]
			}
		}
	}
	return nil
}

// Past is when the last byte before Bytes was seen: what was consumed last.
func (b *Buffer) Past() Time {
	w := b.waiting
	if w == nil {
		return b.latest
	}
	for i := int(w.marked) - 1; i >= 0; i-- {
		if w.marks[i].pos < b.pos {
			return w.marks[i].at
		}
	}
	return w.before
}

// Turned reports whether the first of Bytes began a chunk, before which
// something came from the other side since the chunk before.
func (b *Buffer) Turned() bool {
	if w := b.waiting; w != nil {
		for i := int(w.marked) - 1; i >= 0; i-- {
			if w.marks[i].pos == b.pos {
				return w.marks[i].turned
			}
		}
	}
	return false
}

// Latest is when the latest chunk was seen.
func (b *Buffer) Latest() Time { return b.latest }

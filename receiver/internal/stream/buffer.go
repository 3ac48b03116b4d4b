package stream

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
type Buffer struct {
	// Pool lends the memory for what is not consumed yet. Nil allocates.
	Pool *Pool

	held []byte // unconsumed; aliases the chunk from Feed to Settle, own after
	own  []byte // borrowed from Pool, nil when nothing had to be kept
	hole int64  // bytes missing after held
	owed int64  // bytes discarded ahead of their arrival; held is empty then
	pos  uint64 // position in the stream of the first unconsumed byte

	origin uint64 // TCP sequence number of position 0

	latest   Time
	before   Time // when the bytes before those of marks came
	ack      uint64
	anchored bool // origin is known
	borrowed bool // held aliases a chunk
	marked   int32
	marks    *marks // the chunks that unconsumed bytes came in, oldest first; nil when all is consumed and settled
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

// Feed appends a chunk. The buffer keeps a reference to c.Data until Settle.
// It reports whether bytes that the parser still waited for turned out to be
// lost: a hole that nobody discarded was followed by more. The bytes before
// that hole are dropped with it and the buffer starts over with c.
func (b *Buffer) Feed(c Chunk) (lost bool) {
	if b.hole > 0 {
		lost = true
		b.Reset()
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
	if len(data) > 0 {
		if len(b.held) == 0 {
			b.held, b.borrowed = data, true
		} else {
			b.append(data)
		}
	}
	b.hole = missing
	return lost
}

// mark notes where c begins.
func (b *Buffer) mark(c Chunk) {
	if len(b.held) == 0 { // all before it was consumed
		b.marked, b.before = 0, b.latest
	}
	if b.marks == nil {
		b.marks = b.Pool.getMarks()
	}
	for b.marked == maxMarks && b.marks[1].pos <= b.pos {
		b.before = b.marks[0].at
		b.marked = int32(copy(b.marks[:], b.marks[1:]))
	}
	if b.marked == maxMarks {
		b.marked--
	}
	b.marks[b.marked] = mark{pos: b.End(), at: c.At, ack: c.Ack, turned: c.Ack > b.ack}
	b.marked++
	b.latest, b.ack = c.At, c.Ack
}

// append adds data behind the held bytes, which are this buffer's own.
func (b *Buffer) append(data []byte) {
	if b.borrowed { // two chunks without a Settle between them
		b.Settle()
	}
	n := len(b.held)
	if n+len(data) > cap(b.held) {
		// The front of own that was consumed cannot be reached any more: move
		// to memory that has room for as much again.
		next := append(b.Pool.get(2*(n+len(data))), b.held...)
		b.Pool.put(b.own)
		b.own, b.held = next, next
	}
	b.held = append(b.held, data...)
}

// Settle copies what is left, so that the chunk passed to Feed can be reused,
// and returns memory that is not needed any more.
func (b *Buffer) Settle() {
	if len(b.held) == 0 {
		b.Pool.put(b.own)
		b.held, b.own, b.borrowed = nil, nil, false
		if b.marks != nil {
			b.Pool.putMarks(b.marks)
			b.marks, b.marked, b.before = nil, 0, b.Past()
		}
		return
	}
	if b.borrowed {
		own := b.own
		if cap(own) < len(b.held) {
			b.Pool.put(own)
			own = b.Pool.get(len(b.held))
		}
		b.own = append(own[:0], b.held...)
		b.held, b.borrowed = b.own, false
	}
}

// Bytes returns the held bytes, up to the hole. Valid until the next call of
// Feed, Settle or Reset.
func (b *Buffer) Bytes() []byte { return b.held[:len(b.held):len(b.held)] }

// Truncated reports whether a hole follows Bytes.
func (b *Buffer) Truncated() bool { return b.hole > 0 }

// Peek returns the next n bytes without consuming them, or ErrShort or ErrHole.
func (b *Buffer) Peek(n int) ([]byte, error) {
	if n <= len(b.held) {
		return b.held[:n:n], nil
	}
	if b.hole > 0 {
		return nil, ErrHole
	}
	return nil, ErrShort
}

// Discard consumes n bytes: held ones, missing ones and, if those are too few,
// bytes that have yet to be sent. It never fails and never buffers.
func (b *Buffer) Discard(n int64) {
	k := min(n, int64(len(b.held)))
	b.held = b.held[k:]
	n -= k
	m := min(n, b.hole)
	b.hole -= m
	b.owed += n - m
	b.pos += uint64(k + m)
}

// Owed returns how many of the discarded bytes have yet to be sent.
func (b *Buffer) Owed() int64 { return b.owed }

// Reset drops everything that was fed, and forgets what is owed.
func (b *Buffer) Reset() {
	b.pos += uint64(len(b.held)) + uint64(b.hole)
	b.held, b.hole, b.owed = nil, 0, 0
	b.Settle()
}

// Pos is the position in the stream of the first unconsumed byte, counted from
// where the capture of the stream began. While bytes are owed it is where the
// next byte to arrive stands.
func (b *Buffer) Pos() uint64 { return b.pos }

// End is the position of the next byte to arrive.
func (b *Buffer) End() uint64 { return b.pos + uint64(len(b.held)) + uint64(b.hole) }

// Anchor says which TCP sequence number the next byte to arrive has.
func (b *Buffer) Anchor(seq uint32) { b.origin, b.anchored = uint64(seq-uint32(b.End())), true }

// Drift says that sequence numbers are not known any more.
func (b *Buffer) Drift() { b.anchored = false }

// Sequence is the sequence number of the first unconsumed byte.
func (b *Buffer) Sequence() Sequence {
	if !b.anchored {
		return Sequence{}
	}
	return Sequence{Number: b.origin + b.pos, Known: true}
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
	if len(b.held) > 0 {
		for i := b.marked - 1; i >= 0; i-- {
			if b.marks[i].pos <= b.pos {
				return &b.marks[i]
			}
		}
	}
	return nil
}

// Past is when the last byte before Bytes was seen: what was consumed last.
func (b *Buffer) Past() Time {
	for i := b.marked - 1; i >= 0; i-- {
		if b.marks[i].pos < b.pos {
			return b.marks[i].at
		}
	}
	return b.before
}

// Turned reports whether the first of Bytes began a chunk, before which
// something came from the other side since the chunk before.
func (b *Buffer) Turned() bool {
	for i := b.marked - 1; i >= 0; i-- {
		if b.marks[i].pos == b.pos {
			return b.marks[i].turned
		}
	}
	return false
}

// Latest is when the latest chunk was seen.
func (b *Buffer) Latest() Time { return b.latest }

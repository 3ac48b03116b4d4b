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
	// Pool lends the memory for bytes that outlive their chunk. Nil allocates.
	Pool *Pool

	held []byte // unconsumed; aliases the chunk from Feed to Settle, own after
	own  []byte // borrowed from Pool, nil when nothing had to be kept
	hole int64  // bytes missing after held
	owed int64  // bytes discarded ahead of their arrival; held is empty then
	pos  uint64 // position in the stream of the first unconsumed byte

	old      int  // held bytes that are older than the latest chunk
	oldest   Time // when the first of them came
	latest   Time
	ack      uint64
	borrowed bool // held aliases a chunk
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
	b.latest, b.ack = c.At, c.Ack
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
		b.held, b.own, b.old, b.borrowed = nil, nil, 0, false
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
	if b.old == 0 {
		b.oldest = b.latest
	}
	b.old = len(b.held)
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
	b.old = max(b.old-int(k), 0)
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

// Ack is how far the other side's stream had come at the latest chunk.
func (b *Buffer) Ack() uint64 { return b.ack }

// Time is when the first of Bytes was seen; with none held, Latest. Where more
// than two chunks had to wait it may be that of an earlier one.
func (b *Buffer) Time() Time {
	if b.old > 0 {
		return b.oldest
	}
	return b.latest
}

// Latest is when the latest chunk was seen: the time of the last byte.
func (b *Buffer) Latest() Time { return b.latest }

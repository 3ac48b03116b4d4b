package hpack

import (
	"bytes"
	"math/bits"
	"slices"
	"unsafe"
)

const (
	defaultSize = 4096 // RFC 9113 6.5.2, SETTINGS_HEADER_TABLE_SIZE
	// maxSize is how much of a table is kept. Chrome, Firefox and nghttp take
	// 64 KiB. Of a larger one the oldest entries are unknown.
	maxSize  = 64 << 10
	overhead = 32 // RFC 7541 4.1: what an entry counts beside its text
)

// An entry of the dynamic table.
type entry struct {
	at          uint32 // where its text stands, counted from the first ever; wraps
	name, value uint32 // lengths
	unknown     bool   // its text is not kept, so it is of no use, but it has its place
}

func (e *entry) size() int { return int(e.name) + int(e.value) + overhead }

// table is the dynamic table of RFC 7541 2.3.2. Its indices count from the
// newest entry, so that entries older than those it holds do not matter to
// those it does.
//
// Nor do evictions: an encoder refers to no entry that it evicted. They bound
// what is kept. Where the sizes of older entries are unknown they come too late.
type table struct {
	ring []entry // the newest at newest; its length is a power of two, or 0
	// newest may run past the ring's length: it is taken modulo.
	newest, n uint32

	text []byte // of all entries, oldest first, from front on
	base uint32 // where text[0] stands
	used int32  // by the entries that are held

	lowered int32 // by how much the table is smaller than defaultSize
	// capped says that the encoder's table is larger than ours.
	capped bool
	// older says that the encoder may have entries older than those held.
	older bool
	blind bool // of what is inserted only the length is kept
}

func (t *table) limit() int { return defaultSize - int(t.lowered) }

func (t *table) forget() {
	t.n, t.used = 0, 0
	t.text = t.text[:0]
	t.older = true
}

// lookup finds the entry that is i places older than the newest.
func (t *table) lookup(i int, f *Field) error {
	if i >= int(t.n) {
		if !t.older {
			return ErrInvalid
		}
		*f = Field{Unknown: true}
		return nil
	}
	t.get(&t.ring[(t.newest-uint32(i))&uint32(len(t.ring)-1)], f)
	return nil
}

func (t *table) get(e *entry, f *Field) {
	if e.unknown {
		*f = Field{Unknown: true}
		return
	}
	at := e.at - t.base
	mid, end := at+e.name, at+e.name+e.value
	f.Name, f.Value, f.Unknown = t.text[at:mid:mid], t.text[mid:end:end], false
}

// resize takes the size that the encoder took. RFC 7541 6.3, 4.3.
func (t *table) resize(size int) {
	t.capped = size > maxSize
	t.lowered = int32(defaultSize - min(size, maxSize))
	if size == 0 {
		t.older = false // nothing is left of what was missed
		t.n, t.used = 0, 0
		return
	}
	t.evict(t.limit())
}

// evict leaves entries of at most size. RFC 7541 4.4.
func (t *table) evict(size int) {
	for int(t.used) > size {
		t.n--
		t.used -= int32(t.ring[(t.newest-t.n)&uint32(len(t.ring)-1)].size())
		t.older = t.older || t.capped
	}
}

// insert adds f, and makes its slices those of the table.
func (t *table) insert(f *Field, s *scratch) {
	e := entry{name: uint32(len(f.Name)), value: uint32(len(f.Value)), unknown: f.Unknown || t.blind}
	size := e.size()
	if size > t.limit() {
		// RFC 7541 4.4: it empties the table, and is no error.
		t.older = t.older || t.capped
		t.evict(0)
		return
	}
	t.evict(t.limit() - size)
	if !t.blind {
		t.room(f, size-overhead, s)
	}
	e.at = t.base + uint32(len(t.text))
	if !t.blind {
		t.text = append(append(t.text, f.Name...), f.Value...)
	}
	if int(t.n) == len(t.ring) {
		t.grow()
	}
	t.newest++
	t.ring[t.newest&uint32(len(t.ring)-1)] = e
	t.n++
	t.used += int32(size)
	if !e.unknown {
		t.get(&e, f)
	}
}

// room makes place for the text of f behind that of the other entries.
func (t *table) room(f *Field, n int, s *scratch) {
	if len(t.text)+n <= cap(t.text) {
		return
	}
	held := t.trim()
	if 2*(len(held)+n) > cap(t.text) {
		// At least twice as much as is held, so that moving is paid for by what
		// was inserted since the last time.
		t.text = append(slices.Grow([]byte(nil), min(4*(len(held)+n), 2*t.limit())), held...)
		return
	}
	s.moved = append(s.moved[:0], f.Name...) // may stand where held is moved to
	f.Name = s.moved
	t.text = append(t.text[:0], held...)
}

// trim returns the text of the entries that are held, and takes it for all
// there is.
func (t *table) trim() []byte {
	if t.n == 0 {
		t.base += uint32(len(t.text))
		return t.text[:0]
	}
	oldest := &t.ring[(t.newest-t.n+1)&uint32(len(t.ring)-1)]
	held := t.text[oldest.at-t.base:]
	t.base = oldest.at
	return held
}

// weight is how many bytes of memory t takes beside itself.
func (t *table) weight() int {
	return cap(t.text) + cap(t.ring)*int(unsafe.Sizeof(entry{}))
}

// shrink leaves no room for further entries.
func (t *table) shrink() {
	if t.n == 0 {
		t.base += uint32(len(t.text))
		t.text, t.ring = nil, nil
		return
	}
	t.text = bytes.Clone(t.trim())
	if n := 1 << bits.Len32(t.n-1); n < len(t.ring) {
		t.size(n)
	}
}

// grow doubles the ring.
func (t *table) grow() { t.size(max(16, 2*len(t.ring))) }

// size gives the ring room for n entries, a power of two.
func (t *table) size(n int) {
	next := make([]entry, n)
	for i := range t.n { // from the newest
		next[(t.newest-i)&uint32(len(next)-1)] = t.ring[(t.newest-i)&uint32(len(t.ring)-1)]
	}
	t.ring = next
}

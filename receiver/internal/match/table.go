// Package match pairs responses with the requests they answer.
package match

import (
	"iter"
	"sync"
	"unsafe"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// A Table holds the open exchanges of one connection, oldest first. A protocol
// with ids uses them as keys; one that answers in order uses one key for all.
//
// An exchange that expired keeps its place, so that an answer that comes late
// is not taken for that of a younger request. Not safe for concurrent use.
type Table[E Weighty] struct {
	open     []entry[E]  // from head on; neither the first nor the last is gone
	first    [1]entry[E] // memory of open, enough for those that do not pipeline
	pool     *sync.Pool
	endpoint *exchange.Endpoint
	emit     func(exchange.Exchange)
	head     int32
	live     int32 // entries that are neither ghosts nor gone
	gone     int32
	weight   int32 // of the exchanges
	limit    int32
	// shuffled says that a key was opened after a greater one. Until then an
	// entry is found in a few steps however many are open.
	shuffled bool
}

// Weighty is what an exchange in a Table has to be.
type Weighty interface {
	exchange.Exchange
	// Weight is how many bytes of memory it takes.
	Weight() int
}

type entry[E Weighty] struct {
	key   uint64
	x     E
	ghost bool // already handed out: only its place is left
	gone  bool // nothing is left but the key
}

// NewTable returns a table of at most limit open exchanges that belong to ep. It
// takes exchanges from pool, which must make and hold values of type E, and
// calls emit for every one that ends.
func NewTable[E Weighty](limit int, pool *sync.Pool, ep *exchange.Endpoint, emit func(exchange.Exchange)) Table[E] {
	return Table[E]{limit: int32(limit), pool: pool, endpoint: ep, emit: emit}
}

// Open adds an exchange, or reports false at the limit. Its Core is reset, its
// other fields are those of an earlier exchange: set them all.
func (t *Table[E]) Open(key uint64, at stream.Time) (x E, ok bool) {
	if t.Len() >= int(t.limit) {
		return x, false
	}
	x = t.pool.Get().(E)
	c := x.Base()
	tr := c.Trace
	tr.Reset()
	*c = exchange.Core{Key: key, Endpoint: t.endpoint, Start: at, Active: at, Trace: tr}
	if t.head > 0 && len(t.open) == cap(t.open) {
		n := copy(t.open, t.open[t.head:])
		clear(t.open[n:])
		t.open, t.head = t.open[:n], 0
	}
	if t.Len() == 0 {
		t.shuffled = false
	} else if key < t.open[len(t.open)-1].key {
		t.shuffled = true
	}
	if t.open == nil {
		t.open = t.first[:0]
	}
	if t.open = append(t.open, entry[E]{key: key, x: x}); len(t.open) > 1 {
		t.first[0] = entry[E]{} // they are elsewhere now
	}
	t.live++
	t.Weigh(x)
	return x, true
}

// Weigh is to be called when x, which is open, has grown.
func (t *Table[E]) Weigh(x E) {
	c, n := x.Base(), x.Weight()
	t.weight += int32(n - c.Weighed)
	c.Weighed = n
}

// Weight is how many bytes of memory the open exchanges take, as they were
// weighed last.
func (t *Table[E]) Weight() int { return int(t.weight) + cap(t.open)*int(unsafe.Sizeof(entry[E]{})) }

// Shrink gives back the memory that is not needed while nothing is open.
func (t *Table[E]) Shrink() {
	if t.Len() == 0 {
		t.open = nil
	}
}

// put gives an exchange back.
func (t *Table[E]) put(x E) {
	c := x.Base()
	t.weight -= int32(c.Weighed)
	c.Weighed = 0
	t.pool.Put(x)
}

// Find returns the oldest open exchange with key. One that expired is found as
// well: its answer has to be framed like any other.
func (t *Table[E]) Find(key uint64) (x E, ok bool) {
	if i := t.index(key); i >= 0 {
		return t.open[i].x, true
	}
	return x, false
}

// End ends the oldest open exchange with key and hands it out.
func (t *Table[E]) End(key uint64, why exchange.Outcome, at stream.Time) {
	if i := t.index(key); i >= 0 {
		t.end(i, why, at)
		t.remove(i)
	}
}

// EndAll ends every open exchange, oldest first, and forgets those that had
// expired.
func (t *Table[E]) EndAll(why exchange.Outcome, at stream.Time) {
	for t.Len() > 0 {
		t.end(int(t.head), why, at)
		t.remove(int(t.head))
	}
	t.open = nil
}

// EndAbove ends every open exchange with a key above key, oldest first, with this
// error type.
func (t *Table[E]) EndAbove(key uint64, why exchange.Outcome, errorType string, at stream.Time) {
	for i := int(t.head); i < len(t.open); i++ {
		if e := &t.open[i]; e.key > key && !e.gone && !e.ghost {
			e.x.Base().ErrorType = errorType
			t.end(i, why, at)
			e.ghost = true
		}
	}
	t.sweep(func(e *entry[E]) bool { return e.key > key })
}

// Expire ends, at at, the exchanges of which nothing was seen since before, those as
// lost of which nothing was since lost.
func (t *Table[E]) Expire(before, lost, at stream.Time) {
	for i := int(t.head); i < len(t.open); i++ {
		e := &t.open[i]
		if e.ghost || e.gone {
			continue
		}
		active := e.x.Base().Active
		switch {
		case active >= before:
			continue
		case active <= lost:
			t.end(i, exchange.Lost, active)
		default:
			t.end(i, exchange.Expired, at)
		}
		e.ghost = true
	}
}

// Yield gives the oldest exchange with key up without handing it out: it goes
// on elsewhere.
func (t *Table[E]) Yield(key uint64) {
	if i := t.index(key); i >= 0 {
		if !t.open[i].ghost {
			t.live--
		}
		t.remove(i)
	}
}

// Forget gives up the places of those that expired, where keys are used once:
// an answer that comes late then finds nothing.
func (t *Table[E]) Forget() {
	t.sweep(func(e *entry[E]) bool { return e.ghost })
}

// sweep drops the entries that are gone, and those that are over.
func (t *Table[E]) sweep(over func(*entry[E]) bool) {
	keep := t.open[:t.head]
	for i := int(t.head); i < len(t.open); i++ {
		switch e := &t.open[i]; {
		case e.gone:
		case over(e):
			t.put(e.x)
		default:
			keep = append(keep, *e)
		}
	}
	clear(t.open[len(keep):])
	t.open, t.gone = keep, 0
	if t.Len() == 0 {
		t.empty()
	}
}

// empty starts over where nothing is open.
func (t *Table[E]) empty() {
	t.open, t.head = t.open[:0], 0
	if cap(t.open) == len(t.first) {
		t.open = nil
	}
}

// All yields the open exchanges, oldest first. None may be opened or ended
// meanwhile.
func (t *Table[E]) All() iter.Seq[E] {
	return func(yield func(E) bool) {
		for i := int(t.head); i < len(t.open); i++ {
			if e := &t.open[i]; !e.ghost && !e.gone && !yield(e.x) {
				return
			}
		}
	}
}

// Len is how many places are taken: by exchanges that are open, and by those
// that expired and whose answers may still come.
func (t *Table[E]) Len() int { return len(t.open) - int(t.head+t.gone) }

// Live is how many exchanges are open.
func (t *Table[E]) Live() int { return int(t.live) }

func (t *Table[E]) index(key uint64) int {
	open, head := t.open[t.head:], int(t.head)
	if len(open) == 0 {
		return -1
	}
	if open[0].key == key { // most answers are to the oldest
		return head
	}
	if t.shuffled {
		for i := range open {
			if open[i].key == key && !open[i].gone {
				return head + i
			}
		}
		return -1
	}
	first, end := 0, len(open)
	for first < end {
		if i := (first + end) / 2; open[i].key < key {
			first = i + 1
		} else {
			end = i
		}
	}
	for i := first; i < len(open) && open[i].key == key; i++ {
		if !open[i].gone {
			return head + i
		}
	}
	return -1
}

func (t *Table[E]) end(i int, why exchange.Outcome, at stream.Time) {
	e := &t.open[i]
	if e.ghost {
		return
	}
	t.live--
	c := e.x.Base()
	// Never before its last byte: who ends it may look at a coarser clock.
	c.Outcome, c.End = why, max(at, c.Active)
	if c.ErrorType == "" {
		c.ErrorType = why.ErrorType()
	}
	if why == exchange.Lost || why == exchange.Evicted {
		c.Truncated = true
	}
	t.emit(e.x)
}

// remove gives the exchange back. Where its place is among others that stays,
// until most of them are gone: however many are open, each is moved a few times.
func (t *Table[E]) remove(i int) {
	t.put(t.open[i].x)
	t.open[i] = entry[E]{key: t.open[i].key, gone: true}
	t.gone++
	for n := len(t.open); n > int(t.head) && t.open[n-1].gone; n-- {
		t.open = t.open[:n-1]
		t.gone--
	}
	for int(t.head) < len(t.open) && t.open[t.head].gone {
		t.head++
		t.gone--
	}
	switch {
	case int(t.head) == len(t.open):
		t.empty()
	case int(t.gone) > t.Len():
		t.sweep(func(*entry[E]) bool { return false })
	}
}

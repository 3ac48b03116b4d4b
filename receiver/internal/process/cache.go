package process

import (
	"sync/atomic"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
)

// maxRenewals bounds how often a process that gave itself a new short name is
// made anew: wrappers exec a few times, and a process that renames itself for
// ever costs nothing more.
const maxRenewals = 8

// A Cache holds what was made of the processes seen last, at most a given
// number of them. Not safe for concurrent use, Evictions excepted.
type Cache[V any] struct {
	capacity  int
	create    func(exchange.Process) V
	index     map[key]int32
	entries   []entry[V] // linked in the order of use; indices never change
	newest    int32
	oldest    int32
	evictions atomic.Uint64
}

// key identifies a process: whatever it executes, and calls itself.
type key struct {
	start   uint64
	pid     uint32
	address exchange.Address
}

func keyOf(p exchange.Process) key { return key{p.Start, p.PID, p.Address} }

type entry[V any] struct {
	process      exchange.Process
	value        V
	renewals     int
	newer, older int32 // -1: none
}

// NewCache returns a cache of at most capacity processes that calls create
// for each process it does not hold.
func NewCache[V any](capacity int, create func(exchange.Process) V) *Cache[V] {
	return &Cache[V]{capacity: capacity, create: create, index: make(map[key]int32), newest: -1, oldest: -1}
}

// Get returns what was made of p. PID, Start and Address identify it; when its short
// name has changed since, it runs another program now and is made anew.
func (c *Cache[V]) Get(p exchange.Process) V {
	if c.newest >= 0 && c.entries[c.newest].process == p {
		return c.entries[c.newest].value
	}
	k := keyOf(p)
	i, ok := c.index[k]
	if !ok {
		return c.add(k, p)
	}
	e := &c.entries[i]
	if e.process.Comm != p.Comm && e.renewals < maxRenewals {
		e.renewals++
		e.process, e.value = p, c.create(p)
	}
	c.unlink(i)
	c.link(i)
	return e.value
}

// Len is how many processes are held.
func (c *Cache[V]) Len() int { return len(c.entries) }

// Evictions is how many processes had to make place. Any goroutine.
func (c *Cache[V]) Evictions() uint64 { return c.evictions.Load() }

func (c *Cache[V]) add(k key, p exchange.Process) V {
	var i int32
	if len(c.entries) < c.capacity {
		i = int32(len(c.entries))
		c.entries = append(c.entries, entry[V]{})
	} else {
		i = c.oldest
		c.unlink(i)
		delete(c.index, keyOf(c.entries[i].process))
		c.evictions.Add(1)
	}
	c.entries[i] = entry[V]{process: p, value: c.create(p)}
	c.index[k] = i
	c.link(i)
	return c.entries[i].value
}

func (c *Cache[V]) link(i int32) {
	e := &c.entries[i]
	e.newer, e.older = -1, c.newest
	if c.newest >= 0 {
		c.entries[c.newest].newer = i
	} else {
		c.oldest = i
	}
	c.newest = i
}

func (c *Cache[V]) unlink(i int32) {
	e := &c.entries[i]
	if e.newer >= 0 {
		c.entries[e.newer].older = e.older
	} else {
		c.newest = e.older
	}
	if e.older >= 0 {
		c.entries[e.older].newer = e.newer
	} else {
		c.oldest = e.newer
	}
}

package engine

import (
	"iter"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// recent is connections in the order in which they were active. It is made with
// newRecent. The order is kept apart from the flows: where they are a hundred
// thousand, those beside one in the order are in no cache, their places are.
type recent struct {
	places []place // 0 is of no connection: after it comes the latest, before it the first to go
	signs  []sign  // by place
	flows  []*flow // by place; nil for a connection that is not followed any more
	free   []uint32
	passed uint32 // place of a connection that was passed, as those before it were; 0 if none was
}

// A place is which places are beside it.
type place struct{ next, prev uint32 }

// A sign is what is known of every connection.
type sign struct {
	id     capture.FlowID
	active stream.Time // when the latest event came
}

func newRecent() recent {
	return recent{places: make([]place, 1), signs: make([]sign, 1), flows: make([]*flow, 1)}
}

// add gives f, of which something came now, a place as the latest.
func (r *recent) add(f *flow, now stream.Time) {
	if n := len(r.free); n > 0 {
		f.place, r.free = r.free[n-1], r.free[:n-1]
	} else {
		f.place = uint32(len(r.places))
		r.places, r.signs, r.flows = append(r.places, place{}), append(r.signs, sign{}), append(r.flows, nil)
	}
	r.signs[f.place] = sign{id: f.id, active: now}
	r.flows[f.place] = f
	r.link(f.place)
}

// touch makes the connection at i, of which something came now, the latest.
func (r *recent) touch(i uint32, now stream.Time) {
	if r.places[0].next != i || r.passed == i {
		r.unlink(i)
		r.link(i)
	}
	r.signs[i].active = now
}

// pass returns the flow that was quiet for longest of those that were not passed
// since they were active, and passes it. It returns nil when there is none, and
// then begins again.
func (r *recent) pass() *flow {
	for {
		r.passed = r.places[r.passed].prev
		if f := r.flows[r.passed]; f != nil || r.passed == 0 {
			return f
		}
	}
}

// remove gives up the place i.
func (r *recent) remove(i uint32) {
	r.unlink(i)
	r.flows[i] = nil
	r.free = append(r.free, i)
}

// latest and oldest return the place of a connection, or 0 if there is none.
func (r *recent) latest() uint32 { return r.places[0].next }
func (r *recent) oldest() uint32 { return r.places[0].prev }

// all yields the flows, the latest first. None may be added or removed
// meanwhile.
func (r *recent) all(yield func(*flow) bool) {
	for i := r.places[0].next; i != 0; i = r.places[i].next {
		if f := r.flows[i]; f != nil && !yield(f) {
			return
		}
	}
}

// silent yields the places of which nothing came since before, those that were
// quiet for longest first. The one that was yielded last may be removed.
func (r *recent) silent(before stream.Time) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i := r.places[0].prev; i != 0; {
			at := i
			i = r.places[i].prev
			if r.signs[at].active >= before || !yield(at) {
				return
			}
		}
	}
}

func (r *recent) link(i uint32) {
	second := r.places[0].next
	r.places[i] = place{next: second}
	r.places[0].next, r.places[second].prev = i, i
}

func (r *recent) unlink(i uint32) {
	p := r.places[i]
	if r.passed == i {
		r.passed = p.next
	}
	r.places[p.prev].next, r.places[p.next].prev = p.next, p.prev
}

package engine

import (
	"iter"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// recent is flows in the order in which they were active. It is made with
// newRecent. The order is kept apart from the flows: where they are a hundred
// thousand, those beside one in the order are in no cache, their places are.
type recent struct {
	places []place // 0 is of no flow: after it comes the latest, before it the first to go
	flows  []*flow // by place
	free   []uint32
	passed uint32 // place of a flow that was passed, as those before it were; 0 if none was
}

// A place is which places are beside it.
type place struct{ next, prev uint32 }

func newRecent() recent { return recent{places: make([]place, 1), flows: make([]*flow, 1)} }

// add gives f a place as the latest.
func (r *recent) add(f *flow) {
	if n := len(r.free); n > 0 {
		f.place, r.free = r.free[n-1], r.free[:n-1]
	} else {
		f.place = uint32(len(r.places))
		r.places, r.flows = append(r.places, place{}), append(r.flows, nil)
	}
	r.flows[f.place] = f
	r.link(f.place)
}

// touch makes f the latest.
func (r *recent) touch(f *flow) {
	if r.places[0].next != f.place || r.passed == f.place {
		r.unlink(f.place)
		r.link(f.place)
	}
}

// pass returns the flow that was quiet for longest of those that were not passed
// since they were active, and passes it. It returns nil when there is none, and
// then begins again.
func (r *recent) pass() *flow {
	r.passed = r.places[r.passed].prev
	return r.flows[r.passed]
}

func (r *recent) remove(f *flow) {
	r.unlink(f.place)
	r.flows[f.place] = nil
	r.free = append(r.free, f.place)
}

// latest and oldest return nil if there is no flow.
func (r *recent) latest() *flow { return r.flows[r.places[0].next] }
func (r *recent) oldest() *flow { return r.flows[r.places[0].prev] }

// all yields the flows, the latest first. None may be added or removed
// meanwhile.
func (r *recent) all(yield func(*flow) bool) {
	for i := r.places[0].next; i != 0; i = r.places[i].next {
		if !yield(r.flows[i]) {
			return
		}
	}
}

// silent yields the flows of which nothing came since before, those that were
// quiet for longest first. The one that was yielded last may be removed.
func (r *recent) silent(before stream.Time) iter.Seq[*flow] {
	return func(yield func(*flow) bool) {
		for i := r.places[0].prev; i != 0; {
			f := r.flows[i]
			i = r.places[i].prev
			if f.active >= before || !yield(f) {
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

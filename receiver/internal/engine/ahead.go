package engine

import "github.com/perisco-io/perisco/receiver/internal/capture"

const (
	// farAhead is how many events are foreseen at once.
	farAhead = 16
	// crowded is from how many connections on they are in no cache: 700 bytes each,
	// beside all else.
	crowded = 1024
)

// ahead reaches for the connections of the events that come next, for all of them
// at once. Of one that is in no cache an event waits for three things in turn: for
// where the flow is, for the flow, and for what its protocol knows; but those of
// different connections do not wait for each other: so each is read of all of them
// before the next is.
type ahead struct {
	source capture.Foreseer // nil: nothing is foreseen
	ids    [farAhead]capture.FlowID
	places [farAhead]uint32
	flows  [farAhead]*flow
	left   int // events that were foreseen
	sum    int // of what was read, so that it is
}

// foresee is to be called before each event.
func (e *Engine) foresee() {
	a := &e.ahead
	if a.left--; a.left > 0 || a.source == nil || len(e.places) < crowded {
		return
	}
	a.left = a.source.Ahead(a.ids[:])
	flows, places := a.flows[:a.left], a.places[:a.left]
	for i, id := range a.ids[:a.left] {
		places[i] = e.places[id]
	}
	for i, place := range places {
		flows[i] = e.recent.flows[place]
		a.sum += int(e.recent.signs[place].active)
	}
	for _, place := range places { // what Engine.recent writes when it is touched
		beside := e.recent.places[place]
		a.sum += int(e.recent.places[beside.next].next + e.recent.places[beside.prev].next)
	}
	for _, f := range flows { // a field of each of its cache lines
		if f != nil {
			a.sum += int(uint32(f.id) + f.halves[0].next + f.halves[1].next + f.endpoint.Process.PID + f.place)
		}
	}
	for _, f := range flows {
		if f != nil && f.conn != nil {
			a.sum += f.conn.Live() + f.conn.Weight()
		}
	}
}

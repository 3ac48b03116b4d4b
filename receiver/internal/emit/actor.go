package emit

import (
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// An actor is a subject as one Emitter knows it.
type actor struct {
	*subject
	batch  uint64 // the last batch that has a group of it, and which
	group  int
	length int    // of that group; while it is filled, of the one before
	room   [2]int // attributes to make room for, by side: what an exchange had at the most, in this group or the one before
	most   [2]int // in this group
}

func (e *Emitter) newActor(p exchange.Process) *actor { return &actor{subject: e.sender.subject(p)} }

// actor returns the actor that stands for p, and makes sure that somebody looks
// it up.
func (e *Emitter) actor(p exchange.Process) *actor {
	a := e.actors.Get(p)
	e.sender.ask(a.subject)
	return a
}

// begin notes which group of which batch is that of a now. It expects of its
// exchanges what those of the group before were like.
func (a *actor) begin(batch uint64, group int) {
	a.batch, a.group = batch, group
	a.room, a.most = a.most, [2]int{}
}

// attributes is how many to make room for in an exchange of that side.
func (a *actor) attributes(side stream.Side) int {
	if n := a.room[side]; n > 0 {
		return n
	}
	return usualAttributes
}

// had notes how many it had.
func (a *actor) had(side stream.Side, attributes int) {
	a.most[side] = max(a.most[side], attributes)
	a.room[side] = max(a.room[side], attributes)
}

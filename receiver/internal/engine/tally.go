package engine

import (
	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// A tally accounts for the requests of a connection on which peers take turns
// (protocol.Dialogue): each turn of the client's opens an exchange, or is known
// to be no request, or is counted as a request that was not captured. Where a
// client pipelines, a turn may have more of them than the one that is counted.
//
// The source counts turns of which it could report nothing. That bytes are
// missing, too, proves them: threads that share a socket can make it miscount.
type tally struct {
	pending  uint32 // requests that were missed before the protocol was known
	dialogue bool   // conn is a protocol.Dialogue
	asked    bool   // the client had the last turn
	// Of the client's latest turn.
	settled bool // an exchange was opened in it, or it needs none
	missed  bool // bytes of it that had to be seen
}

// turn notes how far the turns have come with ev.
func (e *Engine) turn(f *flow, ev *capture.Event) {
	if f.opaque || f.conn != nil && !f.dialogue {
		return
	}
	client, server := f.turnsOf(ev)
	asks := ev.Kind == capture.Data && f.sender(ev.Out) == stream.Client
	if f.asked = f.unanswered(client, server); ev.Kind == capture.Data {
		f.asked = asks
	}
	missing := f.unseen(ev)
	cut := asks && len(ev.Data) < int(ev.Len) && missing+int64(ev.Len) > 0
	if client == 0 {
		f.missed = f.missed || missing > 0 || cut
		return
	}
	continues := f.continues()
	f.missed = f.missed || missing > 0
	e.settle(f)
	passed := client
	if asks {
		passed--
	}
	unasked := 0
	if continues {
		unasked++
	}
	if ev.Kind != capture.Data && f.asked && f.parts() {
		unasked++
	}
	if n := min(int64(passed-unasked), missing); n > 0 {
		f.whole = false
		e.uncaptured(f, uint64(n))
	}
	f.settled = !asks || continues && passed == 0
	f.missed = cut || !ev.Turned && missing > 0
}

// continues and parts are those of a protocol.Dialogue.
func (f *flow) continues() bool {
	d, ok := f.conn.(protocol.Dialogue)
	return ok && d.Continues()
}

func (f *flow) parts() bool {
	d, ok := f.conn.(protocol.Dialogue)
	return ok && d.Parts()
}

// turnsOf is how many turns of each side began since the last event.
func (f *flow) turnsOf(ev *capture.Event) (client, server int) {
	client, server = int(ev.TurnsOut), int(ev.TurnsIn)
	if f.out == stream.Server {
		client, server = server, client
	}
	return client, server
}

// unanswered reports whether the client had the last turn, after these of which
// nothing was seen.
func (f *flow) unanswered(client, server int) bool {
	if f.asked {
		return client == server
	}
	return client > server
}

// unseen is how many bytes the client has sent, up to ev, that were neither
// reported nor discarded ahead of their arrival. Where that cannot be told it
// is as many as there can be.
func (f *flow) unseen(ev *capture.Event) int64 {
	h := &f.halves[stream.Client]
	if !ev.Sequenced || !h.known {
		return skipMost
	}
	next := ev.Ack
	if f.sender(ev.Out) == stream.Client {
		next = ev.Seq
	}
	missing := int64(int32(next - h.next))
	if ev.Kind != capture.Data && missing == 1 { // a FIN: no message is that short
		return 0
	}
	return missing - h.buf.Owed()
}

// settle ends the client's latest turn. Before the protocol is known it cannot be
// told whether it opened an exchange.
func (e *Engine) settle(f *flow) {
	if !f.settled && (f.missed || f.conn == nil) {
		e.uncaptured(f, 1)
	}
	f.settled = true
}

// uncaptured accounts for n requests of which there will be no exchange.
func (e *Engine) uncaptured(f *flow, n uint64) {
	if !f.dialogue {
		f.pending += uint32(n)
		return
	}
	e.stats.loseMany(e.reasons[f.speaks], n)
}

// told notes that an event opened n exchanges of f: all that were held back
// if it showed what the protocol is.
func (e *Engine) told(f *flow, n uint64) {
	if n > 0 {
		f.settled = true
	}
	if f.pending == 0 || f.conn == nil {
		return
	}
	pending := uint64(f.pending)
	f.pending = 0
	if n > 1 {
		pending -= min(pending, n-1)
	}
	if f.dialogue && !f.whole && pending > 0 {
		e.uncaptured(f, pending)
	}
}

// overdue accounts for what there is nothing to wait for any more. A client that
// asked may yet be answered; one that takes leave never is.
func (e *Engine) overdue(f *flow) {
	if !f.asked || !f.parts() {
		e.account(f)
	}
}

// finish accounts for what there will be no more of.
func (e *Engine) finish(f *flow) {
	if f.asked && f.parts() {
		f.settled = true // nobody answered it
	}
	e.account(f)
}

// account ends the client's latest turn, and gives up what waits for the protocol
// to be known.
func (e *Engine) account(f *flow) {
	e.settle(f)
	if f.conn == nil && !f.opaque && f.sure && !f.whole && f.pending > 0 {
		e.stats.loseMany(turnNotCaptured, uint64(f.pending))
	}
	f.pending = 0
}

// unfollowed accounts for a connection of which nothing was seen but its end.
func (e *Engine) unfollowed(ev *capture.Event) {
	n := ev.TurnsOut
	if ev.Side == stream.Server {
		n = ev.TurnsIn
	}
	if ev.Sure && ev.Kind != capture.Refused && n > 0 {
		e.stats.loseMany(turnNotCaptured, uint64(n))
	}
}

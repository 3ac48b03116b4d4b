package engine

import (
	"time"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// maxSilence is after how long a connection is taken to be over although its
// end was not told: the event may have been lost. MySQL, which keeps what is
// silent for longer than other servers do, ends it by then (wait_timeout).
const maxSilence = stream.Time(8 * time.Hour)

// A flow is one end of a connection.
type flow struct {
	id       capture.FlowID
	conn     protocol.Conn // nil until the protocol is known, and once opaque
	halves   [2]half       // by the side that sends
	endpoint exchange.Endpoint
	out      stream.Side // the side that Event.Out means
	last     stream.Side // who sent last
	turns    uint8       // without sense; see maxTurns
	sure     bool        // endpoint.Side is known, not guessed
	whole    bool        // seen from its opening on, nothing lost so far
	asleep   bool        // nothing came since conn was told so
	speaks   uint8       // conn's protocol, by its place in Engine.Protocols
	unbroken bool        // it is protocol.Unbroken
	skims    bool        // the source may know its frames, and not say yet what lies within one
	entire   bool        // of its frames nothing may be left out any more
	guided   bool        // the source was told where its frames begin
	opaque   bool        // not to be looked at any more: see abandon
	early    bool        // an answer waits for its request
	listed   bool        // in Engine.clients
	struck   bool        // no sense was found since the direction last turned
	place    uint32      // in Engine.recent
	weight   int32       // as Engine.weigh found it last
	tally
}

// handle takes one event.
func (e *Engine) handle(ev *capture.Event) {
	e.now = ev.Time
	i, ok := e.places[ev.Flow]
	switch {
	case ok:
		e.recent.touch(i, ev.Time)
	case ev.Kind == capture.Data || ev.Kind == capture.Opened:
		i = e.open(ev)
	default:
		e.unfollowed(ev)
		return
	}
	if ev.Kind == capture.Data {
		e.counts.events++
		e.counts.bytes += uint64(len(ev.Data))
	}
	f := e.recent.flows[i]
	if f == nil {
		e.unwanted(i, ev)
		return
	}
	if ev.Passed > 0 && !f.passes(ev) {
		e.part = passed(ev)
		e.handle(&e.part)
		e.handle(ev)
		return
	}
	f.asleep = false
	open, handed := f.open(), e.handed
	e.turn(f, ev)
	switch ev.Kind {
	case capture.Opened:
		f.opened(ev)
	case capture.Data:
		e.data(f, ev)
		e.told(f, uint64(f.open()-open)+e.handed-handed)
	case capture.Refused:
		if f.conn == nil { // else others use the socket, too
			f.tally = tally{settled: true}
			e.close(f, exchange.Evicted, ev.Time)
		}
	case capture.Ended:
		e.catchUp(f, ev)
		if f.conn != nil {
			f.conn.Ended(f.sender(ev.Out), ev.Time)
		}
	case capture.Closed:
		e.catchUp(f, ev)
		why := exchange.Closed
		if ev.Reset {
			why = exchange.Reset
		}
		e.close(f, why, ev.Time)
	}
	e.recount(f, open)
	e.abandon(f)
	e.weigh(f)
	e.shed(ev.Time)
}

// unwanted takes an event of a connection that is not followed any more.
func (e *Engine) unwanted(place uint32, ev *capture.Event) {
	switch ev.Kind {
	case capture.Data:
		e.Source.Ignore(ev.Flow) // it was asked before, and forgot
	case capture.Refused, capture.Closed:
		e.remove(place)
	}
}

// open is how many exchanges of f are open.
func (f *flow) open() int {
	if f.conn == nil {
		return 0
	}
	return f.conn.Live()
}

// recount brings the gauge of open exchanges up to date after something that
// may have changed f, which had this many before.
func (e *Engine) recount(f *flow, before int) {
	e.counts.open += f.open() - before
}

// sender is the side that sent what went out of, or came in at, the observed end.
func (f *flow) sender(out bool) stream.Side {
	if out {
		return f.out
	}
	return f.out.Peer()
}

// open makes room for a connection and begins to follow it, at the place that it
// returns.
func (e *Engine) open(ev *capture.Event) uint32 {
	if len(e.places) >= e.MaxConnections {
		e.stats.lose(connectionEvicted)
		e.drop(e.recent.oldest(), exchange.Evicted, ev.Time)
	}
	f := &flow{id: ev.Flow, sure: ev.Sure, out: ev.Side}
	f.settled = true
	f.endpoint = exchange.Endpoint{Side: ev.Side, Local: exchange.AddressOf(ev.Local), Peer: exchange.AddressOf(ev.Peer)}
	e.enlist(f, ev.Side == stream.Client)
	e.recent.add(f, ev.Time)
	e.places[ev.Flow] = f.place
	e.stats.connections.Store(int64(len(e.places)))
	return f.place
}

// drop ends the connection at a place, which had no event of its own.
func (e *Engine) drop(place uint32, why exchange.Outcome, at stream.Time) {
	f := e.recent.flows[place]
	if f == nil {
		e.remove(place)
		return
	}
	open := f.open()
	f.missed = f.missed || !f.opaque && len(f.halves[stream.Client].buf.Bytes()) > 0 // a request had begun
	e.close(f, why, at)
	e.recount(f, open)
}

// close ends a connection and forgets it.
func (e *Engine) close(f *flow, why exchange.Outcome, at stream.Time) {
	e.finish(f)
	if f.conn != nil {
		f.conn.Close(why, at)
	}
	f.reset()
	e.weigh(f)
	e.enlist(f, false)
	e.remove(f.place)
}

// remove forgets the connection at a place.
func (e *Engine) remove(place uint32) {
	delete(e.places, e.recent.signs[place].id)
	e.recent.remove(place)
	e.stats.connections.Store(int64(len(e.places)))
}

// opened notes where the streams begin.
func (f *flow) opened(ev *capture.Event) {
	f.whole, f.endpoint.Opened = true, true
	if !ev.Sequenced || f.opaque {
		return
	}
	out, in := ev.Seq, ev.Ack
	f.halves[f.out].start(out)
	f.halves[f.out.Peer()].start(in)
}

// reset lets go of what a connection holds.
func (f *flow) reset() {
	f.conn, f.early = nil, false
	for i := range f.halves {
		f.halves[i].buf.Reset()
	}
}

// unheard is until when f may have been missed, where the source lost something at
// lost: 0 if both sides were heard of since, and said how far they had come.
func (f *flow) unheard(lost stream.Time) stream.Time {
	for i := range f.halves {
		if b := &f.halves[i].buf; b.Latest() <= lost || !b.Sequence().Known {
			return lost
		}
	}
	return 0
}

// abandon lets go of a flow that was given up. The connection keeps its place, lest
// it be looked at again.
func (e *Engine) abandon(f *flow) {
	if f.opaque {
		e.recent.flows[f.place] = nil
	}
}

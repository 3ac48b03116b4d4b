// Package engine runs the connections of a shard: it takes events from a source, rebuilds
// the byte streams, finds out which protocol they speak, and hands what the
// protocols make of them to a sink. One goroutine does all of it, so that
// neither locks nor channels stand between a byte and its exchange.
package engine

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const (
	// flushEvery is how long an event may lie in the ring, and a batch past its
	// age.
	flushEvery = 50 * time.Millisecond
	// In a silence it is the sixteenth part of it that a batch may lie, up to this:
	// twenty wake-ups a second cost 0.2 % of a core. The first event ends it.
	longestPause = time.Second
)

// A Sink takes what the engine found out. All calls come from the goroutine of
// Run.
type Sink interface {
	// Process says that a process took part in a connection that is followed.
	Process(p exchange.Process)
	// Emit takes an exchange, which is valid only during the call.
	Emit(x exchange.Exchange)
	// Tick comes before anything else, and then every 50 ms or so, where nothing
	// happens more seldom. epoch turns a stream.Time into nanoseconds since 1970.
	Tick(now stream.Time, epoch int64)
	// Flush comes last: there is nothing to wait for any more.
	Flush()
}

// Settings say what an Engine works with. All fields are required.
type Settings struct {
	Source    capture.Shard // nobody else reads it, or asks it for anything
	Protocols []protocol.Protocol
	Sink      Sink
	// RequestTimeout ends an exchange of which nothing was seen for so long.
	RequestTimeout time.Duration
	// MaxConnections bounds the connections that are followed, ignored ones
	// included; beyond it the one that was silent for longest is evicted.
	MaxConnections int
	// MaxState bounds the bytes of memory that connections take together for what
	// was learnt on them, beside some 0.9 KiB each: see Engine.shed.
	MaxState int
}

// An Engine follows connections. Make one with New. Its methods, Run apart,
// are safe for concurrent use.
type Engine struct {
	Settings
	stats  stats
	counts counts
	ahead  ahead
	emits  []func(exchange.Exchange) // one for each of Protocols
	skims  []stream.Framing          // what of the frames of each nobody wants
	lose   func(reason string, n uint64)
	// reasons for which lost requests are counted, by protocol
	reasons []string

	places  map[capture.FlowID]uint32 // in recent
	recent  recent
	handed  uint64                   // exchanges, to Sink
	clients map[exchange.Address]int // flows that are clients' ends, by their addresses
	waiting []waiting
	part    capture.Event // of the one that is handled
	causes  []string      // why bytes were missing: capture.Event.Missing and the engine's own, a few; the first is none
	pool    stream.Pool
	weight  int // of all flows, in bytes

	epoch int64
	now   stream.Time   // of the latest event or tick
	tick  stream.Time   // of the last tick
	sweep stream.Time   // of the last search for what expired
	pause time.Duration // until the next tick; 0: something has happened since the last
}

// waiting is a connection on which an answer came before its request.
type waiting struct {
	id    capture.FlowID
	since stream.Time
}

// New returns an engine that is ready to run.
func New(s Settings) *Engine {
	e := &Engine{Settings: s, places: make(map[capture.FlowID]uint32), recent: newRecent(), clients: make(map[exchange.Address]int), causes: []string{""}}
	e.lose = e.stats.loseMany
	e.stats.exchanges = make([]outcomes, len(s.Protocols))
	e.stats.truncated = make([]atomic.Uint64, len(s.Protocols))
	for i, p := range s.Protocols {
		e.reasons = append(e.reasons, p.Name()+requestNotCaptured)
		var skim stream.Framing
		if u, ok := p.(protocol.Unbroken); ok {
			skim = u.Opening().Frames
		}
		e.skims = append(e.skims, skim)
		e.emits = append(e.emits, func(x exchange.Exchange) {
			c := x.Base()
			e.handed++
			e.stats.exchanges[i][c.Outcome].Add(1)
			if c.Truncated {
				e.stats.truncated[i].Add(1)
			}
			e.meet(c.Endpoint)
			s.Sink.Emit(x)
		})
	}
	return e
}

// Run handles events until the source ends or is closed, which is no error,
// or fails. Exchanges that are open then are handed out as evicted.
func (e *Engine) Run() error {
	defer e.stop()
	e.epoch = e.Source.Epoch()
	e.ahead.source, _ = e.Source.(capture.Foreseer)
	e.wait(time.Now(), flushEvery)
	var ev capture.Event
	for {
		e.foresee()
		err := e.Source.Next(&ev)
		switch {
		case err == nil:
			if e.pause > flushEvery {
				e.wait(time.Now(), flushEvery)
			}
			e.pause = 0
			// A source that always has events never meets its deadline.
			if ev.Time > e.tick+stream.Time(flushEvery) {
				e.onTick(ev.Time)
			}
			e.handle(&ev)
		case errors.Is(err, os.ErrDeadlineExceeded):
			e.onTick(e.Source.Now())
			e.wait(time.Now(), min(max(e.pause+e.pause/16, flushEvery), longestPause))
		case errors.Is(err, io.EOF), errors.Is(err, os.ErrClosed):
			return nil
		default:
			return err
		}
	}
}

// wait sets the time of the next tick.
func (e *Engine) wait(now time.Time, pause time.Duration) {
	e.pause = pause
	e.Source.SetDeadline(now.Add(pause))
}

// onTick does what is due by the clock.
func (e *Engine) onTick(now stream.Time) {
	e.now, e.tick = now, now
	e.publish()
	e.epoch = e.Source.Epoch()
	e.giveUpWaiting(now)
	if timeout := stream.Time(e.RequestTimeout); now > e.sweep+timeout/16 {
		e.rest(e.sweep)
		e.sweep = now
		if now > timeout {
			e.expire(now-timeout, now)
		}
		if now > maxSilence {
			e.forget(now-maxSilence, now)
		}
	}
	e.Sink.Tick(now, e.epoch)
}

// expire ends the exchanges of which nothing was seen since before, and waits
// no longer for the rest of messages. Connections of which nothing was seen may
// be over, since the event of an end can be lost; and so can that of an answer.
func (e *Engine) expire(before, now stream.Time) {
	lost := e.Source.LostAt()
	for f := range e.recent.all {
		open, silent := f.open(), e.recent.signs[f.place].active < before
		if open > 0 || silent && f.conn != nil {
			f.conn.Expire(before, f.unheard(lost), now)
		}
		if silent {
			e.unstick(f, errStuck, now)
			e.overdue(f)
		}
		e.recount(f, open)
		e.abandon(f)
		e.weigh(f)
	}
}

// unstick drops the messages of f that have begun.
func (e *Engine) unstick(f *flow, why error, now stream.Time) {
	for side := stream.Client; side <= stream.Server && !f.opaque; side++ {
		h := &f.halves[side]
		if len(h.buf.Bytes()) == 0 {
			continue
		}
		h.buf.Reset()
		f.missed = f.missed || side == stream.Client
		f.early = f.early && side == stream.Client
		if f.conn != nil {
			e.lost(f, side, why, now)
		} else {
			f.whole, h.torn = false, true
		}
	}
}

// rest tells those connections that were silent since before.
func (e *Engine) rest(before stream.Time) {
	for i := range e.recent.silent(before) {
		if f := e.recent.flows[i]; f != nil {
			e.sleep(f)
		}
	}
}

// sleep tells f to keep no more memory than it needs.
func (e *Engine) sleep(f *flow) {
	if s, ok := f.conn.(protocol.Sleeper); ok && !f.asleep {
		f.asleep = true
		s.Sleep()
		e.weigh(f)
	}
}

// forget gives up the connections that were silent since before, on which
// nothing is open.
func (e *Engine) forget(before, now stream.Time) {
	for i := range e.recent.silent(before) {
		if f := e.recent.flows[i]; f == nil || f.open() == 0 {
			e.stats.lose(connectionForgotten)
			e.drop(i, exchange.Evicted, now)
		}
	}
}

// giveUpWaiting drops the answers whose requests did not come within one
// flush interval.
func (e *Engine) giveUpWaiting(now stream.Time) {
	keep := e.waiting[:0]
	for _, w := range e.waiting {
		f := e.recent.flows[e.places[w.id]]
		switch {
		case f == nil || !f.early:
		case now < w.since+stream.Time(flushEvery):
			keep = append(keep, w)
		default:
			open := f.open()
			e.unasked(f, now)
			e.recount(f, open)
			e.abandon(f)
			e.weigh(f)
		}
	}
	e.waiting = keep
}

// stop ends every connection.
func (e *Engine) stop() {
	for i := e.recent.latest(); i != 0; i = e.recent.latest() {
		e.drop(i, exchange.Evicted, e.now)
	}
	e.publish()
	e.Sink.Flush()
}

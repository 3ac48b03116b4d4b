package match

import (
	"iter"
	"math"
	"sync"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// A Queue holds the open exchanges of a connection on which answers come in the
// order of the requests, and judges which answers are still certain after a loss.
//
// It rests on positions. No answer begins before the position that the server's
// stream had when its request arrived. And peers take turns: a client that has
// heard something since it last spoke says no more before it has heard all
// that it waits for. A write that begins so is a turn (stream.Buffer.Turned),
// and whatever was asked before a turn was answered before it. So a loss leaves
// open only whose the answers are that come before the next turn. They are
// skipped, their requests end as lost, and with the turn the order is certain
// again.
//
// A client that does not pipeline needs no turn to be seen: it has one request
// under way, so that one which follows on a loss is the only one open. That
// a client pipelines is found out from a request that arrives while an answer
// is due and nothing was said since. That it takes no turns, because it keeps
// several requests under way and tops them up as answers come, is found out
// from a turn while an answer is due of which nothing was missed. Of such a client
// positions cannot tell how many requests a loss hid: after one the connection
// can be followed no more (protocol.Abandoned). A client that has not been seen to do so
// before a loss, or before its requests were shed, may be paired falsely from then on:
// one that keeps two under way and tops them up looks in every byte that is left like one
// that waits for each answer, only that each is to the request before. To know how
// many were shed does not help, since only who knows the requests can tell where their
// answers end.
//
// A protocol.Conn embeds a Queue, which gives it Live and Expire, and its
// exchanges embed a Place. It
//   - opens the exchange of a request with Open, before it consumes the first
//     byte, calls Weigh and sets Sending to nil when the request is over; calls
//     Begin in its place for a message that has no answer,
//   - begins Server with Resume, and on an error of it forgets what it was in
//     the middle of,
//   - ends Client with Asked and Server with Said, and returns what they return,
//   - asks Due whose an answer is, before it consumes the first byte, and begins
//     over if that moved the front of the buffer; sets Answering; ends the exchange with
//     Drop at the buffer's time Past, and calls Completed,
//   - calls LostClient and LostServer from Lost, and EndAll from Close and when
//     the server's half has Ended.
//
// The zero value is not ready to use; see NewQueue. Not safe for concurrent use.
type Queue[E Placed] struct {
	// Sending is the exchange whose request the client is in the middle of, and
	// Answering that whose answer has begun. Zero between messages, and once
	// the exchange has ended.
	Sending, Answering E
	// Silent says that there are requests which have no answer. Where there are,
	// a loss of the client's after which the server kept silent proves nothing.
	Silent bool

	hidden hidden // what the client's last loss may have been
	doubt  bool   // nothing that is open can be paired
	lossy  bool   // something was lost since it was last certain that nothing else was open
	// gap says that the server's bytes were lost and it is not known what the
	// next are: the answers to requests before number unsure may have been
	// among them.
	gap       bool
	pipelines bool // proven
	overlaps  bool // proven: the client takes no turns

	table Table[E]
	sent  uint64 // requests opened

	ack       uint64      // of the youngest request
	first     uint64      // number of the first request since the client's last turn
	firstAck  uint64      // where the server's stream stood when it arrived
	last      stream.Time // when the server was last seen
	seen      uint64      // how far its stream has been seen
	heard     uint64      // how far the client's stream had come then
	completed uint64      // where the last answer ended that was followed
	unsure    uint64      // see gap
}

// Placed is what an exchange in a Queue has to be: a pointer to a struct with a
// Core and a Place.
type Placed interface {
	comparable
	Weighty
	place() *Place
}

// A Place is where an exchange stands in a Queue.
type Place struct {
	number uint64 // of the request on its connection
	pos    uint64 // where its first byte stands in the client's stream
	ack    uint64 // where the server's stream stood when it arrived
}

func (p *Place) place() *Place { return p }

var _ interface{ place() *Place } = (*Place)(nil)

// hidden is what a loss of the client's bytes may have been.
type hidden uint8

const (
	nothing hidden = iota
	rest           // of a message whose exchange is known
	heads          // at least one head
)

// inOrder is the key of every exchange.
const inOrder = 0

// NewQueue returns a queue; the arguments are those of NewTable.
func NewQueue[E Placed](limit int, pool *sync.Pool, ep *exchange.Endpoint, emit func(exchange.Exchange)) Queue[E] {
	return Queue[E]{table: NewTable[E](limit, pool, ep, emit)}
}

// Open adds the exchange of the request that begins b; see Table.Open. At the
// limit all that are open end as evicted, and the answers up to the next turn
// are nobody's.
func (q *Queue[E]) Open(b *stream.Buffer) (x E, err error) {
	fresh := q.table.Len() == 0 || q.hidden != nothing || b.Turned()
	if err := q.Begin(b); err != nil {
		return x, err
	}
	x, ok := q.table.Open(inOrder, b.Time()) // Active is the same
	if !ok {
		q.Shed(b.Latest())
		x, _ = q.table.Open(inOrder, b.Time())
	}
	x.Base().First = b.Sequence()
	p := Place{number: q.sent, pos: b.Pos(), ack: b.Ack()}
	*x.place() = p
	if fresh {
		q.first, q.firstAck = p.number, p.ack
	}
	q.sent++
	q.ack = p.ack
	q.Sending = x
	return x, nil
}

// Begin judges what the message that begins b shows of those before it. Open
// calls it; of a message that has no answer the protocol does. The error is
// protocol.Abandoned or nil.
func (q *Queue[E]) Begin(b *stream.Buffer) error {
	if !q.doubt && !q.gap && q.hidden == nothing && q.table.Len() == 0 {
		q.lossy = q.lossy && (b.Ack() > q.seen || !b.Turned())
		return nil
	}
	hidden := q.hidden
	q.hidden = nothing
	if q.overlaps {
		if hidden == heads || q.gap || q.doubt {
			return q.giveUp(b.Latest())
		}
		return nil
	}
	// After a loss it is a turn as well if the server has spoken since it
	// had all that came before.
	turn := b.Turned() || hidden != nothing && q.heard >= b.Pos() && b.Ack() >= q.seen
	switch {
	case turn:
		return q.turn(b)
	case hidden != nothing && !q.alternates(b, hidden):
		q.pipelines, q.doubt = true, true
	case hidden != nothing || q.table.Len() == 0:
	default:
		missed := q.lossy || q.gap || q.doubt
		q.pipelines = q.pipelines || !missed || b.Ack() == q.ack
		q.doubt = missed
	}
	return nil
}

// turn goes on after a turn of the client's: all that was asked before was
// answered.
func (q *Queue[E]) turn(b *stream.Buffer) error {
	for q.doubt || q.gap {
		x, ok := q.Oldest()
		if !ok || !q.doubt && x.place().number >= q.unsure {
			break
		}
		q.drop(x)
	}
	q.doubt = false
	if b.Ack() > q.seen {
		return nil // what was not seen may yet come, or be found lost
	}
	if q.table.Len() > 0 {
		if q.lossy { // or an answer was taken for another's
			return q.giveUp(b.Latest())
		}
		q.overlaps = true
	}
	q.gap, q.lossy = q.gap && q.table.Len() > 0, false
	return nil
}

// alternates judges whether, for a client that does not pipeline, the order is
// certain at the first head after a loss of its bytes.
func (q *Queue[E]) alternates(b *stream.Buffer, lost hidden) bool {
	x, ok := q.Oldest()
	switch {
	case q.pipelines || q.doubt:
		return false
	case ok:
		// It was answered before this one was sent, so that its answer must be
		// among bytes of the server that were not seen.
		return b.Ack() > x.place().ack && (q.gap || b.Ack() > q.seen)
	case lost == heads && !q.Silent:
		// What was hidden was answered: by bytes that belong to no exchange.
		return b.Ack() > q.completed
	}
	return true
}

// Due returns the exchange that an answer at the front of b is to; none if no
// request is open. What the server said to requests that were not seen is
// discarded first, if it is known to be that: some of b may be left, or none.
func (q *Queue[E]) Due(b *stream.Buffer) (x E, ok bool) {
	x, ok = q.Oldest()
	if !ok {
		return x, false
	}
	// It began after x had arrived, or it was sent by who knew of x. The latter is
	// the case of a client whose threads race each other: see protocol.ErrEarly.
	if p := x.place(); b.Pos() < p.ack && b.Ack() <= p.pos {
		b.Discard(int64(p.ack - b.Pos()))
	}
	return x, true
}

// Resume is to be called before what the server sent is parsed. It returns
// protocol.ErrUnpaired if a loss leaves open whose it is, else nil.
func (q *Queue[E]) Resume(b *stream.Buffer) error {
	if !q.gap && !q.doubt || len(b.Bytes()) == 0 {
		return nil
	}
	x, ok := q.Oldest()
	switch {
	case q.doubt:
	case !ok:
		q.gap = false
		return nil
	case q.firstAck >= b.Pos():
		// All before the last turn was answered, and nothing since.
		for ok && x.place().number < q.first {
			q.drop(x)
			x, ok = q.Oldest()
		}
		q.gap = false
		return nil
	}
	var none E
	q.Answering = none
	if ok { // it is the rest of its answer, or comes behind that
		x.Base().Active = max(x.Base().Active, b.Latest())
	}
	q.unsure = q.sent
	return protocol.ErrUnpaired
}

// Asked is to be called when what the client sent was parsed, with the error that
// ended it. It returns what Client of a protocol.Conn does: nil for ErrShort.
func (q *Queue[E]) Asked(b *stream.Buffer, err error) error { return q.parsed(q.Sending, b, err) }

// Said is Asked for what the server sent, and notes how far it has been seen.
func (q *Queue[E]) Said(b *stream.Buffer, err error) error {
	q.last = b.Latest()
	q.seen = b.End()
	q.heard = b.Ack()
	return q.parsed(q.Answering, b, err)
}

// parsed notes that bytes of x were seen, if it is one.
func (q *Queue[E]) parsed(x E, b *stream.Buffer, err error) error {
	var none E
	if x != none {
		x.Base().Active = max(x.Base().Active, b.Latest())
		q.table.Weigh(x)
	}
	if err == stream.ErrShort {
		return nil
	}
	return err
}

// Completed notes that an answer ends before the front of b.
func (q *Queue[E]) Completed(b *stream.Buffer) { q.completed = b.Pos() + uint64(b.Owed()) }

// LostClient says that bytes of the client's were lost. whole says that whole
// requests may have been among them, not only the rest of one that is known.
func (q *Queue[E]) LostClient(whole bool) {
	var none E
	q.Sending = none
	q.lossy = true
	q.hidden = rest
	if whole {
		q.hidden = heads
	}
}

// LostServer says that bytes of the server's were lost: answers of all that are
// open may have been among them. The error is protocol.Abandoned or
// nil.
func (q *Queue[E]) LostServer(at stream.Time) error {
	var none E
	q.Answering = none
	q.lossy = true
	q.gap, q.unsure = true, q.sent
	if q.overlaps && q.table.Len() > 0 {
		return q.giveUp(at)
	}
	return nil
}

// Unsure reports whether the server's bytes were lost and it is not known what
// the next are.
func (q *Queue[E]) Unsure() bool { return q.gap || q.doubt }

// Last is when the server was last seen.
func (q *Queue[E]) Last() stream.Time { return q.last }

// Seen is how far the server's stream has been seen.
func (q *Queue[E]) Seen() uint64 { return q.seen }

// Oldest returns the exchange that is answered next. It may have expired; its
// answer has to be framed like any other.
func (q *Queue[E]) Oldest() (x E, ok bool) { return q.table.Find(inOrder) }

// All yields the open exchanges, oldest first; see Table.All.
func (q *Queue[E]) All() iter.Seq[E] { return q.table.All() }

// Shed ends all exchanges as evicted. It leaves open whose the answers are that
// come before the next turn, as a loss does.
func (q *Queue[E]) Shed(at stream.Time) {
	q.doubt = q.doubt || q.table.Len() > 0
	q.endAll(exchange.Evicted, at)
}

// Weigh and Weight are those of Table.
func (q *Queue[E]) Weigh(x E)   { q.table.Weigh(x) }
func (q *Queue[E]) Weight() int { return q.table.Weight() }

// Shrink is that of Table.
func (q *Queue[E]) Shrink() { q.table.Shrink() }

// Len is how many places are taken; see Table.Len.
func (q *Queue[E]) Len() int { return q.table.Len() }

// Live is how many exchanges are open.
func (q *Queue[E]) Live() int { return q.table.Live() }

// Drop ends x, which is the oldest, and hands it out.
func (q *Queue[E]) Drop(x E, why exchange.Outcome, at stream.Time) {
	q.release(x)
	q.table.End(inOrder, why, at)
}

// drop ends x, which is the oldest and whose answer was or may have been missed.
func (q *Queue[E]) drop(x E) { q.Drop(x, exchange.Lost, q.last) }

// Yield gives x up, which is the oldest, without handing it out: it goes on
// elsewhere.
func (q *Queue[E]) Yield(x E) {
	q.release(x)
	q.table.Yield(inOrder)
}

func (q *Queue[E]) release(x E) {
	var none E
	if q.Sending == x {
		q.Sending = none
	}
	if q.Answering == x {
		q.Answering = none
	}
}

// Expire ends, at at, the exchanges of which nothing was seen since before, but
// those whose answers may have been missed as lost; see Table.Expire.
func (q *Queue[E]) Expire(before, lost, at stream.Time) {
	q.dropMissed(before)
	q.table.Expire(before, lost, at)
}

// EndAll ends all exchanges, but those whose answers may have been missed as
// lost.
func (q *Queue[E]) EndAll(why exchange.Outcome, at stream.Time) {
	q.dropMissed(math.MaxUint64)
	q.endAll(why, at)
}

// dropMissed ends as lost those whose answers may have been missed and of which
// nothing was seen since before.
func (q *Queue[E]) dropMissed(before stream.Time) {
	for q.gap || q.doubt {
		x, ok := q.Oldest()
		if !ok || x.Base().Active >= before || !q.doubt && x.place().number >= q.unsure && x.place().ack >= q.seen {
			return
		}
		q.drop(x)
	}
}

func (q *Queue[E]) endAll(why exchange.Outcome, at stream.Time) {
	var none E
	q.table.EndAll(why, at)
	q.Sending, q.Answering = none, none
}

// giveUp ends all exchanges of a connection that can be followed no more.
func (q *Queue[E]) giveUp(at stream.Time) error {
	q.EndAll(exchange.Lost, at)
	return protocol.Abandoned
}

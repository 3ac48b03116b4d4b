// Package capture turns what the kernel saw of connections into events. It is
// the only importer of the BPF programs and of their loader.
package capture

import (
	"net/netip"
	"strings"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// A FlowID names one end of a connection: for the kernel a socket cookie,
// unique while the machine is up; or, where there are none, made of the
// socket's address, unique while the connection is. Never 0.
type FlowID uint64

// Kind says what happened to a connection.
type Kind uint8

// Kinds of events.
const (
	Data    Kind = iota // bytes were read from or written to the socket
	Opened              // the connection was established
	Ended               // one direction was shut down; Event.Out tells which
	Closed              // the socket is gone
	Refused             // a process moved bytes whose data is not wanted: none of it comes
)

// An Event is one thing that happened at the observed end of a connection.
type Event struct {
	Flow FlowID
	Kind Kind
	Out  bool // the observed end sent; else it received
	// Reset says of Closed that the connection was aborted rather than ended.
	Reset bool
	// Side is which end was observed. Unless Sure it is a guess: the opening of
	// the connection was not seen.
	Side stream.Side
	Sure bool

	Time stream.Time
	// Seq is the TCP sequence number of the first byte of Data, of the next
	// byte for other kinds; Ack that of the next byte of the other direction.
	// Both say nothing unless Sequenced.
	Seq, Ack  uint32
	Sequenced bool

	// TurnsOut and TurnsIn are how many turns began since the last event of the
	// flow that Next returned, with that of this one: of the observed end, and of
	// its peer. What one of them says until the other does is a turn; more
	// than one of the same end is more than an event tells of. Zero where the
	// source does not count.
	TurnsOut, TurnsIn uint16
	Turned            bool // says of Data that it begins a turn

	// Continued says of Data that it goes on where the event before in this
	// direction ended, within the same read or write.
	Continued bool
	Framed    bool   // says of Data that it is known where frames begin in it; see Shard.Frames
	Len       uint32 // bytes moved
	Passed    uint32 // the first of them, which Skip or Whole allowed to leave out
	Data      []byte // those behind them that were captured; valid until the next call of Next
	// Missing says why Passed+len(Data) < Len. Empty otherwise. One of a few tokens;
	// the kernel's are those of enum missing in bpf/event.h. Such an event is
	// no loss: Losses does not count it.
	Missing string

	// Never IPv4-mapped. Of an accepted MPTCP connection Peer is not yet known
	// when it is Opened: 0.0.0.0:0 or [::]:0.
	Local, Peer netip.AddrPort
	PID         uint32   // process that moved the bytes; only for Data
	Start       uint64   // when it started, nanoseconds since boot
	Execs       uint32   // tells apart the programs that it has executed
	Comm        [16]byte // its short name
}

// Skipped is the Event.Missing of what Skip or Whole allowed to leave out.
const Skipped = "skipped"

// A Source is what was seen of connections: in one order for each of its shards, and
// each connection in one of them. Its methods may be called from any goroutine.
type Source interface {
	// Shards are the parts of the source, each for a reader of its own; always the
	// same, and at least one.
	Shards() []Shard
	// Losses reports, for each reason, how many events were lost before they
	// reached Next, since the source was opened. Nothing once closed.
	Losses(yield func(reason string, events uint64))
	// Ignored is how many Data events Ignore has spared since the source was
	// opened; 0 where they are not counted, and once closed.
	Ignored() (events uint64)
	// Close interrupts Next of all shards and releases everything, but for the Data
	// of events that are in use: the next call of Next, which returns os.ErrClosed,
	// does that.
	Close() error
}

// A Shard yields what was seen of some connections, in the order in which it was
// seen; both ends of one are in the same shard, where the source sees both and can
// tell. Its methods are for one goroutine, but for Now and Epoch, which may be called
// from any.
type Shard interface {
	// Next waits for an event. It returns os.ErrDeadlineExceeded when the
	// deadline has passed and nothing is left to read, io.EOF at the end of a
	// source that has one, and os.ErrClosed once that is closed.
	Next(e *Event) error
	// SetDeadline bounds the waiting of Next. The zero time lifts it. Until then
	// events may be kept back, to be handed out many at once; but if it is more
	// than 50 ms ahead Next returns with the first.
	SetDeadline(t time.Time)
	// Skip asks not to copy the bytes of one direction of a flow (out: those
	// that the observed end sends) before sequence number until, which is less
	// than 1 GiB ahead. Of what reaches until or begins a turn the event still
	// comes, without Data, and of the rest a few a second: no other gap in Seq
	// before until is a loss. A later call replaces it; one with the current
	// position takes it back. Best effort: other flows may displace it, and events
	// on their way have their Data.
	Skip(id FlowID, out bool, until uint32)
	// Frames is Skip, and says that at sequence number at a frame begins: from there
	// on what Whole was allowed is left out, if the source has not yet come to at. Where
	// the connection's opening is one of Options.Openings it need not be told.
	Frames(id FlowID, out bool, at uint32)
	// Whole asks for reads and writes of a flow as whole as they can be had,
	// in several events; of others the first bytes are enough. skim is one of those in
	// Options.Openings, and allows to leave out what it says that nobody wants: reads
	// and writes within that are told with what comes behind them, but for a few a
	// second; the zero value allows nothing, and the source forgets where frames begin. Best effort
	// as Skip is: ask again when bytes are missing nevertheless.
	Whole(id FlowID, skim stream.Framing)
	// Ignore asks for no more Data events of a flow; others still come. Best
	// effort as Skip is: ask again when some come nevertheless.
	Ignore(id FlowID)
	// LostAt is when, at the latest, an event was lost that no other event need tell of:
	// what any flow did before may have been missed, unless it was heard of since. 0
	// if none was.
	LostAt() stream.Time
	// Now is the time on the clock of events, which nobody sets.
	Now() stream.Time
	// Epoch is what to add to a stream.Time to get nanoseconds since 1970 UTC.
	// It changes as clocks are set; ask again now and then.
	Epoch() int64
}

// A Foreseer is a Shard that may know what comes next.
type Foreseer interface {
	// Ahead fills ids with the flows of the events that Next is about to return,
	// in their order, and returns of how many: as many as wait already, len(ids)
	// at the most. One of them may be missing, or another come in between.
	Ahead(ids []FlowID) int
}

// A Chooser is a Source that found out by itself how to see.
type Chooser interface {
	// Backend is the one in use, and why those that come before it are not:
	// nothing for one that was asked for by name.
	Backend() (name string, refused Refusals)
}

// A Refusal says why a backend does not work here.
type Refusal struct {
	Backend string
	Err     error
}

// Refusals are in the order in which backends were tried.
type Refusals []Refusal

func (r Refusals) Error() string {
	var text []string
	for _, refusal := range r {
		text = append(text, refusal.Backend+": "+refusal.Err.Error())
	}
	return strings.Join(text, "; ")
}

// Unwrap is for errors.Is and errors.As.
func (r Refusals) Unwrap() []error {
	var errs []error
	for _, refusal := range r {
		errs = append(errs, refusal.Err)
	}
	return errs
}

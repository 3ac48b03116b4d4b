package engine

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
)

// Reasons for which the engine loses something.
const (
	sequenceGap         = "sequence_gap"         // bytes were moved of which no event came
	outOfOrder          = "out_of_order"         // an event told of bytes that others had told of
	tornWrite           = "torn_write"           // what came before in the same read or write was lost
	connectionEvicted   = "connection_evicted"   // more connections than allowed
	connectionForgotten = "connection_forgotten" // silent for maxSilence
	stateEvicted        = "state_evicted"        // connections together take more memory than allowed
	unaskedAnswer       = "answer_without_request"
	unpaired            = "answers_unpaired"
	turnNotCaptured     = "turn_not_captured" // of a client, on a connection of which too little was seen to know its protocol
	other               = "other"             // more reasons than maxReasons
	// requestNotCaptured follows the name of the protocol.
	requestNotCaptured = "_request_not_captured"
	notCaptured        = "message_cut_by_" // bytes were missing that a parser needed; capture.Event.Missing follows, sequenceGap or tornWrite
)

// maxReasons bounds the reasons that protocols can add.
const maxReasons = 128

var (
	errHeld  = errors.New("message too large")
	errCrowd = errors.New("messages too many") // begun, where state is evicted
	errStuck = errors.New("message without end")
)

// ignored says why a connection is not followed any more: a protocol.Opaque, or
// what the engine itself finds.
type ignored uint8

const (
	unknown ignored = iota + ignored(protocol.Opaques) // no protocol knows it, or what it says makes no sense
	reasons
)

func (i ignored) String() string {
	if i == unknown {
		return "unknown_protocol"
	}
	return protocol.Opaque(i).String()
}

// outcomes counts exchanges by how they ended.
type outcomes [exchange.Outcomes]atomic.Uint64

// counts are figures that events change. They belong to the goroutine of Run, which
// publishes them at each tick: an atomic operation waits until all that was written
// before is in the cache, and of a connection that was silent for a while nothing is.
type counts struct {
	events, bytes uint64
	open          int
}

// stats is written by the goroutine of Run and read by any.
type stats struct {
	events, bytes     atomic.Uint64
	connections, open atomic.Int64
	state             atomic.Int64
	exchanges         []outcomes // by protocol
	truncated         []atomic.Uint64
	ignored           [reasons]atomic.Uint64

	mu     sync.Mutex // losses are rare
	losses map[string]uint64
}

// Stats is what an engine has seen and holds: Connections now, the rest as of the last tick.
type Stats struct {
	Events        uint64 // events that moved bytes
	CapturedBytes uint64
	Connections   int64 // followed, ignored ones included
	OpenExchanges int64
	State         int64 // bytes that connections take for what was learnt on them
}

// publish makes the figures visible.
func (e *Engine) publish() {
	e.stats.events.Store(e.counts.events)
	e.stats.bytes.Store(e.counts.bytes)
	e.stats.open.Store(int64(e.counts.open))
	e.stats.state.Store(int64(e.weight))
}

// Stats returns the figures.
func (e *Engine) Stats() Stats {
	return Stats{
		Events:        e.stats.events.Load(),
		CapturedBytes: e.stats.bytes.Load(),
		Connections:   e.stats.connections.Load(),
		OpenExchanges: e.stats.open.Load(),
		State:         e.stats.state.Load(),
	}
}

// Exchanges reports how many exchanges were handed out, by protocol and by how
// they ended.
func (e *Engine) Exchanges(yield func(protocol string, how exchange.Outcome, n uint64)) {
	for i, p := range e.Protocols {
		for how := exchange.Answered; how < exchange.Outcomes; how++ {
			if n := e.stats.exchanges[i][how].Load(); n > 0 {
				yield(p.Name(), how, n)
			}
		}
	}
}

// Truncated reports, by protocol, of how many of these exchanges bytes were
// missing, so that what they do not say may have been said.
func (e *Engine) Truncated(yield func(protocol string, n uint64)) {
	for i, p := range e.Protocols {
		if n := e.stats.truncated[i].Load(); n > 0 {
			yield(p.Name(), n)
		}
	}
}

// Ignored reports how many connections were given up, by reason. None of them
// costs anything from then on.
func (e *Engine) Ignored(yield func(reason string, n uint64)) {
	for why := range reasons {
		if n := e.stats.ignored[why].Load(); n > 0 {
			yield(why.String(), n)
		}
	}
}

// Losses reports how often something was lost, by reason. What it cost in
// exchanges is told by their outcomes.
func (e *Engine) Losses(yield func(reason string, n uint64)) {
	e.stats.mu.Lock()
	defer e.stats.mu.Unlock()
	for reason, n := range e.stats.losses {
		yield(reason, n)
	}
}

func (s *stats) lose(reason string) { s.loseMany(reason, 1) }

func (s *stats) loseMany(reason string, n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.losses == nil {
		s.losses = make(map[string]uint64)
	}
	if _, ok := s.losses[reason]; !ok && len(s.losses) >= maxReasons {
		reason = other
	}
	s.losses[reason] += n
}

// loseBy counts a loss by the text of an error.
func (s *stats) loseBy(err error) {
	switch err {
	case protocol.ErrEarly:
		s.lose(unaskedAnswer)
	case protocol.ErrUnpaired:
		s.lose(unpaired)
	default:
		s.lose(token(err.Error()))
	}
}

// token makes "http1: malformed chunk" http1_malformed_chunk.
func token(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	}), "_")
}

// Package exchange defines the protocol-neutral unit that the receiver emits:
// one request and what became of it.
package exchange

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Outcome says how an exchange ended.
type Outcome uint8

// How exchanges end. Every exchange that was opened ends in exactly one way.
const (
	Open     Outcome = iota // it has not
	Answered                // its response was seen to the end
	Closed                  // the connection was closed first
	Reset                   // the connection was reset first
	Expired                 // nothing more of it was seen for too long
	Lost                    // bytes were not captured that it needed
	Evicted                 // a bound was reached: of connections or of open exchanges
	Outcomes                // how many there are
)

var outcomes = [Outcomes]string{"open", "answered", "closed", "reset", "expired", "lost", "evicted"}

// String returns the name that the self-metrics use.
func (o Outcome) String() string { return outcomes[o] }

// ErrorType is the value of error.type for an exchange that ended so. It is
// empty for Answered, where the protocol decides, and for Lost and Evicted: the
// answer was missed by the observer, which is not an error of the observed.
func (o Outcome) ErrorType() string {
	switch o {
	case Closed:
		return "connection_closed"
	case Reset:
		return "connection_reset"
	case Expired:
		return "timeout"
	}
	return ""
}

// An Exchange is valid only during the call that hands it out: its protocol
// uses it again. Nothing of it may be kept without a copy.
type Exchange interface {
	// Base returns the half that every protocol shares.
	Base() *Core
	// SpanName returns a name of low cardinality, by the semantic conventions.
	// What is not constant of it is made by s.
	SpanName(s *Strings) string
	// Attributes adds what the protocol knows to m, by the semantic conventions.
	// Text is made by s. m has room for as many attributes as earlier exchanges
	// of its process and side had.
	Attributes(m pcommon.Map, s *Strings)
	// Size is about how many bytes of text Attributes adds.
	Size() int
	// Summary appends the exchange as a person would say it, on one line and
	// without its duration: "GET /books/7 200". It must hold no secret and no
	// control character.
	Summary(dst []byte) []byte
}

// Core is what exchanges of all protocols have in common. A protocol embeds
// it first in its own type.
type Core struct {
	Key      uint64 // correlates request and response; see match.Table
	Endpoint *Endpoint

	First stream.Sequence // first byte of the request, or of the answer to none

	Start  stream.Time // first byte of the request
	End    stream.Time // last byte of the response, or when waiting for it ended
	Active stream.Time // last byte seen of either

	Outcome Outcome
	// ErrorType is the value of error.type. An exchange has failed if and only
	// if it is set. The protocol sets it before it ends an exchange as
	// Answered; match.Table does for other outcomes.
	ErrorType string
	// Truncated says that bytes were missing: an absent attribute proves nothing.
	Truncated bool

	Weighed int // bytes of memory that match.Table counts for it

	Trace Trace
}

// Base implements Exchange for the types that embed Core.
func (c *Core) Base() *Core { return c }

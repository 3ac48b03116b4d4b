// Package protocol is the seam between the engine and the protocols it knows.
//
// A protocol is one folder below this one. It parses and matches in one state
// machine per connection, because a response can often not be framed without
// its request, and because a loss must reach both at once.
package protocol

import (
	"errors"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Verdict is what a protocol makes of the opening bytes of a connection.
type Verdict uint8

// Verdicts, from the least to the most certain.
const (
	No   Verdict = iota // not this protocol, whatever follows
	Wait                // too few bytes to tell
	Yes
)

var (
	// ErrUnpaired means that bytes were lost in a way that leaves open whose
	// answer b holds. The engine counts it and drops what b holds. The
	// connection goes on: see match.Queue.
	ErrUnpaired = errors.New("protocol: answers cannot be told apart")
	// ErrEarly means that an answer begins for which no request is open.
	// Where the observed process is the client and the connection was seen
	// whole, or more was asked by then than was reported, its request may be
	// about to be: threads of the client race each other to the ring. The engine then offers the same bytes again
	// after more of the client's, or after a while calls Lost.
	ErrEarly = errors.New("protocol: answer without a request")
)

// Opaque is the error which says that a connection cannot be followed any more,
// and why. Open exchanges have been ended. The engine asks the source for no
// more of it.
type Opaque uint8

// Why a connection became opaque.
const (
	Encrypted   Opaque = iota // it turned to TLS
	Compressed                // all that follows is
	Upgraded                  // it speaks another protocol now, which nobody follows
	WebSocket                 // that one
	Tunnel                    // it carries what others say to each other
	Replication               // it carries the changes of a database, without an end
	Abandoned                 // so much was lost that answers can never be told apart again
	Opaques                   // how many there are
)

var tokens = [Opaques]string{"encrypted", "compressed", "upgraded", "websocket", "tunnel", "replication", "abandoned"}

// String returns the token under which the self-metrics count it.
func (o Opaque) String() string { return tokens[o] }

func (o Opaque) Error() string { return "protocol: connection no longer readable: " + tokens[o] }

// An Upgrade is the error with which Server says that the connection goes on in
// another protocol, with the first byte that was not consumed. If no Protocol
// takes it over, the connection is opaque from there on, for the reason Else.
type Upgrade struct {
	// Token is what the peers call the other protocol, in lower case (RFC 9110 7.8).
	Token string
	// Request is the exchange whose answer comes in the other protocol.
	Request exchange.Exchange
	// Taken says, when Close is called next, that the other protocol continues
	// Request: it is not to be handed out.
	Taken bool
	Else  Opaque
}

func (u *Upgrade) Error() string { return "protocol: connection goes on as " + u.Token }

// A Successor is a Protocol that connections of others can turn to.
type Successor interface {
	Protocol
	// Upgraded returns the state machine for a connection that request turned
	// to the protocol with this token, or nil if that is another one. request is
	// valid only during the call.
	Upgraded(token string, request exchange.Exchange, ep *exchange.Endpoint, emit func(exchange.Exchange)) Conn
}

// An Unbroken Protocol needs more of a read or write than how it begins: its
// messages may begin anywhere, and what is missed of one is missed by others
// that come after it. The engine asks the source for whole reads and writes of
// its connections, each of which is then copied, but for what is discarded
// ahead of its arrival.
type Unbroken interface {
	Protocol
	// Opening is how its connections begin, by which the source knows them before the
	// engine can, and what of their frames nobody wants. A connection of which such
	// bytes were needed nevertheless, and lost, is from then on copied whole. Where
	// its opening was not seen a Conn that is a Framer tells where frames begin.
	Opening() stream.Opening
}

// A Framer is a Conn of an Unbroken Protocol that knows where frames begin.
type Framer interface {
	Conn
	// Framed reports whether one begins behind what was consumed of side, and
	// discarded ahead of its arrival. It has to be sure: from there on the source may
	// leave out what Opening says that nobody wants.
	Framed(side stream.Side) bool
}

// A Protocol recognises connections and makes the state machines that follow
// them. Immutable and safe for concurrent use.
type Protocol interface {
	// Name is the protocol's key in the configuration and in the self-metrics.
	Name() string
	// Detect judges what each side sent first; either may be empty or cut
	// short, and neither begins in the middle of a write. It is pure and
	// retains nothing. Where the engine is not sure who is the client it also
	// asks with the sides swapped, so it must not say Yes to both.
	Detect(client, server []byte) Verdict
	// NewConn returns the state machine for the connection whose observed end
	// is ep. It calls emit for every exchange that ends, before the method
	// that ended it returns.
	NewConn(ep *exchange.Endpoint, emit func(exchange.Exchange)) Conn
}

// A Conn follows one connection. The engine calls it from one goroutine, in
// the order in which the kernel saw the bytes.
type Conn interface {
	// Client and Server are called whenever that side sent something, captured
	// or not. They consume every whole message, or as much as can be consumed,
	// and leave the rest in b. nil means that they wait for more. An error that
	// is not one of this package's means that the bytes make no sense or
	// that those which would are missing (stream.ErrHole); the engine then
	// counts it by its text, drops what b holds and calls Lost.
	Client(b *stream.Buffer) error
	Server(b *stream.Buffer) error
	// Lost says that what side sent up to now and was not consumed is gone. The
	// next bytes begin a write, which is where messages tend to start. It
	// returns nil or an Opaque.
	Lost(side stream.Side, at stream.Time) error
	// Ended says that side will send no more: it shut its half down.
	Ended(side stream.Side, at stream.Time)
	// Expire ends, at at, the exchanges of which nothing was seen since before,
	// but keeps their places in the order of answers. Those of which nothing was seen
	// since lost, either, end as lost: up to then the source may have missed what became
	// of them. It is also called where nothing at all was seen since before: the
	// connection may be over.
	Expire(before, lost, at stream.Time)
	// Close ends all exchanges. Nothing is called after it.
	Close(why exchange.Outcome, at stream.Time)
	// Live returns how many exchanges are open, those that expired not counted.
	Live() int
	// Weight is how many bytes of memory are taken by what was learnt on the
	// connection: open exchanges, tables, statements. A sum of few numbers: it
	// is asked after every event.
	Weight() int
	// Shed gives that memory back, because all connections together take too
	// much. Open exchanges end as evicted, and what is said by what was
	// forgotten is absent from those to come.
	Shed(at stream.Time)
}

// A Dialogue is a Conn whose peers take turns: a client that has asked says no
// more before it was answered, unless it pipelines. The engine counts each turn
// of the client's of which nothing was captured as a request that was lost.
type Dialogue interface {
	Conn
	// Continues reports whether the client's next turn goes on with what it has
	// begun, as the body that the server asked for: it is no request.
	Continues() bool
	// Parts reports whether clients take leave in a turn that nobody answers.
	Parts() bool
}

// An Accountant is a Conn that knows of losses which the engine cannot see:
// requests of which nothing was captured, or what a bound made it forget.
type Accountant interface {
	Conn
	// Account comes before all other calls. lose counts n losses by a reason, a
	// token that begins with the protocol's name (http2_request_not_captured).
	Account(lose func(reason string, n uint64))
}

// A Sleeper is a Conn that keeps more memory than what it knows needs, to be
// quick with what comes next.
type Sleeper interface {
	Conn
	// Sleep says that nothing has come for a while: it keeps what it needs.
	Sleep()
}

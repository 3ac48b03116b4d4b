// Package http2 follows HTTP/2 connections in clear text (RFC 9113), and the
// gRPC calls among what they carry.
//
// Frames are read one by one. DATA is skipped by its length and not looked at,
// but for the prefixes of gRPC's messages; header blocks are decoded in the
// order in which they were sent, whether anybody wants them or not, because each
// may change the table that the next refers to. A stream's id pairs its request
// with its response, so that a loss costs what was lost and no more: what needs
// the lost bytes is absent, and its exchange is marked.
//
// SETTINGS are not followed. An encoder says in its header blocks which table
// size it took (RFC 7541 6.3), and frames say how long they are.
package http2

import (
	"math"
	"sync"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/match"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// preface is what a client begins with. RFC 9113 3.4.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// upgradeToken is what HTTP/1.1 calls this protocol. RFC 7540 3.2; RFC 9113 3.1
// took it back, but it is spoken.
const upgradeToken = "h2c"

// Protocol is HTTP/2.
type Protocol struct {
	options httpconv.Options
	wanted  httpconv.Initials // of the fields of a request
	calls   sync.Pool         // of *call
}

var (
	_ protocol.Unbroken   = (*Protocol)(nil)
	_ protocol.Accountant = (*conn)(nil)
	_ exchange.Exchange   = (*call)(nil)
)

// New returns the protocol with options that are valid.
func New(o httpconv.Options) *Protocol {
	wanted, _ := o.Initials()
	wanted.Add("content-type")
	wanted.Add(":")
	return &Protocol{options: o, wanted: wanted, calls: sync.Pool{New: func() any { return new(call) }}}
}

// Name implements protocol.Protocol.
func (p *Protocol) Name() string { return "http2" }

// Opening implements protocol.Unbroken: frames begin anywhere in a write, and
// a header block that is not read is missed by those that refer to it.
func (p *Protocol) Opening() stream.Opening {
	return stream.Opening{Bytes: preface, Frames: framing}
}

// Detect implements protocol.Protocol. Without the preface it takes frames, and
// among them a header block that only one of the sides can have sent.
func (p *Protocol) Detect(client, server []byte) protocol.Verdict {
	if n := min(len(client), len(preface)); n > 0 && string(client[:n]) == preface[:n] {
		if n < len(preface) {
			return protocol.Wait
		}
		return protocol.Yes
	}
	c, s := look(client, stream.Client, beyond), look(server, stream.Server, beyond)
	switch {
	case c.senseless || s.senseless:
		return protocol.No
	case c.telling && c.frames > 0 || s.telling && s.frames > 0:
		return protocol.Yes
	}
	return protocol.Wait
}

// NewConn implements protocol.Protocol.
func (p *Protocol) NewConn(ep *exchange.Endpoint, emit func(exchange.Exchange)) protocol.Conn {
	return p.newConn(ep, emit)
}

func (p *Protocol) newConn(ep *exchange.Endpoint, emit func(exchange.Exchange)) *conn {
	c := &conn{
		protocol: p,
		served:   math.MaxUint32,
		ledger:   ledger{known: ep.Opened, lose: func(string, uint64) {}},
	}
	c.calls = match.NewTable[*call](maxOpen, &p.calls, ep, func(x exchange.Exchange) {
		call := x.(*call)
		c.learn(call)
		call.settle()
		emit(x)
	})
	return c
}

// Upgraded returns the state machine of a connection that HTTP/1.1 turned to
// the protocol with this token, or nil if that is another one. The request is
// the first of the connection and ends with it (RFC 7540 3.2); its answer is
// to come.
func (p *Protocol) Upgraded(token string, request exchange.Exchange, ep *exchange.Endpoint, emit func(exchange.Exchange)) protocol.Conn {
	if token != upgradeToken {
		return nil
	}
	c := p.newConn(ep, emit)
	x := c.open(1, request.Base().Start, request.Base().Active)
	if !x.Adopt(request) {
		c.calls.Yield(1)
		return nil
	}
	x.sent = true
	if x.RequestBody >= 0 {
		x.size[stream.Client] = x.RequestBody
	} else {
		x.blind[stream.Client] = true
	}
	c.ledger.opened(1, true)
	c.whole = true
	c.server.stage, c.server.whole = inFrames, true
	return c
}

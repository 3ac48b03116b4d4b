// Package http1 follows HTTP/1.0 and HTTP/1.1 connections (RFC 9110, RFC 9112).
//
// It reads heads line by line and consumes each line that it understood, so
// that a head which is cut still tells what came before the cut. Bodies are
// skipped by length and never looked at. A response belongs to the oldest
// request that is open (RFC 9112 9.3.2): see match.Queue.
package http1

import (
	"bytes"
	"sync"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/match"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
)

// certain is after how many bytes without the end of the first line a method
// that we know and a path are taken for a request. Redis, which takes commands in
// one line too, cuts them off at 64 KiB, but nobody sends GET with such a key.
const certain = 512

// Protocol is HTTP/1.x.
type Protocol struct {
	options httpconv.Options
	calls   sync.Pool // of *call
	// Fields that begin otherwise are of no interest.
	requestInitials, responseInitials httpconv.Initials
}

var (
	_ protocol.Protocol = (*Protocol)(nil)
	_ protocol.Dialogue = (*conn)(nil)
	_ protocol.Sleeper  = (*conn)(nil)
	_ exchange.Exchange = (*call)(nil)
)

// New returns the protocol with options that are valid.
func New(o httpconv.Options) *Protocol {
	p := &Protocol{options: o, calls: sync.Pool{New: func() any { return new(call) }}}
	p.requestInitials, p.responseInitials = p.options.Initials()
	for _, name := range []string{"content-length", "transfer-encoding"} {
		p.requestInitials.Add(name)
		p.responseInitials.Add(name)
	}
	p.requestInitials.Add("expect")
	p.responseInitials.Add("upgrade")
	return p
}

// Name implements protocol.Protocol.
func (p *Protocol) Name() string { return "http" }

// Detect implements protocol.Protocol.
func (p *Protocol) Detect(client, server []byte) protocol.Verdict {
	if len(server) > 0 {
		switch v := startsResponse(server); {
		case v == protocol.No:
			return protocol.No
		case len(client) == 0:
			return v
		}
	}
	client = bytes.TrimLeft(client, "\r\n") // RFC 9112 2.2
	v := startsRequest(client, true)
	if v == protocol.Wait && len(client) >= certain && startsLongRequest(client) {
		return protocol.Yes
	}
	return v
}

// NewConn implements protocol.Protocol.
func (p *Protocol) NewConn(ep *exchange.Endpoint, emit func(exchange.Exchange)) protocol.Conn {
	return &conn{
		protocol: p,
		Queue:    match.NewQueue[*call](maxOpen, &p.calls, ep, emit),
	}
}

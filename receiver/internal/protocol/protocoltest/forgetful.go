package protocoltest

import (
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const tooMuch = 1 << 20 // bytes; the engine is told to allow less

// forgetful is a protocol whose connections seem to take too much memory when
// sheds says so, which it is asked before each of the calls that parse.
type forgetful struct {
	protocol.Protocol
	sheds func() bool
}

func (p forgetful) NewConn(ep *exchange.Endpoint, emit func(exchange.Exchange)) protocol.Conn {
	return &forgetfulConn{Conn: p.Protocol.NewConn(ep, emit), sheds: p.sheds}
}

// Upgraded implements protocol.Successor for those that are.
func (p forgetful) Upgraded(token string, request exchange.Exchange, ep *exchange.Endpoint, emit func(exchange.Exchange)) protocol.Conn {
	if s, ok := p.Protocol.(protocol.Successor); ok {
		if next := s.Upgraded(token, request, ep, emit); next != nil {
			return &forgetfulConn{Conn: next, sheds: p.sheds}
		}
	}
	return nil
}

type forgetfulConn struct {
	protocol.Conn
	sheds func() bool
	heavy bool
}

func (c *forgetfulConn) Client(b *stream.Buffer) error {
	c.heavy = c.sheds()
	return c.Conn.Client(b)
}

func (c *forgetfulConn) Server(b *stream.Buffer) error {
	c.heavy = c.sheds()
	return c.Conn.Server(b)
}

func (c *forgetfulConn) Weight() int {
	if c.heavy {
		return tooMuch
	}
	return 0
}

func (c *forgetfulConn) Shed(at stream.Time) {
	c.heavy = false
	c.Conn.Shed(at)
}

// Account implements protocol.Accountant for those that are.
func (c *forgetfulConn) Account(lose func(reason string, n uint64)) {
	if a, ok := c.Conn.(protocol.Accountant); ok {
		a.Account(lose)
	}
}

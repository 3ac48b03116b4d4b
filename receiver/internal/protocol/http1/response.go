package http1

import (
	"strings"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// statusLine reads the first line of a response and finds its request.
func (c *conn) statusLine(b *stream.Buffer) error {
	h := &c.server
	p := b.Bytes()
	if n := emptyLines(p); n > 0 {
		b.Discard(int64(n))
		p = b.Bytes()
	}
	if len(p) == 0 {
		return nothing(b)
	}
	switch startsResponse(p) {
	case protocol.No:
		if c.Len() > 0 && h.stage == astray {
			return errStatusLine // an answer was due
		}
		return c.skip(h, b, errStatusLine)
	case protocol.Wait:
		return nothing(b)
	}
	s, _ := statusLine(p)
	x, ok := c.Due(b)
	switch {
	case b.Owed() > 0 || ok && len(b.Bytes()) < len(p):
		return nil // it was the answer to a request that was not seen
	case ok:
	case s.status == 408:
		// RFC 9110 15.5.9: sent before closing to a client that sent nothing.
	default:
		return protocol.ErrEarly
	}
	c.interim = s.status < 200 && s.status != 101
	c.status = int16(s.status) // three digits
	c.Answering = nil
	if ok && !c.interim {
		c.Answering = x
		if s.status != 101 { // the final one may come in another protocol
			x.Status = s.status
		}
	}
	h.begin()
	h.stage, h.minor = inReason, s.minor
	b.Discard(int64(len(statusPrefix)))
	return nil
}

// reason skips the rest of a status line.
func (c *conn) reason(b *stream.Buffer) error {
	h := &c.server
	end, err := h.lineAt(b, b.Bytes())
	if err != nil {
		return err
	}
	b.Discard(int64(end))
	h.stage, h.size = inFields, len(statusPrefix)+end
	return nil
}

// responseFields reads the rest of a head.
func (c *conn) responseFields(b *stream.Buffer) error {
	p := b.Bytes()
	for at := 0; ; {
		name, value, end, err := c.server.next(b, p, at, &c.protocol.responseInitials)
		switch {
		case err != nil:
			return err
		case name == nil:
			return c.responseBody(b)
		case c.Answering != nil:
			c.Answering.ResponseField(name, value)
		}
		if c.status == 101 && httpconv.Is(name, "upgrade") {
			c.turn().Token = strings.ToLower(string(value))
		}
		at = end
	}
}

// responseBody goes on after the head. RFC 9112 6.3.
func (c *conn) responseBody(b *stream.Buffer) error {
	h, x := &c.server, c.Answering
	switch {
	case c.interim: // RFC 9110 15.2: the final response is still to come
		if x, ok := c.Oldest(); ok && c.status == 100 && x == c.Sending {
			c.continued = true
		}
		h.begin()
		return nil
	case x != nil && c.status == 101 && c.Len() == 1:
		u := c.turn() // RFC 9110 15.2.2: it is answered in the other protocol
		u.Request, u.Else = x, c.successor()
		return u
	case x != nil && (c.status == 101 || x.Connect() && c.status < 300):
		// What follows is another protocol (RFC 9110 15.2.2, 9.3.6).
		x.Status = int(c.status)
		c.end(x, b.Past())
		c.endAll(exchange.Lost, b.Latest())
		if c.status == 101 {
			return c.successor()
		}
		return protocol.Tunnel
	case c.status == 204, c.status == 304, x != nil && x.Head():
		h.body = 0
		c.responseOver(b)
		return nil
	}
	h.size, h.body = 0, 0
	switch h.response(h.minor) {
	case none:
		c.responseOver(b)
	case sized:
		h.stage, h.body = inBody, h.length
		b.Discard(h.length)
	case chunked:
		h.stage = atChunk
	case tillClose:
		h.stage = tillEnd
		c.bodyAt = b.Pos()
	case ambiguous:
		return errResponseBody // Lost ends the exchange
	}
	return nil
}

// turn is what becomes known of the protocol that a 101 turns to.
func (c *conn) turn() *protocol.Upgrade {
	if c.upgrade == nil {
		c.upgrade = new(protocol.Upgrade)
	}
	return c.upgrade
}

// successor says what the connection is when nobody follows what it turned to.
func (c *conn) successor() protocol.Opaque {
	if c.turn().Token == "websocket" { // RFC 6455 4.1
		return protocol.WebSocket
	}
	return protocol.Upgraded
}

// responseOver goes on after the last byte of a response.
func (c *conn) responseOver(b *stream.Buffer) {
	if x := c.Answering; x != nil {
		x.ResponseBody = c.server.body
		c.end(x, b.Past())
	}
	c.server.begin()
	c.Completed(b)
}

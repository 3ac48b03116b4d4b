package http1

import (
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// versions are the values of network.protocol.version by the minor version.
var versions = [10]string{"1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8", "1.9"}

// requestLine reads the first line of a request and opens its exchange.
func (c *conn) requestLine(b *stream.Buffer) error {
	h := &c.client
	p := b.Bytes()
	if n := emptyLines(p); n > 0 { // RFC 9112 2.2: to be ignored before a request line
		b.Discard(int64(n))
		h.scanned = 0
		p = b.Bytes()
	}
	if len(p) == 0 {
		return nothing(b)
	}
	end, err := h.lineAt(b, p)
	if err == stream.ErrShort {
		if startsUnended(p, h.stage == astray) == protocol.No {
			return c.skip(h, b, errRequestLine)
		}
		return err
	}
	if err != nil { // the end of the line will not be seen
		if !startsLongRequest(p) {
			return c.skip(h, b, err)
		}
		x, openErr := c.open(b)
		if openErr != nil {
			return openErr
		}
		m := method(p)
		x.SetMethod(p[:m])
		x.SetCutTarget(p[m+1:])
		h.begin()
		h.stage = inFields
		return err
	}
	s, ok := requestLine(trimCR(p[:end-1]))
	if !ok || h.stage == astray && startsRequest(p[:end], true) != protocol.Yes {
		return c.skip(h, b, errRequestLine)
	}
	x, err := c.open(b)
	if err != nil {
		return err
	}
	x.SetMethod(s.method)
	x.SetTarget(s.target)
	x.Version = versions[s.minor-'0']
	h.begin()
	h.stage, h.minor, h.size = inFields, s.minor, end
	b.Discard(int64(end))
	return nil
}

// emptyLines returns how many line ends p begins with.
func emptyLines(p []byte) (n int) {
	for n < len(p) && (p[n] == '\r' || p[n] == '\n') {
		n++
	}
	return n
}

// open adds the exchange of the request that begins b.
func (c *conn) open(b *stream.Buffer) (*call, error) {
	x, err := c.Open(b)
	if err != nil {
		return nil, err
	}
	x.Reset(&c.protocol.options)
	return x, nil
}

// requestFields reads the rest of a head.
func (c *conn) requestFields(b *stream.Buffer) error {
	p := b.Bytes()
	for at := 0; ; {
		name, value, end, err := c.client.next(b, p, at, &c.protocol.requestInitials)
		switch {
		case err != nil:
			return err
		case name == nil:
			return c.requestBody(b)
		case c.Sending != nil:
			c.Sending.RequestField(name, value)
		}
		at = end
	}
}

// requestBody goes on after the head. RFC 9112 6.3.
func (c *conn) requestBody(b *stream.Buffer) error {
	h := &c.client
	if c.Sending != nil {
		c.Sending.Whole = true
	}
	kind := h.request(h.minor)
	switch {
	case kind == none:
		h.length = 0
		c.requestOver()
		return nil
	case kind == ambiguous:
		return errRequestBody // Lost marks the exchange
	case h.expects && h.minor != '0': // RFC 9110 10.1.1
		h.stage, c.continued = atBody, false
		return nil
	}
	c.startBody(b, kind)
	return nil
}

func (c *conn) startBody(b *stream.Buffer, kind body) {
	h := &c.client
	h.size, h.body = 0, 0
	if kind == chunked {
		h.stage = atChunk
		return
	}
	h.stage, h.body = inBody, h.length
	b.Discard(h.length)
}

// expectedBody goes on after a head with Expect: 100-continue. A client that
// got its final answer instead may leave the body out, whatever the head said.
func (c *conn) expectedBody(b *stream.Buffer) error {
	h := &c.client
	p := b.Bytes()
	if len(p) == 0 && (!b.Truncated() || c.refused()) {
		return nothing(b)
	}
	if c.refused() {
		switch startsRequest(p, true) {
		case protocol.Wait:
			return nothing(b) // nothing certain
		case protocol.Yes:
			c.requestOver()
			return nil
		}
	}
	c.startBody(b, h.request(h.minor))
	return nil
}

// requestOver goes on after the last byte of a request.
func (c *conn) requestOver() {
	if x := c.Sending; x != nil {
		x.RequestBody = c.client.body
		c.Weigh(x)
		c.Sending = nil
	}
	c.client.begin()
}

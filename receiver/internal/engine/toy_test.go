package engine_test

import (
	"bytes"
	"errors"
	"strconv"
	"sync"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/match"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// toy is the smallest protocol with bodies: "?name\n" asks, "!n\n" and n bytes
// answer, "X\n" turns the connection into something else. Where both begin with
// "(" it is recognised by the server's second answer.
type toy struct{ calls sync.Pool }

var _ protocol.Protocol = (*toy)(nil)

func newToy() *toy {
	return &toy{sync.Pool{New: func() any { return new(toyCall) }}}
}

func (*toy) Name() string { return "toy" }

func (*toy) Detect(client, server []byte) protocol.Verdict {
	switch {
	case len(client) > 0 && client[0] == '(' && bytes.Count(server, []byte("!")) < 2:
		return protocol.Wait
	case len(client) > 0 && (client[0] == '?' || client[0] == '('), len(server) > 0 && server[0] == '!':
		return protocol.Yes
	case len(client) == 0 && len(server) == 0:
		return protocol.Wait
	}
	return protocol.No
}

func (p *toy) NewConn(ep *exchange.Endpoint, emit func(exchange.Exchange)) protocol.Conn {
	return &toyConn{Table: match.NewTable[*toyCall](4, &p.calls, ep, emit)}
}

type toyCall struct {
	exchange.Core
	name []byte
}

func (c *toyCall) SpanName(*exchange.Strings) string { return "toy" }
func (c *toyCall) Attributes(m pcommon.Map, s *exchange.Strings) {
	m.PutStr("toy.name", s.Of(c.name))
}
func (c *toyCall) Size() int                 { return len(c.name) }
func (c *toyCall) Weight() int               { return int(unsafe.Sizeof(*c)) + cap(c.name) }
func (c *toyCall) Summary(dst []byte) []byte { return append(dst, c.name...) }

type toyConn struct {
	match.Table[*toyCall]
	answering bool
	lost      bool
}

var errToy = errors.New("toy: senseless")

func (c *toyConn) Client(b *stream.Buffer) error {
	for {
		line, err := line(b)
		if line == nil {
			return err
		}
		if line[0] != '?' {
			return errToy
		}
		x, ok := c.Open(0, b.Time())
		if !ok {
			c.EndAll(exchange.Evicted, b.Latest())
			return protocol.Abandoned
		}
		x.name = append(x.name[:0], line[1:]...)
		c.Weigh(x)
		b.Discard(int64(len(line)) + 1)
	}
}

func (c *toyConn) Server(b *stream.Buffer) error {
	for {
		if x, ok := c.Find(0); ok {
			x.Active = max(x.Active, b.Past())
		}
		if b.Owed() > 0 {
			return nil
		}
		if c.answering {
			c.End(0, exchange.Answered, b.Past())
			c.answering = false
		}
		line, err := line(b)
		if line == nil {
			return err
		}
		if line[0] == 'X' {
			c.EndAll(exchange.Answered, b.Latest())
			return protocol.Upgraded
		}
		n, err := strconv.Atoi(string(line[1:]))
		if line[0] != '!' || err != nil {
			return errToy
		}
		if c.Len() == 0 {
			return protocol.ErrEarly
		}
		c.answering = true
		b.Discard(int64(len(line) + 1 + n))
	}
}

func line(b *stream.Buffer) ([]byte, error) {
	if bytes.HasPrefix(b.Bytes(), []byte("(")) {
		b.Discard(1)
	}
	p := b.Bytes()
	if i := bytes.IndexByte(p, '\n'); i > 0 {
		return p[:i], nil
	} else if i == 0 {
		return nil, errToy
	}
	if b.Truncated() {
		return nil, stream.ErrHole
	}
	return nil, nil
}

func (c *toyConn) Lost(_ stream.Side, at stream.Time) error {
	c.EndAll(exchange.Lost, at)
	c.answering, c.lost = false, true
	return nil
}

func (c *toyConn) Ended(stream.Side, stream.Time)             {}
func (c *toyConn) Close(why exchange.Outcome, at stream.Time) { c.EndAll(why, at) }

func (c *toyConn) Shed(at stream.Time) {
	c.EndAll(exchange.Evicted, at)
	c.answering = false
}

// Framed takes each line and its body for a frame.
func (c *toyConn) Framed(stream.Side) bool { return !c.lost }

func (c *toyConn) Continues() bool { return false }
func (c *toyConn) Parts() bool     { return false }

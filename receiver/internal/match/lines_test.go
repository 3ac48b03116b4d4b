package match_test

import (
	"bytes"
	"errors"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/match"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// lines is the smallest protocol on a Queue: "?7\n" asks, "!7\n" answers it, and
// "-\n" wants no answer. That an answer says what it answers is for the test
// alone: the protocol does not look at it.
type lines struct {
	pool  sync.Pool
	sheds func() bool // whether a connection is to be shed now; nil: never
}

type lineCall struct {
	exchange.Core
	match.Place
	asked, answered string
}

func (*lineCall) SpanName(*exchange.Strings) string         { return "" }
func (*lineCall) Attributes(pcommon.Map, *exchange.Strings) {}
func (x *lineCall) Summary(dst []byte) []byte               { return append(dst, x.asked...) }
func (*lineCall) Size() int                                 { return 0 }
func (*lineCall) Weight() int                               { return 0 }

func newLines() *lines { return &lines{pool: sync.Pool{New: func() any { return new(lineCall) }}} }

func (*lines) Name() string                        { return "lines" }
func (*lines) Detect(_, _ []byte) protocol.Verdict { return protocol.Yes }
func (p *lines) NewConn(ep *exchange.Endpoint, emit func(exchange.Exchange)) protocol.Conn {
	c := &lineConn{Queue: match.NewQueue[*lineCall](64, &p.pool, ep, emit), of: p}
	c.Silent = true
	return c
}

type lineConn struct {
	match.Queue[*lineCall]
	of     *lines
	heavy  bool
	astray [2]bool
}

// Weight is too much now and then.
func (c *lineConn) Weight() int {
	if c.heavy {
		return tooMuch
	}
	return 0
}

func (c *lineConn) Shed(at stream.Time) {
	c.heavy = false
	c.Queue.Shed(at)
}

const tooMuch = 1 << 20

var errLine = errors.New("lines: senseless")

// line returns the message at the front of b, which begins with one of marks.
func (c *lineConn) line(side stream.Side, b *stream.Buffer, marks string) (string, error) {
	p := b.Bytes()
	if len(p) > 0 && strings.IndexByte(marks, p[0]) < 0 {
		if !c.astray[side] {
			return "", errLine
		}
		b.Reset() // the rest of what was lost
		return "", nil
	}
	c.astray[side] = c.astray[side] && len(p) == 0
	i := bytes.IndexByte(p, '\n')
	switch {
	case i >= 0:
		return string(p[:i]), nil
	case b.Truncated():
		return "", stream.ErrHole
	}
	return "", nil
}

func (c *lineConn) Client(b *stream.Buffer) error {
	c.heavy = c.of.sheds != nil && c.of.sheds()
	for {
		s, err := c.line(stream.Client, b, "?-")
		switch {
		case s == "":
			return err
		case s[0] == '-':
			err = c.Begin(b)
		default:
			var x *lineCall
			if x, err = c.Open(b); err == nil {
				x.asked, x.answered = s[1:], ""
				c.Sending = nil
			}
		}
		if err != nil {
			return err
		}
		b.Discard(int64(len(s) + 1))
	}
}

func (c *lineConn) Server(b *stream.Buffer) error { return c.Said(b, c.answers(b)) }

func (c *lineConn) answers(b *stream.Buffer) error {
	c.heavy = c.of.sheds != nil && c.of.sheds()
	if err := c.Resume(b); err != nil {
		c.astray[stream.Server] = true
		return err
	}
	for {
		s, err := c.line(stream.Server, b, "!")
		if s == "" {
			return err
		}
		pos := b.Pos()
		x, ok := c.Due(b)
		switch {
		case !ok:
			return protocol.ErrEarly
		case b.Pos() == pos:
			x.answered = s[1:]
			b.Discard(int64(len(s) + 1))
			c.Drop(x, exchange.Answered, b.Past())
			c.Completed(b)
		}
	}
}

func (c *lineConn) Lost(side stream.Side, at stream.Time) error {
	c.astray[side] = true
	if side == stream.Client {
		c.LostClient(true)
		return nil
	}
	return c.LostServer(at)
}

func (c *lineConn) Ended(stream.Side, stream.Time)             {}
func (c *lineConn) Close(why exchange.Outcome, at stream.Time) { c.EndAll(why, at) }

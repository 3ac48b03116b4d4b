package http2

import (
	"encoding/binary"
	"strconv"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// prefixLen is how long the prefix of a message of gRPC is: whether it is
// compressed, and its length in four bytes.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
const prefixLen = 5

// messages counts those of one direction of a gRPC call, by their prefixes.
type messages struct {
	n       int
	left    int64 // bytes of the one under way that are yet to come
	prefix  [prefixLen]byte
	have    int  // bytes of prefix
	unknown bool // where the next one begins
}

// take takes a piece of a prefix.
func (m *messages) take(p []byte) {
	if m.have += copy(m.prefix[m.have:], p); m.have < prefixLen {
		return
	}
	m.have = 0
	m.unknown = m.prefix[0] > 1
	m.left = int64(binary.BigEndian.Uint32(m.prefix[1:]))
	if m.left == 0 {
		m.n++
	}
}

// skip goes on by n bytes of the message under way.
func (m *messages) skip(n int64) {
	if m.left -= n; m.left == 0 {
		m.n++
	}
}

// walk goes through the DATA of a call from message to message, and reports
// whether it came to the end of the frame. Nothing but the prefixes is looked at.
func (c *conn) walk(h *half, b *stream.Buffer, side stream.Side) (done bool) {
	if h.left > 0 && b.Owed() == 0 {
		x := c.sending(h.stream, side, b.Latest())
		if x != nil && !x.messages[side].walk(h, b) {
			x.seen(b.Latest())
			return false
		}
		if x == nil || x.messages[side].unknown {
			b.Discard(int64(h.left))
			h.left = 0
		}
	}
	if h.left == 0 {
		b.Discard(int64(h.padding))
		h.padding = 0
	}
	return b.Owed() == 0
}

// walk goes from message to message. It reports false if it waits for the rest
// of a prefix.
func (m *messages) walk(h *half, b *stream.Buffer) bool {
	for h.left > 0 && b.Owed() == 0 && !m.unknown {
		if m.left > 0 {
			n := min(m.left, int64(h.left))
			b.Discard(n)
			m.skip(n)
			h.left -= int32(n)
			continue
		}
		n := min(prefixLen-m.have, int(h.left))
		p, err := b.Peek(n)
		if err == stream.ErrShort {
			return false
		}
		if m.unknown = err != nil; m.unknown {
			continue
		}
		m.take(p)
		b.Discard(int64(n))
		h.left -= int32(n)
	}
	return true
}

// countable reports whether the messages that side sends in x can be counted.
func (x *call) countable(side stream.Side) bool {
	return x.grpc.spoken && !x.blind[side] && !x.messages[side].unknown
}

// appendMessages appends how many messages went there and back, where there
// was a stream of them.
func (x *call) appendMessages(dst []byte) []byte {
	there, back := x.messages[stream.Client].n, x.messages[stream.Server].n
	if max(there, back) < 2 || !x.countable(stream.Client) || !x.countable(stream.Server) {
		return dst
	}
	dst = strconv.AppendInt(append(dst, ' '), int64(there), 10)
	dst = strconv.AppendInt(append(dst, '/'), int64(back), 10)
	return append(dst, " messages"...)
}

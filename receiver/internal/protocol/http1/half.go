package http1

import (
	"bytes"
	"errors"

	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Why bytes made no sense. The engine counts each by its text.
var (
	errRequestLine  = errors.New("http1: not a request line")
	errStatusLine   = errors.New("http1: not a status line")
	errHeadSize     = errors.New("http1: head too large")
	errChunk        = errors.New("http1: not a chunk")
	errRequestBody  = errors.New("http1: request body of unknown length")
	errResponseBody = errors.New("http1: response body of unknown length")
)

// stage is where in a message a side is.
type stage uint8

const (
	atStart    stage = iota // the next byte begins a message
	astray                  // after a loss: the next write may begin one
	inReason                // of a status line
	inFields                // of the head
	atBody                  // of a request that waits to be told to continue
	inBody                  // of known length; what is left is owed by the buffer
	atChunk                 // before a chunk's size
	inChunk                 // as inBody
	inTrailers              // after the last chunk
	tillEnd                 // the body ends with the connection
)

// half is one direction of a connection: it reads the frame of messages.
type half struct {
	stage   stage
	whole   bool  // whole messages may be among what was lost
	minor   byte  // version of the message
	folded  bool  // the line at the front of the buffer goes on in the next one
	scanned int32 // bytes at the front of the buffer that hold no line feed
	size    int   // bytes of the section that were consumed: of head or trailers
	body    int64
	unfolds *[]byte // memory for folded lines; nil before there is one
	framing
}

// begin starts over with the next message.
func (h *half) begin() { *h = half{unfolds: h.unfolds} }

// lineAt returns the end of the line that begins p, past its line feed. Bytes
// of p that do not change until the next call are looked at once.
func (h *half) lineAt(b *stream.Buffer, p []byte) (end int, err error) {
	if i := bytes.IndexByte(p[h.scanned:], '\n'); i >= 0 {
		end = int(h.scanned) + i + 1
		h.scanned = 0
		if h.size+end > maxHead {
			return 0, errHeadSize
		}
		return end, nil
	}
	h.scanned = int32(len(p))
	switch {
	case h.size+len(p) > maxHead:
		return 0, errHeadSize
	case b.Truncated():
		return 0, stream.ErrHole
	}
	return 0, stream.ErrShort
}

// fieldAt returns the line of a field that begins p, and its end past its line
// feed. An empty line ends the head.
func (h *half) fieldAt(b *stream.Buffer, p []byte) (line []byte, end int, err error) {
	if h.scanned == 0 { // nearly all lines: whole, not empty, the next one is there and no part of it
		end = bytes.IndexByte(p, '\n') + 1
		if end > 2 && end < len(p) && p[end] != ' ' && p[end] != '\t' && h.size+end <= maxHead {
			if p[end-2] == '\r' {
				return p[:end-2], end, nil
			}
			return p[:end-1], end, nil
		}
	}
	end, err = h.lineAt(b, p)
	if err != nil {
		return nil, 0, err
	}
	if end <= 2 && len(trimCR(p[:end-1])) == 0 {
		return nil, end, nil
	}
	// RFC 9112 5.2: a line that begins with whitespace continues the one before.
	for end == len(p) || p[end] == ' ' || p[end] == '\t' {
		h.scanned = int32(end - 1) // the line feed again
		if end == len(p) {
			if b.Truncated() {
				return nil, 0, stream.ErrHole
			}
			return nil, 0, stream.ErrShort
		}
		h.scanned, h.folded = int32(end), true
		end, err = h.lineAt(b, p)
		if err != nil {
			return nil, 0, err
		}
	}
	line = trimCR(p[:end-1])
	if h.folded {
		line = h.unfold(line)
		h.folded = false
	}
	return line, end, nil
}

// next returns the first field that begins in p at from or behind it and may be
// of interest, which those that begin otherwise than interesting are not, and
// its end. No name means that the head is over. With that, or an error, what
// was read is consumed.
func (h *half) next(b *stream.Buffer, p []byte, from int, interesting *httpconv.Initials) (name, value []byte, end int, err error) {
	for {
		line, end, err := h.fieldAt(b, p[from:])
		if err != nil {
			b.Discard(int64(from))
			return nil, nil, from, err
		}
		from += end
		h.size += end
		if line == nil {
			b.Discard(int64(from))
			return nil, nil, from, nil
		}
		if !interesting.Has(line) {
			continue
		}
		if name, value, ok := cut(line); ok {
			h.field(name, value)
			return name, value, from, nil
		}
	}
}

// unfold replaces every line end of a folded field, and the space around it,
// by one space. What it returns is valid until it is called again.
func (h *half) unfold(line []byte) []byte {
	const usual = 1 << 10 // more is not kept for the next one
	if h.unfolds == nil {
		h.unfolds = new([]byte)
	}
	out := (*h.unfolds)[:0]
	for more := true; more; {
		var part []byte
		part, line, more = bytes.Cut(line, []byte("\n"))
		if len(out) > 0 {
			out = append(out, ' ')
		}
		out = append(out, trimSpace(part)...)
	}
	if cap(out) <= usual {
		*h.unfolds = out
	}
	return out
}

// cut divides the line of a field. RFC 9112 5.1 forbids whitespace before the
// colon; peers differ in what they make of it.
func cut(line []byte) (name, value []byte, ok bool) {
	i := bytes.IndexByte(line, ':')
	if i <= 0 {
		return nil, nil, false
	}
	name, value = line[:i], trimSpace(line[i+1:])
	for c := name[len(name)-1]; c == ' ' || c == '\t'; c = name[len(name)-1] {
		if name = name[:len(name)-1]; len(name) == 0 {
			return nil, nil, false
		}
	}
	return name, value, true
}

// walk consumes what is there of a body and reports whether it is over.
func (h *half) walk(b *stream.Buffer) (over bool, err error) {
	for {
		switch h.stage {
		case inBody:
			if b.Owed() > 0 {
				return false, stream.ErrShort
			}
			return true, nil
		case inChunk:
			if b.Owed() > 0 {
				return false, stream.ErrShort
			}
			h.stage = atChunk
		case atChunk:
			if over, err := h.closing(b, "0\r\n\r\n"); over || err != nil {
				return over, err
			}
			p := b.Bytes()
			end, err := h.lineAt(b, p)
			if err != nil {
				return false, err
			}
			n, ok := chunkSize(trimCR(p[:end-1]))
			if !ok {
				return false, errChunk
			}
			b.Discard(int64(end))
			if n == 0 {
				h.stage, h.size = inTrailers, 0
				continue
			}
			h.body += n
			b.Discard(n + int64(len("\r\n")))
			h.stage = inChunk
		case inTrailers:
			if over, err := h.closing(b, "\r\n"); over || err != nil {
				return over, err
			}
			p := b.Bytes()
			end, err := h.lineAt(b, p)
			if err != nil {
				return false, err
			}
			b.Discard(int64(end))
			h.size += end
			if len(trimCR(p[:end-1])) == 0 {
				return true, nil
			}
		case tillEnd:
			b.Reset()
			return false, stream.ErrShort
		}
	}
}

// closing recognises the end of a chunked body in a hole: where exactly as many
// bytes are missing of a write as rest has, they were rest, since no shorter
// thing can follow and a longer one would have begun to show in the length.
// What comes next has to be the head of a message in any case.
func (h *half) closing(b *stream.Buffer, rest string) (over bool, err error) {
	p := b.Bytes()
	if !b.Truncated() || len(p) >= len(rest) || string(p) != rest[:len(p)] {
		return false, nil
	}
	b.Discard(int64(len(rest)))
	if b.Truncated() || b.Owed() > 0 {
		return false, stream.ErrHole
	}
	h.scanned = 0
	return true, nil
}

// chunkSize reads a chunk's first line. RFC 9112 7.1.
func chunkSize(line []byte) (n int64, ok bool) {
	i := 0
	for ; i < len(line); i++ {
		var d byte
		switch c := line[i]; {
		case c >= '0' && c <= '9':
			d = c - '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			d = c | 0x20 - 'a' + 10
		case (c == ';' || c == ' ' || c == '\t') && i > 0: // 7.1.1: extensions are ignored
			return n, true
		default:
			return 0, false
		}
		if n > maxBody/16 {
			return 0, false
		}
		n = n<<4 | int64(d)
	}
	return n, i > 0
}

package http1

import (
	"bytes"

	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// lineAt returns the end of the line that begins p, past its line feed. Where it
// has not come yet the next call must have the same bytes in front of others:
// those are not searched again.
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

// next returns the first field of p, which are the bytes of b, at from or behind
// it whose initial is an interesting one, and where it ends. It consumes nothing
// then; at the end of the head, which no name tells, and on an error it consumes
// what it has read.
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

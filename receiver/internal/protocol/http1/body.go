package http1

import "github.com/perisco-io/perisco/receiver/internal/stream"

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

// closing recognises the end of a chunked body in a hole. Where a write ends with
// the beginning of rest, or before it, and exactly the bytes that complete it are
// missing, they are taken for it: nothing that may stand here is shorter, and had
// more been said the write would be longer. What comes next has to be the head of
// a message in any case.
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

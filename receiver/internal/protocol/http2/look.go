package http2

import (
	"math"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// beyond is how many bytes there are where their end is not known.
const beyond = math.MaxInt64

// A sight is what bytes look like, taken for frames.
type sight struct {
	senseless bool
	frames    int  // whole ones
	exact     bool // the last of them ends with the bytes
	telling   bool // a header block begins as only the sender's can
}

// look takes p, the first of total bytes, for frames of sender.
func look(p []byte, sender stream.Side, total int64) (s sight) {
	within := uint32(0) // the stream whose header block is not over
	for at := 0; ; {
		rest := p[min(at, len(p)):]
		if len(rest) < headLen {
			s.exact = s.frames > 0 && int64(at) == total
			// A length as this cannot be.
			s.senseless = len(rest) > 0 && int(rest[0])<<16 > longest
			return s
		}
		f := parseFrame(rest)
		if !f.plausible(sender, rest[5]&0x80 != 0) || (f.kind == continuation) != (within != 0) || within != 0 && f.stream != within {
			s.senseless = true
			return s
		}
		if f.kind == headers || f.kind == pushPromise || f.kind == continuation {
			if within = f.stream; f.flags&endHeaders != 0 {
				within = 0
			}
		}
		if f.kind == headers {
			switch who, told := begins(rest, f); {
			case told && who != sender:
				s.senseless = true
				return s
			case told:
				s.telling = true
			}
		}
		at += headLen + f.length
		if int64(at) > total {
			return s
		}
		if at <= len(p) || total != beyond {
			s.frames++
		}
	}
}

// begins tells by the first field of a header block, in the frame that begins
// p, who sent it: pseudo-headers come first (RFC 9113 8.3) and have entries in
// the static table (RFC 7541 appendix A).
func begins(p []byte, f frame) (who stream.Side, told bool) {
	at := headLen
	if f.flags&padded != 0 {
		at++
	}
	if f.flags&hasPriority != 0 {
		at += priorityLen
	}
	if at >= len(p) || at >= headLen+f.length {
		return 0, false
	}
	const firstStatus, lastStatus = 8, 14
	var index byte
	switch b := p[at]; {
	case b&0x80 != 0:
		index = b & 0x7f
	case b&0x40 != 0:
		index = b & 0x3f
	case b&0x20 != 0: // a change of the table's size
		return 0, false
	default:
		index = b & 0x0f
	}
	switch {
	case index == 0:
		return named(p[at+1:])
	case index > lastStatus:
		return 0, false
	case index < firstStatus:
		return stream.Client, true
	}
	return stream.Server, true
}

// named is begins for a name that is spelled out, as the C core of gRPC does;
// in Huffman coding it does not tell.
func named(p []byte) (who stream.Side, told bool) {
	for _, name := range [...]string{":path", ":method", ":scheme", ":authority", ":status"} {
		if len(p) > len(name) && int(p[0]) == len(name) && string(p[1:1+len(name)]) == name {
			if name == ":status" {
				who = stream.Server
			}
			return who, true
		}
	}
	return 0, false
}

// aligned reports whether b, which begins a write, begins with a frame. Bytes
// that look like one whole frame are taken for it if the write ends with it;
// more are needed if not, or a stream that is open.
func (c *conn) aligned(b *stream.Buffer, sender stream.Side) bool {
	p := b.Bytes()
	if len(p) < headLen {
		return false
	}
	total := int64(b.End() - b.Pos())
	s := look(p, sender, total)
	switch {
	case s.senseless:
		return false
	case s.exact, s.frames >= 2, s.telling:
		return true
	}
	// Some write the header of a frame by itself. RFC 9113 5.1.1: no client
	// sends on a stream it has not opened.
	f := parseFrame(p)
	if total == headLen {
		return true
	}
	_, open := c.calls.Find(uint64(f.stream))
	return f.kind == data && open
}

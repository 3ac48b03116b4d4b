package exchange

import (
	"strings"
	"unicode/utf8"
)

const (
	chunk     = 1 << 10 // bytes of text that are allocated at once
	piece     = 256     // bytes of the longest string that shares them
	addresses = 64      // that are remembered: most machines talk to few others
)

// Strings makes the strings of spans and log records, many of them in one
// allocation. They stay valid; who keeps one keeps up to 1 KiB with it. The zero
// value is ready to use. Not safe for concurrent use.
type Strings struct {
	chunk     strings.Builder
	addresses [addresses]address // by the last bits
}

// address is the text of an IP address.
type address struct {
	of   Address // of any port
	text string
}

// Of returns a copy of p.
func (s *Strings) Of(p []byte) string {
	if len(p) > piece {
		return string(p)
	}
	if s.chunk.Cap()-s.chunk.Len() < len(p) {
		s.chunk.Reset()
		s.chunk.Grow(chunk)
	}
	from := s.chunk.Len()
	s.chunk.Write(p)
	return s.chunk.String()[from:]
}

// Valid returns p in UTF-8, as OTLP wants it.
func (s *Strings) Valid(p []byte) string {
	if utf8.Valid(p) {
		return s.Of(p)
	}
	return strings.ToValidUTF8(string(p), string(utf8.RuneError))
}

// Address returns the text of a valid address, without the port.
func (s *Strings) Address(a Address) string {
	known := &s.addresses[a.ip[15]%addresses]
	if known.of.ip != a.ip || known.of.bits != a.bits {
		var buf [64]byte
		*known = address{a, s.Of(a.Addr().AppendTo(buf[:0]))}
	}
	return known.text
}

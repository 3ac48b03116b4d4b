package protocoltest

import (
	"strings"

	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// A skim is what a source leaves out of one direction of a connection of which it
// knows the frames.
type skim struct {
	stream.Framing
	head []byte
	copy int // bytes to come that are wanted
	pass int // bytes behind them that are not
}

// wants reports whether the next byte, b, is wanted.
func (s *skim) wants(b byte) bool {
	switch {
	case s.copy > 0:
		s.copy--
		return true
	case s.pass > 0:
		s.pass--
		return false
	}
	if s.head = append(s.head, b); len(s.head) == s.HeadBytes {
		for _, b := range s.head[s.LengthAt : s.LengthAt+s.LengthBytes] {
			s.copy = s.copy<<8 | int(b)
		}
		if s.copy >= s.SkimFrom && s.Skims>>s.head[s.TypeAt]&1 == 1 {
			s.copy, s.pass = s.KeptBytes, s.copy-s.KeptBytes
		}
		s.head = s.head[:0]
	}
	return true
}

// split makes of a write what is reported of it. What is passed over at its beginning
// is told with what is behind that.
func (s *skim) split(write step) (steps []step) {
	gone := false
	piece := write
	piece.data = nil
	for _, b := range write.data {
		wanted := s.wants(b)
		switch {
		case !wanted || !gone:
		case len(piece.data) == 0:
			piece.passed, piece.missing = piece.missing, 0
		default:
			steps = append(steps, piece)
			piece.data, piece.passed, piece.missing = nil, 0, 0
		}
		if gone = !wanted; gone {
			piece.missing++
		} else {
			piece.data = append(piece.data, b)
		}
	}
	return append(steps, piece)
}

// skims leaves out what the protocol says that nobody wants, which must change
// nothing; and so much that it may.
func (c *checker) skims() {
	c.t.Helper()
	u, ok := c.protocols[0].(protocol.Unbroken)
	if !ok || u.Opening().Frames.SkimFrom == 0 || c.Joined || !c.sound() || !c.opens(u.Opening().Bytes) {
		return
	}
	for _, from := range []int{u.Opening().Frames.SkimFrom, u.Opening().Frames.KeptBytes + 1} {
		var by [2]skim
		for side := range by {
			by[side].Framing = u.Opening().Frames
			by[side].SkimFrom = from
		}
		by[stream.Client].copy = len(u.Opening().Bytes)
		var steps []step
		for _, s := range c.steps {
			if s.kind != send {
				steps = append(steps, s)
				continue
			}
			steps = append(steps, by[s.side].split(s)...)
		}
		r := c.play(steps)
		if r.counted != c.whole.counted || len(r.records) != len(c.whole.records) {
			c.t.Errorf("%s, skimmed from %d bytes on:\n%s\nwant:\n%s", sections[c.side], from, r, c.whole)
		}
		c.subset(r, "skimmed", steps)
		if got, want := r.String(), c.whole.String(); from == u.Opening().Frames.SkimFrom && got != want {
			c.t.Errorf("%s, skimmed:\n%s\nwant:\n%s", sections[c.side], got, want)
		}
	}
}

// opens reports whether the client begins with these bytes.
func (c *checker) opens(bytes string) bool {
	var said strings.Builder
	for _, s := range c.steps {
		if s.kind == send && s.side == stream.Client && said.Len() < len(bytes) {
			said.Write(s.data)
		}
	}
	return strings.HasPrefix(said.String(), bytes)
}

package http2_test

import (
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

func TestWhereFramesBeginIsToldOnlyIfItIsSure(t *testing.T) {
	l, c, s := begin(t, p, stream.Server)
	framed := func(want bool, when string) {
		t.Helper()
		if got := l.conn.(protocol.Framer).Framed(stream.Server); got != want {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	framed(true, "at the beginning")
	c.headers(1, true, get("/1")...)
	l.must(t, stream.Client, c.take())
	s.headers(1, false, ":status: 200")
	s.frame(data, 0, 1, make([]byte, 100)...)
	answer := s.take()
	l.must(t, stream.Server, answer[:50])
	framed(true, "within a body")
	l.must(t, stream.Server, answer[50:])
	_ = l.hear(stream.Server, answer[:5], 500)
	framed(false, "behind a hole")

	pings := func(n int) {
		for range n {
			s.frame(ping, 0, 0, make([]byte, 8)...)
			l.must(t, stream.Server, s.take())
		}
	}
	pings(7)
	framed(false, "behind seven frames")
	s.frame(200, 0, 0, 1, 2, 3) // of a kind that nobody knows
	l.must(t, stream.Server, s.take())
	pings(7)
	framed(false, "behind one that may be none")
	pings(1)
	framed(true, "behind eight frames")
}

func TestWhereFramesBeginIsNotToldWithinMessagesThatAreLookedFor(t *testing.T) {
	l, c, s := begin(t, p, stream.Server)
	c.headers(1, true, append(get("/shop/Buy"), "content-type: application/grpc")...)
	l.must(t, stream.Client, c.take())
	s.headers(1, false, ":status: 200", "content-type: application/grpc")
	s.frame(data, 0, 1, append([]byte{0, 0, 0, 0, 10}, make([]byte, 95)...)...)
	answer := s.take()
	l.must(t, stream.Server, answer[:len(answer)-85]) // the next message is yet to begin
	if l.conn.(protocol.Framer).Framed(stream.Server) {
		t.Error("told where a frame begins while a message is looked for")
	}
}

package http2_test

import (
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// miss makes a listener miss what a speaker has said.
func (l *listener) miss(side stream.Side, s *speaker) {
	_ = l.hear(side, nil, int64(len(s.take())))
}

func TestEveryRequestIsToldOrCountedOnce(t *testing.T) {
	tests := []struct {
		name       string
		joined     bool
		say        func(l *listener, c, s *speaker)
		told, lost int
	}{
		{
			name: "requests between two others",
			say: func(l *listener, c, s *speaker) {
				c.headers(1, true, get("/1")...)
				_ = l.hear(stream.Client, c.take(), 0)
				c.headers(3, true, get("/3")...)
				c.headers(5, true, get("/5")...)
				l.miss(stream.Client, c)
				c.headers(7, true, get("/7")...)
				_ = l.hear(stream.Client, c.take(), 0)
			},
			told: 2, lost: 2,
		},
		{
			name: "the last one, by its answer",
			say: func(l *listener, c, s *speaker) {
				c.headers(1, true, get("/1")...)
				l.miss(stream.Client, c)
				s.headers(1, false, ":status: 200")
				s.frame(data, endStream, 1, 1, 2, 3)
				_ = l.hear(stream.Server, s.take(), 0)
			},
			lost: 1,
		},
		{
			name: "one whose answer comes before the next request, and whose trailers come after it",
			say: func(l *listener, c, s *speaker) {
				c.headers(1, false, get("/1")...)
				l.miss(stream.Client, c)
				s.headers(1, true, ":status: 200")
				_ = l.hear(stream.Server, s.take(), 0)
				c.headers(3, true, get("/3")...)
				c.headers(1, true, "x-sum: 1")
				_ = l.hear(stream.Client, c.take(), 0)
			},
			told: 1, lost: 1,
		},
		{
			name: "one of which trailers are seen",
			say: func(l *listener, c, s *speaker) {
				c.headers(1, false, get("/1")...)
				l.miss(stream.Client, c)
				c.headers(1, true, "x-sum: 1")
				_ = l.hear(stream.Client, c.take(), 0)
			},
			lost: 1,
		},
		{
			name: "one whose fields are all unknown",
			say: func(l *listener, c, s *speaker) {
				fields := []string{":authority: books", ":path: /1"}
				c.headers(1, true, fields...)
				l.miss(stream.Client, c)
				c.headers(3, true, fields...)
				c.frame(rst, 0, 3, 0, 0, 0, 8)
				_ = l.hear(stream.Client, c.take(), 0)
			},
			lost: 2,
		},
		{
			name: "streams that are given a place and never opened",
			say: func(l *listener, c, s *speaker) {
				for id := byte(3); id < 13; id += 2 {
					c.frame(priority, 0, uint32(id), 0, 0, 0, 0, 1)
				}
				_ = l.hear(stream.Client, c.take(), 0)
				c.frame(settings, ack, 0)
				c.headers(13, true, get("/13")...)
				l.miss(stream.Client, c)
				c.headers(15, true, get("/15")...)
				_ = l.hear(stream.Client, c.take(), 0)
			},
			told: 1, lost: 1,
		},
		{
			name: "ids that are left out while nothing is missing",
			say: func(l *listener, c, s *speaker) {
				c.headers(3, true, get("/3")...)
				c.headers(99, true, get("/99")...)
				_ = l.hear(stream.Client, c.take(), 0)
			},
			told: 2,
		},
		{
			name: "more ids than what is missing has room for",
			say: func(l *listener, c, s *speaker) {
				c.frame(ping, 0, 0, make([]byte, 8)...)
				c.frame(ping, 0, 0, make([]byte, 8)...)
				l.miss(stream.Client, c)
				c.headers(1<<30+1, true, get("/")...)
				_ = l.hear(stream.Client, c.take(), 0)
			},
			told: 1, lost: 3,
		},
		{
			name: "what is pushed",
			say: func(l *listener, c, s *speaker) {
				c.headers(1, true, get("/1")...)
				_ = l.hear(stream.Client, c.take(), 0)
				c.frame(ping, 0, 0, make([]byte, 8)...)
				l.miss(stream.Client, c)
				s.frame(push, endHeaders, 1, append([]byte{0, 0, 0, 20}, s.encode(get("/style.css")...)...)...)
				s.headers(20, true, ":status: 200")
				_ = l.hear(stream.Server, s.take(), 0)
			},
			told: 1,
		},
		{
			name:   "a connection that is joined: nobody knows what was before",
			joined: true,
			say: func(l *listener, c, s *speaker) {
				s.headers(77, true, ":status: 200")
				_ = l.hear(stream.Server, s.take(), 0)
				c.headers(101, true, get("/101")...)
				_ = l.hear(stream.Client, c.take(), 0)
				c.headers(103, true, get("/103")...)
				l.miss(stream.Client, c)
				c.headers(105, true, get("/105")...)
				_ = l.hear(stream.Client, c.take(), 0)
			},
			told: 2, lost: 1,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, side := range []stream.Side{stream.Client, stream.Server} {
				var l *listener
				c, s := newSpeaker(), newSpeaker()
				if test.joined {
					l = listen(p, &exchange.Endpoint{Side: side})
				} else {
					l, c, s = begin(t, p, side)
				}
				test.say(l, c, s)
				l.conn.Close(exchange.Closed, l.now)
				if lost := int(l.lost["http2_request_not_captured"]); len(l.ends) != test.told || lost != test.lost || len(l.lost) > 1 {
					t.Errorf("%v: %d told, %v counted, want %d and %d: %q", side, len(l.ends), l.lost, test.told, test.lost, l.said)
				}
			}
		})
	}
}

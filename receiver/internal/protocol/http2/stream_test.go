package http2_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol/http2"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

var p = http2.New(httpconv.Options{BodySize: true})

// get is the head of a request for path.
func get(path string) []string {
	return []string{":method: GET", ":scheme: http", ":authority: books", ":path: " + path}
}

func TestFramesOfAllKinds(t *testing.T) {
	tests := []struct {
		name string
		say  func(client, server *speaker)
		want []string
	}{
		{
			name: "interim answers do not answer",
			say: func(c, s *speaker) {
				c.headers(1, true, get("/a")...)
				s.headers(1, false, ":status: 103", "link: </style.css>")
				s.headers(1, false, ":status: 100")
				s.headers(1, true, ":status: 204")
			},
			want: []string{"GET /a 204"},
		},
		{
			name: "trailers end both",
			say: func(c, s *speaker) {
				c.headers(1, false, get("/a")...)
				c.frame(data, 0, 1, []byte("body")...)
				c.headers(1, true, "x-sum: 1")
				s.headers(1, false, ":status: 200")
				s.frame(data, 0, 1, []byte("answer")...)
				s.headers(1, true, "x-sum: 2")
			},
			want: []string{"GET /a 200"},
		},
		{
			name: "padding, priority and continuation",
			say: func(c, s *speaker) {
				block := c.encode(get("/a")...)
				c.frame(headers, endStream|padded|hasPriority, 1, append(append([]byte{3, 0, 0, 0, 0, 16}, block[:2]...), 0, 0, 0)...)
				c.frame(continuation, 0, 1, block[2:5]...)
				c.frame(continuation, 0, 1)
				c.frame(continuation, endHeaders, 1, block[5:]...)
				c.frame(priority, 0, 1, 0, 0, 0, 0, 1)
				s.headers(1, true, ":status: 404")
			},
			want: []string{"GET /a 404"},
		},
		{
			name: "frames and settings that nobody knows",
			say: func(c, s *speaker) {
				c.frame(settings, 0, 0, 0xff, 0xff, 1, 2, 3, 4)
				c.frame(0x10, 0xff, 0, []byte("u=1")...)
				c.headers(1, true, get("/a")...)
				s.frame(0xbe, 0, 77, make([]byte, 300)...)
				s.frame(window, 0, 0, 0, 0, 1, 0)
				s.headers(1, true, ":status: 200")
			},
			want: []string{"GET /a 200"},
		},
		{
			name: "what is pushed answers nobody, and keeps the table in step",
			say: func(c, s *speaker) {
				c.headers(1, true, get("/a")...)
				s.frame(push, endHeaders, 1, append([]byte{0, 0, 0, 2}, s.encode(append(get("/style.css"), "x-pushed: yes")...)...)...)
				s.headers(2, false, ":status: 500", "x-pushed: yes")
				s.headers(1, true, ":status: 200", "x-pushed: yes")
				s.frame(data, endStream, 2, []byte("body")...)
			},
			want: []string{"GET /a 200"},
		},
		{
			name: "streams that one of the sides gives up",
			say: func(c, s *speaker) {
				for id := uint32(1); id < 9; id += 2 {
					c.headers(id, true, get(fmt.Sprint("/", id))...)
				}
				c.frame(rst, 0, 3, 0, 0, 0, 8)
				s.frame(rst, 0, 5, 0, 0, 0, 0xb)
				s.headers(7, false, ":status: 200")
				s.frame(rst, 0, 7, 0, 0, 0, 99)
				s.headers(1, true, ":status: 200")
				s.frame(rst, 0, 1, 0, 0, 0, 0) // after the end: nothing
			},
			want: []string{"GET /3 CANCEL", "GET /5 ENHANCE_YOUR_CALM", "GET /7 200 _OTHER", "GET /1 200"},
		},
		{
			name: "a server that goes away answers what it has begun",
			say: func(c, s *speaker) {
				for id := uint32(1); id < 9; id += 2 {
					c.headers(id, true, get(fmt.Sprint("/", id))...)
				}
				s.frame(goAway, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0)
				s.headers(3, true, ":status: 200")
				s.headers(1, true, ":status: 200")
			},
			want: []string{"GET /5 REFUSED_STREAM", "GET /7 REFUSED_STREAM", "GET /3 200", "GET /1 200"},
		},
		{
			name: "a server that says twice that it goes away",
			say: func(c, s *speaker) {
				c.headers(1, true, get("/1")...)
				s.frame(goAway, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0)
				s.frame(goAway, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0)
				s.headers(1, true, ":status: 200")
			},
			want: []string{"GET /1 200"},
		},
		{
			name: "tunnels are answered when they begin",
			say: func(c, s *speaker) {
				c.headers(1, false, ":method: CONNECT", ":authority: books:80")
				c.headers(3, false, ":method: CONNECT", ":protocol: websocket", ":scheme: http", ":path: /chat", ":authority: books")
				c.headers(5, false, ":method: CONNECT", ":authority: nowhere:80")
				s.headers(1, false, ":status: 200")
				s.headers(3, false, ":status: 200")
				s.headers(5, false, ":status: 502")
				s.frame(data, 0, 1, make([]byte, 100)...)
				s.frame(rst, 0, 1, 0, 0, 0, 8)
				s.frame(data, endStream, 3, make([]byte, 100)...)
				s.frame(data, endStream, 5, make([]byte, 100)...)
			},
			want: []string{"CONNECT 200", "CONNECT /chat 200", "CONNECT 502"},
		},
		{
			name: "an answer before the end of the request",
			say: func(c, s *speaker) {
				c.headers(1, false, ":method: POST", ":scheme: http", ":path: /up")
				c.frame(data, 0, 1, []byte("first")...)
				s.headers(1, true, ":status: 413")
				c.frame(data, endStream, 1, []byte("second")...)
			},
			want: []string{"POST /up 413"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l, c, s := begin(t, p, stream.Server)
			test.say(c, s)
			// Only now: what the client sends at all comes before the answers.
			l.must(t, stream.Client, c.take())
			l.must(t, stream.Server, s.take())
			if l.expect(t, test.want...); l.conn.Live() != 0 {
				t.Errorf("%d open", l.conn.Live())
			}
		})
	}
}

func TestABlockIsReadUpToItsBound(t *testing.T) {
	for _, size := range []int{60 << 10, 120 << 10, 200 << 10} {
		l, c, s := begin(t, p, stream.Server)
		block := c.encode(append(get("/a"), "x-large: "+strings.Repeat("<", size), "user-agent: me")...)
		c.frame(headers, endStream, 1, block[:16384]...)
		for block = block[16384:]; len(block) > 16384; block = block[16384:] {
			c.frame(continuation, 0, 1, block[:16384]...)
		}
		c.frame(continuation, endHeaders, 1, block...)
		l.must(t, stream.Client, c.take())
		s.headers(1, true, ":status: 200")
		l.must(t, stream.Server, s.take())
		want := "GET /a 200"
		if size > 128<<10 {
			want += " truncated"
		}
		l.expect(t, want)
	}
}

func TestAnAnswerWaitsForARequestThatIsReportedLater(t *testing.T) {
	l, c, s := begin(t, p, stream.Client)
	c.headers(1, true, get("/1")...)
	c.headers(3, true, get("/3")...)
	requests := c.take()
	s.headers(3, true, ":status: 404")
	s.headers(1, false, ":status: 200")
	l.must(t, stream.Server, s.take())
	l.expect(t)
	l.must(t, stream.Client, requests)
	l.expect(t, "GET /3 404")
	s.frame(data, endStream, 1, []byte("body")...)
	l.must(t, stream.Server, s.take())
	l.expect(t, "GET /3 404", "GET /1 200")

	// One whose request never comes is nobody's.
	s.headers(7, true, ":status: 200")
	l.must(t, stream.Server, s.take())
	c.headers(9, true, get("/9")...)
	l.must(t, stream.Client, c.take())
	s.headers(9, true, ":status: 200")
	l.must(t, stream.Server, s.take())
	l.conn.Close(exchange.Closed, l.now)
	l.expect(t, "GET /3 404", "GET /1 200", "GET /9 200")
}

func TestARequestBehindGOAWAYIsRefused(t *testing.T) {
	l, c, s := begin(t, p, stream.Server)
	c.headers(1, true, get("/1")...)
	l.must(t, stream.Client, c.take())
	s.frame(goAway, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0)
	l.must(t, stream.Server, s.take())
	c.headers(3, true, get("/3")...)
	l.must(t, stream.Client, c.take())
	s.headers(1, true, ":status: 200")
	l.must(t, stream.Server, s.take())
	l.expect(t, "GET /3 REFUSED_STREAM", "GET /1 200")
}

func TestAnAnswerThatIsLostBeforeItsRequestIsReportedIsNoError(t *testing.T) {
	l, c, s := begin(t, p, stream.Client)
	c.headers(1, true, get("/1")...)
	request := c.take()
	s.headers(1, true, ":status: 200")
	l.must(t, stream.Server, s.take())
	s.frame(ping, 0, 0, make([]byte, 8)...)
	l.miss(stream.Server, s)
	l.must(t, stream.Client, request)
	l.conn.Close(exchange.Closed, l.now)
	l.expect(t, "GET /1 lost truncated")
}

func TestDATAThatIsLostInsideItsFrameCostsNothing(t *testing.T) {
	l, c, s := begin(t, p, stream.Server)
	c.headers(1, true, get("/a")...)
	l.must(t, stream.Client, c.take())
	s.headers(1, false, ":status: 200")
	s.frame(data, 0, 1, make([]byte, 16384)...)
	s.frame(data, endStream, 1, make([]byte, 16384)...)
	whole := s.take()
	cut := len(whole) - 2*(9+16384) + 9 + 100
	if err := l.hear(stream.Server, whole[:cut], int64(16384-100)); err != nil {
		t.Fatal(err)
	}
	l.expect(t)
	if err := l.hear(stream.Server, whole[cut+16384-100:][:9], 16384); err != nil {
		t.Fatal(err)
	}
	l.expect(t, "GET /a 200")
}

func TestAfterALossWhatIsKnownIsTold(t *testing.T) {
	l, c, s := begin(t, p, stream.Server)
	c.headers(1, true, append(get("/1"), "user-agent: me")...)
	c.headers(3, true, append(get("/3"), "user-agent: me")...)
	c.headers(5, true, append(get("/5"), "user-agent: me")...)
	l.must(t, stream.Client, c.take())
	s.headers(1, false, ":status: 201")
	l.must(t, stream.Server, s.take())
	// Lost: the end of 1, all of 3.
	s.frame(data, endStream, 1, []byte("body")...)
	s.headers(3, true, ":status: 201")
	lost := s.take()
	if err := l.hear(stream.Server, nil, int64(len(lost))); err == nil {
		t.Error("no error")
	}
	s.headers(5, true, ":status: 404", "server: x")
	l.must(t, stream.Server, s.take())
	l.expect(t, "GET /5 404")
	c.headers(7, true, append(get("/7"), "user-agent: me")...) // nothing of the client's was lost
	l.must(t, stream.Client, c.take())
	s.headers(7, true, ":status: 201", "server: x") // its status is in the part of the table that is unknown
	l.must(t, stream.Server, s.take())
	c.headers(9, true, append(get("/9"), "user-agent: me")...)
	l.must(t, stream.Client, c.take())
	s.headers(9, true, ":status: 202")
	l.must(t, stream.Server, s.take())
	l.conn.Close(exchange.Closed, l.now)
	l.expect(t, "GET /5 404", "GET /7 lost truncated", "GET /9 202", "GET /1 201 lost truncated", "GET /3 lost truncated")
}

func TestOnlyUnknownFieldsOfARequestAreAbsent(t *testing.T) {
	l, c, s := begin(t, p, stream.Server)
	c.headers(1, true, get("/old")...)
	if err := l.hear(stream.Client, nil, int64(len(c.take()))); err == nil {
		t.Error("no error")
	}
	c.headers(3, true, get("/old")...)                              // its path and authority are in the table
	c.headers(5, true, get("/new")...)                              // its path is inserted now
	c.headers(7, true, append(get("/new"), "traceparent: 00-1")...) // and referred to
	l.must(t, stream.Client, c.take())
	for id := uint32(1); id < 9; id += 2 {
		s.headers(id, true, ":status: 200")
	}
	l.must(t, stream.Server, s.take())
	l.expect(t, "GET 200 truncated", "GET /new 200 truncated", "GET /new 200 truncated")
}

func TestGRPCIsToldByItsContentTypeAlone(t *testing.T) {
	post := []string{":method: POST", ":scheme: http", ":path: /shop.Cart/Add", "te: trailers"}
	tests := []struct {
		kind, status, want, failed string
	}{
		{"application/grpc", "0", "shop.Cart/Add OK", ""},
		{"application/grpc+proto", "5", "shop.Cart/Add NOT_FOUND", ""},
		{"application/grpc;charset=x", "13", "shop.Cart/Add INTERNAL", "INTERNAL"},
		{"application/grpc", "12", "shop.Cart/Add UNIMPLEMENTED", "UNIMPLEMENTED"},
		{"application/grpc", "99", "shop.Cart/Add _OTHER", "_OTHER"},
		{"application/grpc-web", "13", "POST /shop.Cart/Add 200", ""},
		{"application/grpc-web+proto", "13", "POST /shop.Cart/Add 200", ""},
		{"application/connect+proto", "13", "POST /shop.Cart/Add 200", ""},
		{"application/grpcx", "13", "POST /shop.Cart/Add 200", ""},
	}
	for _, test := range tests {
		l, c, s := begin(t, p, stream.Server)
		c.headers(1, false, append(post, "content-type: "+test.kind)...)
		c.frame(data, endStream, 1, 0, 0, 0, 0, 0)
		l.must(t, stream.Client, c.take())
		s.headers(1, true, ":status: 200", "content-type: "+test.kind, "grpc-status: "+test.status)
		l.must(t, stream.Server, s.take())
		l.expect(t, test.want)
		if len(l.ends) == 1 && l.ends[0].ErrorType != test.failed {
			t.Errorf("%s %s: error.type = %q", test.kind, test.status, l.ends[0].ErrorType)
		}
	}
}

func TestAStreamIsActiveWhileDATAFlows(t *testing.T) {
	l, c, s := begin(t, p, stream.Server)
	c.headers(1, true, get("/long")...)
	c.headers(3, true, get("/silent")...)
	l.must(t, stream.Client, c.take())
	s.headers(1, false, ":status: 200")
	s.frame(data, 0, 1, make([]byte, 1000)...)
	whole := s.take()
	l.must(t, stream.Server, whole[:len(whole)-500])
	before := l.now
	l.now += 1000
	l.must(t, stream.Server, whole[len(whole)-500:])
	l.conn.Expire(before, 0, l.now)
	l.expect(t, "GET /silent timeout")
	s.headers(3, true, ":status: 200") // too late
	s.frame(data, endStream, 1)
	l.must(t, stream.Server, s.take())
	l.expect(t, "GET /silent timeout", "GET /long 200")
}

func TestTheOldestStreamMakesRoom(t *testing.T) {
	l, c, _ := begin(t, p, stream.Server)
	for i := range uint32(8192 + 3) {
		c.headers(2*i+1, true, get("/a")...)
		l.must(t, stream.Client, c.take())
	}
	l.expect(t, "GET /a evicted truncated", "GET /a evicted truncated", "GET /a evicted truncated")
	if l.conn.Live() != 8192 {
		t.Errorf("%d open", l.conn.Live())
	}
}

package http2_test

import (
	"encoding/binary"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/protocol/http2"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/protocol/protocoltest"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// A loop is one exchange over and over: the bytes that each side sends, and
// where in them the ids of the streams stand.
type loop struct {
	conn  protocol.Conn
	bufs  [2]stream.Buffer
	pool  stream.Pool
	said  [2][]byte
	ids   [2][]int
	id    uint32
	ended int
}

func newLoop(t testing.TB, say func(c, s *speaker)) *loop {
	l := new(loop)
	c, s := newSpeaker(), newSpeaker()
	p := http2.New(httpconv.Options{})
	ep := &exchange.Endpoint{Side: stream.Server}
	l.conn = p.NewConn(ep, func(x exchange.Exchange) {
		if x.Base().Outcome == exchange.Answered && !x.Base().Truncated {
			l.ended++
		}
	})
	l.feed(t, stream.Client, []byte(preface))
	for range 2 { // the second time everything is in the tables
		say(c, s)
		l.said[stream.Client], l.said[stream.Server] = c.take(), s.take()
		for side, p := range l.said {
			l.ids[side] = l.ids[side][:0]
			for at := 0; at < len(p); at += 9 + int(p[at])<<16 + int(p[at+1])<<8 + int(p[at+2]) {
				if binary.BigEndian.Uint32(p[at+5:]) != 0 {
					l.ids[side] = append(l.ids[side], at+5)
				}
			}
		}
		l.round(t)
	}
	if l.ended != 2 {
		t.Fatalf("%d ended", l.ended)
	}
	return l
}

func (l *loop) feed(t testing.TB, side stream.Side, p []byte) {
	b := &l.bufs[side]
	b.Feed(stream.Chunk{Data: p, At: 1}, &l.pool)
	f := l.conn.Client
	if side == stream.Server {
		f = l.conn.Server
	}
	if err := f(b); err != nil {
		t.Fatal(err)
	}
	b.Settle()
}

func (l *loop) round(t testing.TB) {
	l.id += 2
	for side, p := range l.said {
		for _, at := range l.ids[side] {
			binary.BigEndian.PutUint32(p[at:], l.id-1)
		}
		l.feed(t, stream.Side(side), p)
	}
}

// loops are a call of gRPC and a request for a page, as grpc-go and a browser
// behind nginx make them.
var loops = []struct {
	name string
	say  func(c, s *speaker)
}{
	{"grpc", func(c, s *speaker) {
		c.headers(1, false, ":method: POST", ":scheme: http", ":path: /shop.Cart/Add", ":authority: cart:8080",
			"content-type: application/grpc", "user-agent: grpc-go/1.83.0", "te: trailers",
			"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
		c.frame(data, endStream, 1, message(60)...)
		s.frame(window, 0, 0, 0, 0, 0, 65)
		s.headers(1, false, ":status: 200", "content-type: application/grpc")
		s.frame(data, 0, 1, message(90)...)
		s.headers(1, true, "grpc-status: 0", "grpc-message: ")
	}},
	{"get", func(c, s *speaker) {
		c.headers(1, true, ":method: GET", ":scheme: http", ":path: /books/7?page=2", ":authority: books.example",
			"user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "accept: text/html",
			"accept-encoding: gzip, deflate", "accept-language: en", "cookie: session=0123456789abcdef")
		s.headers(1, false, ":status: 200", "server: nginx", "date: Mon, 23 Nov 2026 05:00:00 GMT", "content-type: text/html",
			"content-length: 3000", "last-modified: Mon, 23 Nov 2026 04:00:00 GMT", "etag: \"abc-def\"")
		s.frame(data, endStream, 1, make([]byte, 3000)...)
	}},
}

// message returns one of gRPC.
func message(n byte) []byte { return append([]byte{0, 0, 0, 0, n}, make([]byte, n)...) }

func TestSteadyStateAllocatesNothing(t *testing.T) {
	if protocoltest.RaceEnabled {
		t.Skip("sync.Pool forgets on purpose under the race detector")
	}
	for _, x := range loops {
		l := newLoop(t, x.say)
		if n := testing.AllocsPerRun(1000, func() { l.round(t) }); n > 0.1 { // a collection may empty the pool
			t.Errorf("%s: %v allocations an exchange", x.name, n)
		}
	}
}

func BenchmarkExchange(b *testing.B) {
	for _, x := range loops {
		b.Run(x.name, func(b *testing.B) {
			l := newLoop(b, x.say)
			b.ReportAllocs()
			for b.Loop() {
				l.round(b)
			}
		})
	}
}

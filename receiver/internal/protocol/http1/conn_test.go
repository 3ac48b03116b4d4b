package http1_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/protocol/http1"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// line drives one connection without an engine, for what a conversation
// cannot show: limits, clocks, and events that overtake each other.
type line struct {
	protocol.Conn
	client, server stream.Buffer
	at             stream.Time
	ended          []string
	attributes     []map[string]any
}

func newLine(o httpconv.Options, side stream.Side) *line {
	l := new(line)
	l.Conn = http1.New(o).NewConn(&exchange.Endpoint{Side: side}, func(x exchange.Exchange) {
		c := x.Base()
		l.ended = append(l.ended, fmt.Sprintf("%s %v %d..%d truncated=%v", x.Summary(nil), c.Outcome, c.Start, c.End, c.Truncated))
		m := pcommon.NewMap()
		x.Attributes(m, new(exchange.Strings))
		l.attributes = append(l.attributes, m.AsRaw())
	})
	return l
}

func (l *line) send(side stream.Side, data string, ack uint64) error {
	b, parse := &l.client, l.Client
	if side == stream.Server {
		b, parse = &l.server, l.Server
	}
	l.at++
	b.Feed(stream.Chunk{Data: []byte(data), At: l.at, Ack: ack}, nil)
	err := parse(b)
	b.Settle()
	return err
}

func (l *line) ask(data string) error    { return l.send(stream.Client, data, l.server.End()) }
func (l *line) answer(data string) error { return l.send(stream.Server, data, l.client.End()) }

func (l *line) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(l.ended, want) {
		t.Errorf("ended:\n%s\nwant:\n%s", strings.Join(l.ended, "\n"), strings.Join(want, "\n"))
	}
}

const (
	get = "GET /one HTTP/1.1\r\nHost: books.example\r\n\r\n"
	ok  = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
)

func TestAHeadPastTheLimitIsCutAndItsAnswerStillIts(t *testing.T) {
	l := newLine(httpconv.Options{}, stream.Server)
	err := l.ask("GET /large HTTP/1.1\r\nHost: books.example\r\n" + strings.Repeat("X-Filler: 0123456789\r\n", 2000))
	for range 5 {
		if err == nil {
			err = l.ask(strings.Repeat("X-Filler: 0123456789\r\n", 1000))
		}
	}
	if err == nil || !strings.Contains(err.Error(), "head too large") {
		t.Fatalf("err = %v", err)
	}
	l.client.Reset()
	if err := l.Lost(stream.Client, l.at); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.ask("X-Filler: and more of it\r\n\r\n"), l.answer("HTTP/1.1 431 Too Large\r\nContent-Length: 0\r\n\r\n"),
		l.ask(get), l.answer(ok)); err != nil {
		t.Fatal(err)
	}
	l.want(t, "GET /large 431 answered 1..4 truncated=true", "GET /one 200 answered 5..6 truncated=false")
}

func TestALineWithoutEndIsNotHeldForEver(t *testing.T) {
	l := newLine(httpconv.Options{}, stream.Server)
	for range 70 {
		if err := l.ask("GET /" + strings.Repeat("x", 1019)); err != nil {
			if held := len(l.client.Bytes()); held > 66<<10 {
				t.Errorf("%d bytes held", held)
			}
			return
		}
	}
	t.Error("nobody objected to a line of 70 KiB")
}

func TestMoreThanTheLimitOfOpenRequestsLeavesThemWithoutAnswers(t *testing.T) {
	l := newLine(httpconv.Options{}, stream.Server)
	for range 1025 {
		if err := l.ask(get); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.ended) != 1024 || !strings.Contains(l.ended[1023], "evicted") || l.Live() != 1 {
		t.Fatalf("%d ended, %d open", len(l.ended), l.Live())
	}
	for range 1025 {
		if err := l.answer(ok); !errors.Is(err, protocol.ErrUnpaired) {
			t.Fatal(err)
		}
		l.server.Reset()
	}
	l.ended = nil
	if err := errors.Join(l.ask(strings.Replace(get, "one", "two", 1)), l.answer(ok)); err != nil {
		t.Fatal(err)
	}
	l.want(t, "GET /one lost lost 1025..2050 truncated=true", "GET /two 200 answered 2051..2052 truncated=false")
}

func TestTheAnswerToAnExpiredRequestIsNotThatOfTheNext(t *testing.T) {
	l := newLine(httpconv.Options{}, stream.Server)
	if err := l.ask(get); err != nil {
		t.Fatal(err)
	}
	l.Expire(2, 0, 9)
	l.at = 10
	if err := errors.Join(l.ask(strings.Replace(get, "one", "two", 1)), l.answer("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"), l.answer(ok)); err != nil {
		t.Fatal(err)
	}
	l.want(t, "GET /one timeout expired 1..9 truncated=false", "GET /two 200 answered 11..13 truncated=false")
}

func TestTheThreadsOfAClientRace(t *testing.T) {
	l := newLine(httpconv.Options{}, stream.Client)
	if err := l.send(stream.Server, ok, uint64(len(get))); !errors.Is(err, protocol.ErrEarly) {
		t.Fatalf("err = %v", err)
	}
	if got := string(l.server.Bytes()); got != ok {
		t.Fatalf("held %q", got)
	}
	if err := errors.Join(l.send(stream.Client, get, uint64(len(ok))), l.Server(&l.server)); err != nil {
		t.Fatal(err)
	}
	l.want(t, "GET /one 200 answered 2..2 truncated=false")
}

func TestAnAnswerFromBeforeTheRequestIsNotIts(t *testing.T) {
	l := newLine(httpconv.Options{}, stream.Client)
	if err := l.send(stream.Server, ok, 0); !errors.Is(err, protocol.ErrEarly) {
		t.Fatalf("err = %v", err)
	}
	if err := errors.Join(l.ask(get), l.Server(&l.server)); err != nil || len(l.ended) != 0 {
		t.Fatalf("err = %v, ended %v", err, l.ended)
	}
	if err := l.answer(strings.Replace(ok, "200", "201", 1)); err != nil {
		t.Fatal(err)
	}
	l.want(t, "GET /one 201 answered 2..3 truncated=false")
}

func TestWhatTheUserAskedFor(t *testing.T) {
	o := httpconv.Options{
		RequestHeaders:  []string{"x-request-id", "accept", "authorization"},
		ResponseHeaders: []string{"content-type", "set-cookie"},
		BodySize:        true, ClientUserAgent: true,
	}
	l := newLine(o, stream.Client)
	err := errors.Join(
		l.ask("POST /one HTTP/1.1\r\nHost: books.example\r\nUser-Agent: shop/1\r\nX-Request-ID: 7\r\naccept: a\r\nAccept: b, c\r\n"+
			"Authorization: hidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"),
		l.answer("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nSet-Cookie: hidden\r\n\r\nfour"), l.answer(" more"))
	if err != nil {
		t.Fatal(err)
	}
	l.Ended(stream.Server, 9)
	l.want(t, "POST /one 200 answered 1..3 truncated=false")
	a := l.attributes[0]
	for k, want := range map[string]any{
		"http.request.header.x-request-id":  []any{"7"},
		"http.request.header.accept":        []any{"a", "b, c"},
		"http.response.header.content-type": []any{"text/plain"},
		"http.request.body.size":            int64(13),
		"http.response.body.size":           int64(9),
		"user_agent.original":               "shop/1",
	} {
		if got := fmt.Sprint(a[k]); got != fmt.Sprint(want) {
			t.Errorf("%s = %v, want %v", k, got, want)
		}
	}
	if strings.Contains(fmt.Sprint(a), "hidden") {
		t.Errorf("credentials in %v", a)
	}
}

func TestDetect(t *testing.T) {
	p := http1.New(httpconv.Options{})
	for _, c := range []struct {
		name, client, server string
		want                 protocol.Verdict
	}{
		{"a request", get, "", protocol.Yes},
		{"empty lines first", "\r\n\r\n" + get, "", protocol.Yes},
		{"a method that nobody knows", "BREW /pot HTTP/1.1\r\n", "", protocol.Yes},
		{"CONNECT", "CONNECT books.example:443 HTTP/1.1\r\n", "", protocol.Yes},
		{"half a method", "GE", "", protocol.Wait},
		{"half a target", "GET /boo", "", protocol.Wait},
		{"nearly a line", "GET /books HTTP/1.1\r", "", protocol.Wait},
		{"a very long target", "GET /" + strings.Repeat("x", 600), "", protocol.Yes},
		{"an answer alone", "", ok, protocol.Yes},
		{"half an answer", "", "HTTP/1", protocol.Wait},
		{"a request and its answer", get, ok, protocol.Yes},
		{"the sides swapped", ok, get, protocol.No},
		{"HTTP/0.9", "GET /\r\n", "", protocol.No},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", protocol.No},
		{"RTSP", "OPTIONS rtsp://books.example RTSP/1.0\r\n", "", protocol.No},
		{"SIP", "INVITE sip:a@books.example SIP/2.0\r\n", "", protocol.No},
		{"TLS", "\x16\x03\x01\x02\x00\x01", "", protocol.No},
		{"Redis", "*1\r\n$4\r\nPING\r\n", "", protocol.No},
		{"Redis in one line", "GET key\r\n", "", protocol.No},
		{"SMTP", "", "220 books.example ESMTP\r\n", protocol.No},
		{"prose", "the rest of a body", "", protocol.No},
		{"a request, and the server speaks something else", get, "+OK\r\n", protocol.No},
		{"nothing", "", "", protocol.Wait},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := p.Detect([]byte(c.client), []byte(c.server)); got != c.want {
				t.Errorf("verdict %v, want %v", got, c.want)
			}
		})
	}
}

package mysql

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const (
	ok       = "\x00\x00\x00\x02\x00\x00\x00"
	eof      = "\xfe\x00\x00\x02\x00"
	lastOK   = "\xfe\x00\x00\x02\x00\x00\x00"
	ping     = "\x0e"
	greeting = "\x0a8.4.3\x00\x01\x00\x00\x00abcdefgh\x00\xff\xff\xff\x02\x00\xff\xdf\x15\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00abcdefghijkl\x00caching_sha2_password\x00"
)

// told is what came out, a line for each exchange.
type told struct {
	lines []string
	attrs []map[string]any
}

func (o *told) emit(x exchange.Exchange) {
	m := pcommon.NewMap()
	x.Attributes(m, new(exchange.Strings))
	line := x.SpanName(new(exchange.Strings)) + " | " + string(x.Summary(nil))
	if x.Base().Truncated {
		line += " truncated"
	}
	o.lines = append(o.lines, line)
	o.attrs = append(o.attrs, m.AsRaw())
}

func (o *told) is(t *testing.T, want ...string) {
	t.Helper()
	if got := strings.Join(o.lines, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}

// login makes the handshake of a client with these capabilities.
func (p *peers) login(t *testing.T, wanted uint32) {
	t.Helper()
	wanted |= uint32(clientProtocol41 | clientSecure | clientConnectWithDB)
	p.answer(t, pack(0, greeting))
	r := string([]byte{byte(wanted), byte(wanted >> 8), byte(wanted >> 16), byte(wanted >> 24)}) +
		"\x00\x00\x00\x01\x21" + strings.Repeat("\x00", 23) + "me\x00\x06hidden" + "shop\x00"
	p.ask(t, pack(1, r))
	p.answer(t, pack(2, "\x01\x04")) // full authentication, of caching_sha2_password
	p.ask(t, pack(3, "hidden\x00"))  // in clear: the server is on this machine
	p.answer(t, pack(4, ok))
}

func TestAFullAuthenticationIsOneExchange(t *testing.T) {
	var o told
	p := newPeers(o.emit)
	p.login(t, 0)
	p.ask(t, pack(0, ping))
	p.answer(t, pack(1, ok))
	o.is(t, "CONNECT shop | CONNECT shop ok", "PING shop | PING ok")
	for _, a := range o.attrs {
		if strings.Contains(fmt.Sprint(a), "hidden") || a["db.system.name"] != "mysql" {
			t.Errorf("%v", a)
		}
	}
}

func TestARefusalInThePlaceOfAGreetingIsAFailedConnect(t *testing.T) {
	var o told
	p := newPeers(o.emit)
	p.answer(t, pack(0, "\xff\x10\x04Too many connections"))
	o.is(t, "CONNECT | CONNECT error 1040")
}

func TestRowsAreNotTakenForTheirEnd(t *testing.T) {
	for _, deprecated := range []bool{false, true} {
		var o told
		p := newPeers(o.emit)
		end, wanted, head := eof, uint32(0), []string{"\x02", column, column, eof}
		if deprecated {
			end, wanted, head = lastOK, uint32(clientDeprecateEOF), head[:3]
		}
		p.login(t, wanted)
		p.ask(t, pack(0, "\x03SELECT a, b FROM t"))
		p.answer(t, pack(1, append(head, "\x00\x00", "\x00\x04\xfe\xfe\xfe\xfe", "\xfb\xfb", "\x00\x00\x00\x00\x00\x00\x00", end)...))
		o.is(t, "CONNECT shop | CONNECT shop ok", "SELECT t | SELECT t ok 4 rows")
	}
}

func TestARowOf20MegabytesIsSteppedOver(t *testing.T) {
	for _, size := range []int{20 << 20, maxPayload, 2 * maxPayload} {
		var o told
		p := newPeers(o.emit)
		p.login(t, uint32(clientDeprecateEOF))
		p.ask(t, pack(0, "\x03SELECT notes FROM books"))
		p.answer(t, pack(1, "\x01", column))
		seq := byte(3)
		for rest := size; ; rest -= maxPayload {
			n := min(rest, maxPayload)
			p.answer(t, []byte{byte(n), byte(n >> 8), byte(n >> 16), seq})
			seq++
			for sent := 0; sent < n; sent += 1 << 16 {
				// As 16 MiB in one value begin: like the packet that ends the rows.
				piece := bytes.Repeat([]byte("\xfe"), min(1<<16, n-sent))
				p.answer(t, piece)
				if held := len(p.server.Bytes()); held > 0 {
					t.Fatalf("%d bytes are held", held)
				}
			}
			if n < maxPayload {
				break
			}
		}
		p.answer(t, pack(seq, "\x01x", lastOK))
		o.is(t, "CONNECT shop | CONNECT shop ok", "SELECT books | SELECT books ok 2 rows")
	}
}

func TestACommandOf20MegabytesIsOneExchange(t *testing.T) {
	var o told
	p := newPeers(o.emit)
	p.login(t, 0)
	text := "\x03INSERT INTO books (notes) VALUES ('"
	p.ask(t, append([]byte{0xff, 0xff, 0xff, 0}, text...))
	for sent := len(text); sent < maxPayload; {
		n := min(1<<16, maxPayload-sent)
		p.ask(t, bytes.Repeat([]byte("x"), n))
		sent += n
	}
	p.ask(t, pack(1, strings.Repeat("x", 100)+"')"))
	p.answer(t, pack(2, "\x00\x01\x00\x02\x00\x00\x00"))
	p.ask(t, pack(0, ping))
	p.answer(t, pack(1, ok))
	o.is(t, "CONNECT shop | CONNECT shop ok", "INSERT books | INSERT books ok 1 affected truncated", "PING shop | PING ok")
	if a := o.attrs[1]["db.query.text"]; a != "INSERT INTO books (notes) VALUES (?" {
		t.Errorf("%.100q", a)
	}
}

func TestReportsOnProgressAreNoErrors(t *testing.T) {
	var o told
	p := newPeers(o.emit)
	p.login(t, 0)
	p.ask(t, pack(0, "\x03ALTER TABLE books FORCE"))
	report := "\xff\xff\xff\x01\x01\x02\x00\x00\x00\x0bcopy to tmp"
	p.answer(t, pack(1, report, report))
	p.answer(t, pack(3, ok))
	o.is(t, "CONNECT shop | CONNECT shop ok", "ALTER TABLE books | ALTER TABLE books ok")
}

func TestAttributesStandBeforeTheTextOfAQuery(t *testing.T) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	var trace pcommon.TraceID
	var o told
	p := newPeers(func(x exchange.Exchange) { o.emit(x); trace = x.Base().Trace.ID })
	p.login(t, uint32(clientAttributes))
	p.ask(t, pack(0, "\x03\x00\x01SELECT 1 FROM a"))
	p.answer(t, pack(1, ok))
	// Three: a number, none, and a trace context.
	p.ask(t, pack(0, "\x03\x03\x01\x02\x01\x08\x00\x01n\x06\x00\x01z\xfe\x00\x0btraceparent"+"\x07\x00\x00\x00\x00\x00\x00\x00"+"\x37"+parent+"SELECT 1 FROM b"))
	p.answer(t, pack(1, ok))
	o.is(t, "CONNECT shop | CONNECT shop ok", "SELECT a | SELECT a ok", "SELECT b | SELECT b ok")
	if trace.String() != parent[3:35] {
		t.Errorf("trace %v", trace)
	}
}

func TestACommentAtTheEndOfAQueryPutsItIntoATrace(t *testing.T) {
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	const parent = "00-" + trace + "-00f067aa0ba902b7-01"
	for query, want := range map[string]string{
		"SELECT 1 FROM a /*action='list',traceparent='" + parent + "',tracestate='a%3D1'*/":       trace,
		"SELECT 1 FROM a /*traceparent='" + parent + "'*/ ;\n":                                    trace,
		"SELECT 1 FROM a /*traceparent='" + parent + "'*/ /*of another*/":                         "",
		"SELECT 1 FROM a /*traceparent='" + parent + "*/":                                         "",
		"SELECT 1 FROM a WHERE b = '/*traceparent=''" + parent + "''*/'":                          "",
		"SELECT 1 FROM a /*traceparent='00-" + strings.ToUpper(trace) + "-00f067aa0ba902b7-01'*/": "",
		"*/": "",
	} {
		var got pcommon.TraceID
		p := newPeers(func(x exchange.Exchange) { got = x.Base().Trace.ID })
		p.login(t, 0)
		p.ask(t, pack(0, "\x03"+query))
		p.answer(t, pack(1, ok))
		if (want != "" || !got.IsEmpty()) && got.String() != want {
			t.Errorf("%s: trace %v, want %q", query, got, want)
		}
	}
}

func TestTheSchemaInUseIsFollowed(t *testing.T) {
	var o told
	p := newPeers(o.emit)
	p.login(t, 0)
	for _, c := range []struct{ ask, answer string }{
		{"\x03USE `other`", ok},
		{ping, ok},
		{"\x03use missing", "\xff\x19\x04#42000Unknown database"},
		{ping, ok},
		{"\x02third", ok},
		{ping, ok},
		{"\x03SELECT 1", "\x00\x00\x00\x02\x40\x00\x00\x00\x09\x01\x07\x06fourth"}, // tracked
		{ping, ok},
		{"\x03DROP DATABASE other", "\x00\x00\x00\x02\x01\x00\x00"},
		{ping, ok},
		{"\x03DROP DATABASE fourth", "\x00\x00\x00\x02\x41\x00\x00\x00\x03\x01\x01\x00"}, // tracked
		{ping, ok},
	} {
		p.ask(t, pack(0, c.ask))
		p.answer(t, pack(1, c.answer))
	}
	var got []string
	for _, a := range o.attrs {
		got = append(got, fmt.Sprint(a["db.namespace"]))
	}
	if want := "shop other other other other third third third fourth fourth fourth fourth <nil>"; strings.Join(got, " ") != want {
		t.Errorf("%v\nwant %v", got, want)
	}
}

func TestAConnectionThatWasJoinedShowsWhatWasAgreedOn(t *testing.T) {
	for _, end := range []string{eof, lastOK} {
		var o told
		p := newPeers(o.emit)
		head := []string{"\x01", column}
		if end == eof {
			head = append(head, eof)
		}
		p.ask(t, pack(0, "\x16SELECT id FROM books WHERE id > ?"))
		prepared := []string{"\x00\x07\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00", column}
		if end == eof {
			prepared = append(prepared, eof)
		}
		p.answer(t, pack(1, prepared...))
		p.ask(t, pack(0, "\x17\x07\x00\x00\x00\x00\x01\x00\x00\x00"))
		p.answer(t, pack(1, append(head, "\x00\x00\x01\x00\x00\x00", end)...))
		p.ask(t, pack(0, "\x17\x08\x00\x00\x00\x00\x01\x00\x00\x00"))
		p.answer(t, pack(1, append(head, end)...))
		o.is(t, "PREPARE SELECT books | PREPARE SELECT books ok", "SELECT books | SELECT books ok 1 row", "EXECUTE | EXECUTE ok 0 rows truncated")
	}
}

func TestTLSIsLeftAloneAtOnce(t *testing.T) {
	p := newPeers(func(exchange.Exchange) { t.Error("an exchange") })
	p.answer(t, pack(0, greeting))
	p.client.Feed(stream.Chunk{Data: pack(1, "\x05\xae\xff\x01\x00\x00\x00\x01\xff"+strings.Repeat("\x00", 23)), Ack: p.server.End()}, nil)
	if err := p.conn.Client(&p.client); !errors.Is(err, protocol.Encrypted) {
		t.Error(err)
	}
}

func TestThePreparedStatementsOfAConnectionAreBounded(t *testing.T) {
	var s statements
	text, evicted := bytes.Repeat([]byte("x"), maxText), uint64(0)
	for id := range uint32(4 * maxStatements) {
		evicted += s.put(id, text, false, 1)
		s.get(0)
	}
	if evicted != uint64(4*maxStatements-len(s.byID)) {
		t.Errorf("%d evicted, %d of %d are left", evicted, len(s.byID), 4*maxStatements)
	}
	if s.bytes > maxPrepared || len(s.byID) > maxStatements || s.get(0) == nil {
		t.Errorf("%d bytes, %d statements", s.bytes, len(s.byID))
	}
	s.clear()
	if s.bytes != 0 || len(s.byID) != 0 || s.spare > maxSpare {
		t.Errorf("%d bytes, %d statements, %d spare", s.bytes, len(s.byID), s.spare)
	}
}

func TestStatementsWeighWhatTheyTake(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var s statements
	for range 20_000 {
		switch id := uint32(r.IntN(600)); r.IntN(50) {
		case 0:
			s.clear()
		case 1:
			s.shrink()
		case 2, 3, 4, 5, 6, 7, 8, 9:
			s.remove(id)
		case 10, 11, 12:
			s.get(id)
		default:
			s.put(id, bytes.Repeat([]byte("SELECT 1 "), r.IntN(400)), false, 0)
		}
		want := 0
		for _, st := range s.byID {
			want += st.weight()
		}
		for st := s.free; st != nil; st = st.newer {
			want += st.weight()
		}
		if s.weight != want {
			t.Fatalf("%d bytes, want %d", s.weight, want)
		}
	}
}

func TestForgottenStatementsAreAbsent(t *testing.T) {
	var o told
	p := newPeers(o.emit)
	lost := make(map[string]uint64)
	p.conn.Account(func(reason string, n uint64) { lost[reason] += n })
	p.ask(t, pack(0, "\x16SELECT id FROM books WHERE id > ?"))
	p.answer(t, pack(1, "\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	p.ask(t, pack(0, "\x17\x07\x00\x00\x00\x00\x01\x00\x00\x00"))
	p.answer(t, pack(1, ok))
	p.ask(t, pack(0, "\x17\x07\x00\x00\x00\x00\x01\x00\x00\x00"))
	p.conn.Shed(0)
	if n := p.conn.Weight(); n != 0 {
		t.Errorf("%d bytes are kept", n)
	}
	p.ask(t, pack(0, "\x17\xff\xff\xff\xff\x00\x01\x00\x00\x00")) // the one that was prepared last
	o.is(t, "PREPARE SELECT books | PREPARE SELECT books ok", "SELECT books | SELECT books ok", "SELECT books | SELECT books evicted truncated")
	p.conn.Close(exchange.Lost, 0)
	o.is(t, append(o.lines[:3:3], "EXECUTE | EXECUTE lost truncated")...)
	if lost[statementEvicted] != 1 {
		t.Errorf("counted: %v", lost)
	}
}

func TestQueryTextIsWhatTheUserChose(t *testing.T) {
	for text, want := range map[QueryText]any{Sanitized: "SELECT ?", Raw: "SELECT 'hidden'", Off: nil} {
		var o told
		p := &peers{}
		p.conn = New(Options{QueryText: text}).NewConn(&exchange.Endpoint{}, o.emit).(*conn)
		p.ask(t, pack(0, "\x03SELECT 'hidden'"))
		p.answer(t, pack(1, ok))
		if got := o.attrs[0]["db.query.text"]; got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if err := (Options{QueryText: "some"}).Check(); err == nil {
		t.Error("some is valid")
	}
}

func TestWhatAServerSaysOnLeavingBelongsToNoCommand(t *testing.T) {
	var o told
	p := newPeers(o.emit)
	p.login(t, 0)
	p.answer(t, pack(0, "\xff\xbf\x0f#HY000The client was disconnected by the server because of inactivity."))
	p.conn.Close(exchange.Closed, 9)
	o.is(t, "CONNECT shop | CONNECT shop ok")
}

func TestAnAnswerWhoseBeginningWasLostEndsWithTheNextCommand(t *testing.T) {
	var o told
	p := newPeers(o.emit)
	p.login(t, 0)
	p.ask(t, pack(0, "\x03SELECT a FROM t"))
	missing := int64(100)
	p.server.Feed(stream.Chunk{Missing: missing, Ack: p.client.End()}, nil)
	if err := p.conn.Server(&p.server); !errors.Is(err, stream.ErrHole) {
		t.Fatal(err)
	}
	p.server.Reset()
	if err := p.conn.Lost(stream.Server, 1); err != nil {
		t.Fatal(err)
	}
	// Rows, and one of them looks like the answer to a command.
	p.server.Feed(stream.Chunk{Data: pack(1, "\x00\x00\x00\x02\x00\x00\x00", "\x01b", eof), Ack: p.client.End()}, nil)
	if err := p.conn.Server(&p.server); !errors.Is(err, protocol.ErrUnpaired) {
		t.Fatal(err)
	}
	p.server.Reset()
	if len(o.lines) != 1 || p.conn.Live() != 1 {
		t.Errorf("%d open, %v", p.conn.Live(), o.lines)
	}
	p.ask(t, pack(0, ping))
	p.answer(t, pack(1, ok))
	o.is(t, "CONNECT shop | CONNECT shop ok", "SELECT t | SELECT t lost truncated", "PING shop | PING ok")
}

func TestAnAnswerThatWasLostIsNoTimeout(t *testing.T) {
	var o told
	p := newPeers(o.emit)
	p.login(t, 0)
	p.ask(t, pack(0, ping))
	p.server.Feed(stream.Chunk{Missing: 11, Ack: p.client.End()}, nil)
	_ = p.conn.Server(&p.server)
	p.server.Reset()
	_ = p.conn.Lost(stream.Server, 1)
	p.conn.Expire(100, 0, 100)
	o.is(t, "CONNECT shop | CONNECT shop ok", "PING shop | PING lost truncated")
}

// lose is a hole of n bytes in what side sent.
func (p *peers) lose(t *testing.T, side stream.Side, n int64) {
	t.Helper()
	b, peer, parse := &p.client, &p.server, p.conn.Client
	if side == stream.Server {
		b, peer, parse = peer, b, p.conn.Server
	}
	b.Feed(stream.Chunk{Missing: n, Ack: peer.End()}, nil)
	if err := parse(b); !errors.Is(err, stream.ErrHole) {
		t.Fatal(err)
	}
	b.Reset()
	if err := p.conn.Lost(side, 1); err != nil {
		t.Fatal(err)
	}
}

func TestALostCommandThatHasNoAnswerCostsNothing(t *testing.T) {
	for _, pipelined := range []bool{false, true} {
		var o told
		p := newPeers(o.emit)
		p.login(t, 0)
		if pipelined {
			p.ask(t, append(pack(0, ping), pack(0, ping)...))
			p.answer(t, append(pack(1, ok), pack(1, ok)...))
		}
		p.lose(t, stream.Client, 9) // COM_STMT_CLOSE
		p.ask(t, pack(0, ping))
		p.server.Feed(stream.Chunk{Data: pack(1, ok), Ack: p.client.End()}, nil)
		switch err := p.conn.Server(&p.server); {
		case !pipelined && err != nil:
			t.Fatal(err)
		case pipelined && !errors.Is(err, protocol.ErrUnpaired): // it may have been another command
			t.Fatal(err)
		}
		p.server.Reset()
		p.ask(t, pack(0, "\x03SELECT 1"))
		p.answer(t, pack(1, ok))
		want := []string{"CONNECT shop | CONNECT shop ok"}
		if pipelined {
			want = append(want, "PING shop | PING ok", "PING shop | PING ok", "PING | PING lost truncated")
		} else {
			want = append(want, "PING | PING ok truncated")
		}
		o.is(t, append(want, "SELECT | SELECT ok truncated")...)
	}
}

package mysql

import (
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// pack puts a header before every payload.
func pack(seq byte, payloads ...string) (p []byte) {
	for _, s := range payloads {
		p = append(p, byte(len(s)), byte(len(s)>>8), byte(len(s)>>16), seq)
		p = append(p, s...)
		seq++
	}
	return p
}

const column = "\x03def\x04shop\x05books\x05books\x02id\x02id\x0c\x3f\x00\x0b\x00\x00\x00\x03\x03\x42\x00\x00\x00"

// A query, and ten rows of two columns.
var (
	benchQuery  = pack(0, "\x03SELECT id, title FROM books WHERE shelf = 7 ORDER BY title LIMIT 10")
	benchAnswer = func() []byte {
		packets := []string{"\x02", column, column, "\xfe\x00\x00\x02\x00"}
		for range 10 {
			packets = append(packets, "\x012\x0fLeaves of Grass")
		}
		return pack(1, append(packets, "\xfe\x00\x00\x02\x00")...)
	}()
	benchInsert   = pack(0, "\x03INSERT INTO books (title) VALUES ('Emma')")
	benchInserted = pack(1, "\x00\x01\x07\x02\x00\x00\x00")
	benchMissing  = pack(1, "\xff\x7a\x04#42S02Table 'shop.missing' doesn't exist")
)

// A peers is both ends of a connection.
type peers struct {
	conn           *conn
	client, server stream.Buffer
	pool           stream.Pool
}

func newPeers(emit func(exchange.Exchange)) *peers {
	p := new(peers)
	ep := &exchange.Endpoint{Side: stream.Server}
	p.conn = New(DefaultOptions()).NewConn(ep, emit).(*conn)
	return p
}

func (p *peers) ask(t testing.TB, data []byte) {
	p.client.Feed(stream.Chunk{Data: data, Ack: p.server.End()}, &p.pool)
	if err := p.conn.Client(&p.client); err != nil {
		t.Fatal(err)
	}
	p.client.Settle()
}

func (p *peers) answer(t testing.TB, data []byte) {
	p.server.Feed(stream.Chunk{Data: data, Ack: p.client.End()}, &p.pool)
	if err := p.conn.Server(&p.server); err != nil {
		t.Fatal(err)
	}
	p.server.Settle()
}

// BenchmarkExchange is what a query and its ten rows cost here: parsed, paired,
// handed out.
func BenchmarkExchange(b *testing.B) {
	n := 0
	p := newPeers(func(exchange.Exchange) { n++ })
	b.ReportAllocs()
	for b.Loop() {
		p.ask(b, benchQuery)
		p.answer(b, benchAnswer)
	}
	if n != b.N {
		b.Fatalf("%d exchanges of %d", n, b.N)
	}
}

// BenchmarkSummary is what the two lines that tell of it cost.
func BenchmarkSummary(b *testing.B) {
	var line []byte
	p := newPeers(func(x exchange.Exchange) { line = x.Summary(line[:0]) })
	b.ReportAllocs()
	for b.Loop() {
		p.ask(b, benchQuery)
		p.answer(b, benchAnswer)
	}
	if string(line) != "SELECT books ok 10 rows" {
		b.Fatalf("%q", line)
	}
}

// BenchmarkPrepared is what an execution of a prepared statement costs with
// its line.
func BenchmarkPrepared(b *testing.B) {
	var line []byte
	p := newPeers(func(x exchange.Exchange) { line = x.Summary(line[:0]) })
	p.ask(b, pack(0, "\x16SELECT id, title FROM books WHERE shelf = ? ORDER BY title LIMIT 10"))
	p.answer(b, pack(1, "\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	execute := pack(0, "\x17\x01\x00\x00\x00\x00\x01\x00\x00\x00")
	b.ReportAllocs()
	for b.Loop() {
		p.ask(b, execute)
		p.answer(b, benchInserted)
	}
	if string(line) != "SELECT books ok 1 affected" {
		b.Fatalf("%q", line)
	}
}

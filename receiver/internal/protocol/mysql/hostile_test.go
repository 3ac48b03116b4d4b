package mysql

import (
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/protocol/protocoltest"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

type send = func(side stream.Side, data string)

// packet returns one with a payload, and one that only says how long it is.
func packet(seq byte, payload string) string { return long(len(payload), seq) + payload }

func long(size int, seq byte) string {
	return string([]byte{byte(size), byte(size >> 8), byte(size >> 16), seq})
}

const (
	done  = "\x00\x00\x00\x02\x00\x00\x00" // an OK packet
	more  = "\x00\x00\x00\x0a\x00\x00\x00" // and more results follow
	gone  = "\x00\x00\x00\x02\x01\x00\x00" // and a schema was dropped
	last  = "\xfe\x00\x00\x02\x00"         // an EOF packet
	row   = "\x01a"
	field = "\x03def\x00\x00\x00\x01a\x00\x0c\x3f\x00\x01\x00\x00\x00\x08\x81\x00\x00\x00\x00"
)

// ask and say are one message of the client's, and one of the server's.
func ask(send send, payload string)           { send(stream.Client, packet(0, payload)) }
func say(send send, seq byte, payload string) { send(stream.Server, packet(seq, payload)) }

// begin shows that it is MySQL.
func begin(send send) {
	ask(send, "\x0e") // ping
	say(send, 1, done)
}

func query(n int) string { return "\x03SELECT " + strings.Repeat("/* x */ ", n/8) + "1" }

var attacks = []protocoltest.Attack{
	{Name: "millions of columns", Times: 1000, Peers: func(n int, send send) {
		begin(send)
		for range n {
			ask(send, "\x03SELECT 1")
			say(send, 1, "\xfd\xff\xff\xff")
			ask(send, "\x03SELECT 1")
			say(send, 1, "\xfe\xff\xff\xff\xff\xff\xff\xff\xff")
		}
	}},
	{Name: "columns and rows without an end", Times: 1000, Peers: func(n int, send send) {
		begin(send)
		ask(send, "\x03SELECT 1")
		say(send, 1, "\xfc\x00\x10")
		seq := byte(2)
		for i := range n {
			text := ""
			for range 100 {
				if i < 41 {
					text += packet(seq, field)
				} else {
					text += packet(seq, row)
				}
				seq++
			}
			send(stream.Server, text)
		}
	}},
	{Name: "results without an end", Times: 1000, Peers: func(n int, send send) {
		begin(send)
		ask(send, "\x02shop")
		say(send, 1, done)
		ask(send, query(4000))
		seq := byte(1)
		for range n {
			text := ""
			for range 50 {
				text += packet(seq, more)
				seq++
			}
			send(stream.Server, text)
		}
	}},
	{Name: "packets of 16 MiB, and messages of several", Times: 500, Peers: func(n int, send send) {
		begin(send)
		for range n {
			send(stream.Client, long(maxPayload, 0)+"\x03SELECT '"+strings.Repeat("x", 16<<10))
			send(stream.Client, strings.Repeat("x", 16<<10))
			send(stream.Server, long(maxPayload, 1)+"\xff"+strings.Repeat("x", 16<<10))
		}
	}},
	{Name: "a statement of 16 MiB", Times: 2, Peers: func(n int, send send) {
		begin(send)
		for range n {
			send(stream.Client, packet(0, "\x03SELECT "+strings.Repeat("/*", 4<<20)))
			say(send, 1, done)
		}
	}},
	{Name: "a statement byte by byte", Times: 10_000, Peers: func(n int, send send) {
		begin(send)
		for _, c := range []byte(packet(0, query(n))) {
			send(stream.Client, string([]byte{c}))
		}
	}},
	{Name: "prepared statements without an end", Times: 2000, Kept: maxPrepared + maxStatements*1024, Peers: func(n int, send send) {
		begin(send)
		for i := range n {
			ask(send, "\x16SELECT ?, "+strings.Repeat("x", 3000))
			id := binary.LittleEndian.AppendUint32([]byte{0}, uint32(i))
			say(send, 1, string(id)+"\x00\x00\xff\xff\x00\x00\x00")
		}
	}},
	{Name: "prepared statements that are never closed, and have no parameters", Times: 2000, Kept: maxPrepared + maxStatements*1024, Peers: func(n int, send send) {
		begin(send)
		for i := range n {
			ask(send, "\x16SELECT "+strings.Repeat("x", 3000))
			id := binary.LittleEndian.AppendUint32([]byte{0}, uint32(i))
			say(send, 1, string(id)+"\x00\x00\x00\x00\x00\x00\x00")
		}
	}},
	{Name: "attributes that are announced", Times: 2000, Peers: func(n int, send send) {
		begin(send)
		for range n {
			ask(send, "\x03\xfc\x00\x10\x01"+strings.Repeat("\x00", 512)+"\x01")
			say(send, 1, done)
		}
	}},
	{Name: "batches of many parameters", Times: 500, Kept: maxPrepared, Peers: func(n int, send send) {
		begin(send)
		ask(send, "\x16INSERT INTO t VALUES (?)")
		say(send, 1, "\x00\x01\x00\x00\x00\x00\x00\xff\x1f\x00\x00\x00")
		for range n {
			ask(send, "\xfa\x01\x00\x00\x00\x80\x00"+strings.Repeat("\x06", 16_300))
			say(send, 1, done)
		}
	}},
	{Name: "ten thousand pipelined statements", Times: 2500, Kept: maxOpen * 12 << 10, Peers: func(n int, send send) {
		begin(send)
		for range n {
			ask(send, query(4000))
		}
		for range n {
			send(stream.Server, "x") // no answer
		}
	}},
	{Name: "schemas that are dropped without an end", Times: 1000, Peers: func(n int, send send) {
		begin(send)
		ask(send, "\x02"+strings.Repeat("x", 200)+"y")
		say(send, 1, done)
		for range n {
			ask(send, "\x03"+strings.Repeat("x", 4000))
			say(send, 1, gone)
		}
	}},
	{Name: "a file that is asked for, and never ends", Times: 1000, Peers: func(n int, send send) {
		begin(send)
		ask(send, "\x03LOAD DATA LOCAL INFILE 'x' INTO TABLE t")
		say(send, 1, "\xfbx")
		seq := byte(2)
		for range n {
			send(stream.Client, packet(seq, strings.Repeat("x", 1000)))
			seq++
		}
	}},
	{Name: "errors of all numbers", Times: 2000, Peers: func(n int, send send) {
		begin(send)
		for i := range n {
			ask(send, "\x0e")
			say(send, 1, "\xff"+string([]byte{byte(i), byte(i >> 8)})+"#HY000x")
		}
	}},
	{Name: "TLS behind MySQL", Times: 2500, Peers: func(n int, send send) {
		begin(send)
		for range n {
			send(stream.Client, "\x17\x03\x03\x40\x00"+strings.Repeat("\xaa", 1000))
			send(stream.Server, "\x17\x03\x03\x40\x00"+strings.Repeat("\xbb", 1000))
		}
	}},
	{Name: "bytes at random behind MySQL", Times: 2500, Peers: func(n int, send send) {
		r := rand.New(rand.NewPCG(1, 2))
		begin(send)
		for range n {
			p := make([]byte, 1+r.IntN(200))
			for i := range p {
				p[i] = byte(r.Uint32())
			}
			side := stream.Side(r.IntN(2))
			if r.IntN(2) == 0 { // in a packet
				p = []byte(packet(byte(side), string(p)))
			}
			send(side, string(p))
		}
	}},
}

func TestHostilePeersCostLittleAndHarmNobody(t *testing.T) {
	protocoltest.Hostile(t, New(DefaultOptions()), "mysql", "go-prepared", attacks)
}

func BenchmarkHostile(b *testing.B) { protocoltest.BenchmarkHostile(b, New(DefaultOptions()), attacks) }

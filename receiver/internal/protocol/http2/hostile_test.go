package http2

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/protocol/protocoltest"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

type send = func(side stream.Side, data string)

// wire returns the bytes of a frame.
func wire(k kind, flags byte, id uint32, payload string) string {
	p := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), byte(k), flags}
	return string(binary.BigEndian.AppendUint32(p, id)) + payload
}

// Header blocks, by the static table of RFC 7541.
const (
	get       = "\x82\x84\x86" // :method GET, :path /, :scheme http
	post      = "\x83\x84\x86"
	ok        = "\x88"                              // :status 200
	grpcField = "\x0f\x10\x10" + "application/grpc" // content-type, not indexed
	widest    = "\x3f\xe1\xff\x03"                  // a table of 64 KiB
)

func integerBytes(n int, first byte, mask byte) string { // RFC 7541 5.1
	if n < int(mask) {
		return string([]byte{first | byte(n)})
	}
	p := []byte{first | mask}
	for n -= int(mask); n >= 128; n >>= 7 {
		p = append(p, byte(n)|0x80)
	}
	return string(append(p, byte(n)))
}

// indexed is a literal that goes into the table, with the name of a static entry.
func indexed(name int, value string) string {
	return integerBytes(name, 0x40, 0x3f) + integerBytes(len(value), 0, 0x7f) + value
}

// begin opens a connection.
func begin(send send) {
	send(stream.Client, preface+wire(settings, 0, 0, ""))
	send(stream.Server, wire(settings, 0, 0, ""))
}

// sendBlock sends a header block in frames of 16 KiB.
func sendBlock(send send, id uint32, p string) {
	k := headers
	for {
		n := min(len(p), 16<<10)
		flags := byte(0)
		if n == len(p) {
			flags = endHeaders
		}
		send(stream.Client, wire(k, flags, id, p[:n]))
		if p, k = p[n:], continuation; p == "" {
			return
		}
	}
}

// ids yields those of n streams.
func ids(n int) func(yield func(uint32) bool) {
	return func(yield func(uint32) bool) {
		for i := range n {
			if !yield(uint32(2*i + 1)) {
				return
			}
		}
	}
}

func again(n int, what string) func(send) {
	return func(send send) {
		for range n {
			send(stream.Client, what)
			send(stream.Server, what)
		}
	}
}

const (
	manyOpen = maxWeight + 1<<20 // the tables, too
	longPath = 8 << 10
)

var attacks = []protocoltest.Attack{
	{Name: "a header list that unfolds: a byte for the longest entry", Times: 4, Peers: func(n int, send send) {
		begin(send)
		for id := range ids(n) {
			sendBlock(send, id, widest+get+indexed(1, strings.Repeat("a", 60_000))+strings.Repeat("\xbe", 60_000))
			send(stream.Server, wire(headers, endHeaders|endStream, id, ok))
		}
	}},
	{Name: "a header list that unfolds: two bytes to copy the longest name", Times: 4, Peers: func(n int, send send) {
		begin(send)
		for id := range ids(n) {
			long := "\x40" + integerBytes(30_000, 0, 0x7f) + strings.Repeat("n", 30_000) + "\x00"
			sendBlock(send, id, widest+get+long+strings.Repeat("\x7e\x00", 40_000))
			send(stream.Server, wire(headers, endHeaders|endStream, id, ok))
		}
	}},
	{Name: "changes of the table's size", Times: 4, Peers: func(n int, send send) {
		begin(send)
		for id := range ids(n) {
			sendBlock(send, id, get+strings.Repeat("\x20"+widest, 20_000))
			send(stream.Server, wire(headers, endHeaders|endStream, id, ok))
		}
	}},
	{Name: "numbers without an end", Times: 100, Peers: func(n int, send send) {
		begin(send)
		for id := range ids(n) {
			sendBlock(send, id, get+"\xff"+strings.Repeat("\xff", 10_000))
		}
	}},
	{Name: "a header block of megabytes", Times: 128, Peers: func(n int, send send) {
		begin(send)
		send(stream.Client, wire(headers, 0, 1, get))
		for range n {
			send(stream.Client, wire(continuation, 0, 1, strings.Repeat("\x10\x01a\x01b", 3000)))
		}
	}},
	{Name: "CONTINUATION without an end, empty", Times: 5000, Peers: func(n int, send send) { // CVE-2024-27316 and others
		begin(send)
		send(stream.Client, wire(headers, 0, 1, get))
		for range n {
			send(stream.Client, strings.Repeat(wire(continuation, 0, 1, ""), 10))
		}
	}},
	{Name: "SETTINGS without an end", Times: 5000, Peers: func(n int, send send) {
		begin(send)
		again(n, strings.Repeat(wire(settings, 0, 0, "\x00\x01\xff\xff\xff\xff"), 10))(send)
	}},
	{Name: "PING without an end", Times: 5000, Peers: func(n int, send send) {
		begin(send)
		again(n, wire(ping, 0, 0, "12345678"))(send)
	}},
	{Name: "PRIORITY and WINDOW_UPDATE for streams that never were", Times: 5000, Peers: func(n int, send send) {
		begin(send)
		for id := range ids(n) {
			send(stream.Client, wire(priority, 0, 1<<31-id, "\x00\x00\x00\x00\x00")+wire(windowUpdate, 0, id, "\x7f\xff\xff\xff"))
		}
	}},
	{Name: "ten thousand streams that never end", Times: 4000, Kept: manyOpen, Peers: func(n int, send send) {
		begin(send)
		for id := range ids(n) {
			send(stream.Client, wire(headers, endHeaders, id, get))
		}
	}},
	{Name: "streams that never end, and GOAWAY for all of them", Times: 4000, Kept: manyOpen, Peers: func(n int, send send) {
		begin(send)
		for id := range ids(n) {
			send(stream.Client, wire(headers, endHeaders, id, get))
			if id%8191 == 0 {
				send(stream.Server, wire(goAway, 0, 0, "\x00\x00\x00\x00\x00\x00\x00\x00"))
			}
		}
	}},
	{Name: "rapid resets", Times: 5000, Kept: manyOpen, Peers: func(n int, send send) { // CVE-2023-44487
		begin(send)
		for id := range ids(n) {
			send(stream.Client, wire(headers, endHeaders|endStream, id, get)+wire(rstStream, 0, id, "\x00\x00\x00\x08"))
		}
	}},
	{Name: "rapid resets amid thousands of streams", Times: 8000, Kept: manyOpen, Peers: func(n int, send send) {
		begin(send)
		for id := range ids(n) {
			send(stream.Client, wire(headers, endHeaders|endStream, id, get))
			if id > 8000 {
				send(stream.Client, wire(rstStream, 0, (id-4000)|1, "\x00\x00\x00\x08"))
			}
		}
	}},
	{Name: "senseless bytes amid thousands of streams", Times: 8000, Kept: manyOpen, Peers: func(n int, send send) {
		begin(send)
		for id := range ids(n) {
			send(stream.Client, wire(headers, endHeaders, id, get))
			if id > 4000 {
				send(stream.Server, wire(ping, 0, 0, "12345678"))
				send(stream.Server, "x")
			}
		}
	}},
	{Name: "streams that remember long paths, for three bytes each", Times: 2500, Kept: manyOpen, Peers: func(n int, send send) {
		begin(send)
		path := indexed(4, "/"+strings.Repeat("p", longPath)) + indexed(58, strings.Repeat("u", 2000))
		send(stream.Client, wire(headers, endHeaders, 1, widest+"\x82\x86"+path))
		for id := range ids(n) {
			if id > 1 {
				send(stream.Client, wire(headers, endHeaders, id, "\x82\x86\xbf\xbe"))
			}
		}
	}},
	{Name: "DATA byte by byte", Times: 5000, Peers: func(n int, send send) {
		begin(send)
		send(stream.Client, wire(headers, endHeaders, 1, post))
		for range n {
			send(stream.Client, strings.Repeat(wire(data, 0, 1, "x"), 10))
			send(stream.Client, wire(data, padded, 1, "\x01xx"))
			send(stream.Client, wire(data, 0, 1, ""))
		}
	}},
	{Name: "frames of 16 MiB", Times: 200, Peers: func(n int, send send) {
		begin(send)
		for i, id := 0, uint32(1); i < n; i, id = i+1, id+2 {
			send(stream.Client, wire(headers, endHeaders, id, post))
			send(stream.Client, "\xff\xff\xff\x01\x04\x00\x00\x00\x03"+strings.Repeat("x", 16<<10))
			send(stream.Client, strings.Repeat("x", 16<<10))
		}
	}},
	{Name: "messages of 4 GiB, and of nothing", Times: 500, Peers: func(n int, send send) {
		begin(send)
		for id := range ids(n) {
			send(stream.Client, wire(headers, endHeaders, id, post+grpcField))
			send(stream.Client, wire(data, 0, id, strings.Repeat("\x00\x00\x00\x00\x00", 2000)))
			send(stream.Client, wire(data, endStream, id, "\x00\xff\xff\xff\xffx"))
			send(stream.Server, wire(headers, endHeaders|endStream, id, ok))
		}
	}},
	{Name: "frames byte by byte", Times: 500, Peers: func(n int, send send) {
		begin(send)
		for id := range ids(n) {
			for _, c := range []byte(wire(headers, endHeaders|endStream, id, get)) {
				send(stream.Client, string([]byte{c}))
			}
			send(stream.Server, wire(headers, endHeaders|endStream, id, ok))
		}
	}},
	{Name: "a frame without an end, byte by byte", Times: 30_000, Peers: func(n int, send send) {
		begin(send)
		send(stream.Client, "\x01\xff\xff\x01\x04\x00\x00\x00\x01")
		for range n {
			send(stream.Client, "\x82")
		}
	}},
	{Name: "promises and answers that nobody asked for", Times: 3000, Peers: func(n int, send send) {
		begin(send)
		send(stream.Client, wire(headers, endHeaders, 1, get))
		for id := range ids(n) {
			send(stream.Server, wire(pushPromise, endHeaders, 1, "\x00\x00\x00\x02"+get)+wire(headers, endHeaders, id+2, ok))
		}
	}},
	{Name: "TLS behind HTTP/2", Times: 2500, Peers: func(n int, send send) {
		begin(send)
		again(n, "\x17\x03\x03\x40\x00"+strings.Repeat("\xaa", 1000))(send)
	}},
	{Name: "bytes at random behind HTTP/2", Times: 2500, Peers: func(n int, send send) {
		begin(send)
		r := rand.New(rand.NewPCG(1, 2))
		for range n {
			p := make([]byte, 1+r.IntN(200))
			for i := range p {
				p[i] = byte(r.Uint32())
			}
			if r.IntN(2) == 0 { // in a frame
				p = []byte(wire(kind(r.IntN(10)), byte(r.IntN(64)), uint32(r.IntN(10)), string(p)))
			}
			send(stream.Side(r.IntN(2)), string(p))
		}
	}},
	{Name: "a preface that is repeated", Times: 2500, Peers: func(n int, send send) {
		begin(send)
		for range n {
			send(stream.Client, string(bytes.Repeat([]byte(preface), 10)))
		}
	}},
}

func TestHostilePeersCostLittleAndHarmNobody(t *testing.T) {
	protocoltest.Hostile(t, New(httpconv.Options{RequestHeaders: []string{"n"}}), "http2", "nghttp-nginx", attacks)
}

// As many as a large node has, each with header tables as full as they get by
// default on both sides.
func TestAHundredThousandConnectionsWithFullTablesFitInto200MB(t *testing.T) {
	fill := protocoltest.Attack{Times: 60, Peers: func(n int, send send) {
		begin(send)
		block := func(name int) (p string) {
			for i := range n {
				p += indexed(name, fmt.Sprintf("%040d", i))
			}
			return p
		}
		send(stream.Client, wire(headers, endHeaders|endStream, 1, get+block(58)))
		send(stream.Server, wire(headers, endHeaders|endStream, 1, ok+block(54)))
	}}
	fill.Many(t, New(httpconv.Options{}), 100_000, 64<<20, 200_000_000)
}

func BenchmarkHostile(b *testing.B) {
	protocoltest.BenchmarkHostile(b, New(httpconv.Options{}), attacks)
}

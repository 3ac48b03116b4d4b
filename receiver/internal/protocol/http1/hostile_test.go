package http1_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/protocol/http1"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/protocol/protocoltest"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const (
	client = stream.Client
	server = stream.Server

	request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
	answer  = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
)

type send = func(side stream.Side, data string)

// each sends bytes one by one.
func each(send send, side stream.Side, data string) {
	for i := range len(data) {
		send(side, data[i:i+1])
	}
}

// talk is an exchange, by which the connection is known to be HTTP.
func talk(send send) {
	send(client, request)
	send(server, answer)
}

var attacks = []protocoltest.Attack{
	{Name: "a request line without an end, byte by byte", Times: 20_000, Peers: func(n int, send send) {
		talk(send)
		each(send, client, "GET /"+strings.Repeat("a", n))
	}},
	{Name: "a head without an end, byte by byte", Times: 20_000, Peers: func(n int, send send) {
		each(send, client, "GET / HTTP/1.1\r\n"+strings.Repeat("a: b\r\n", n/6))
	}},
	{Name: "a head without an end, by a client that trickles on", Times: 300, Peers: func(n int, send send) {
		send(client, "GET / HTTP/1.1\r\n")
		for range n {
			send(client, "x: "+strings.Repeat("a", 1000)+"\r\n")
		}
	}},
	{Name: "a hundred thousand fields", Times: 25_000, Peers: func(n int, send send) {
		send(client, "GET / HTTP/1.1\r\n"+strings.Repeat("host: a\r\n", n)+"\r\n")
		send(server, "HTTP/1.1 200 OK\r\n"+strings.Repeat("a:b\r\n", n)+"\r\n")
	}},
	{Name: "a folded field without an end", Times: 20_000, Peers: func(n int, send send) {
		send(client, "GET / HTTP/1.1\r\nhost: a")
		for range n {
			send(client, "\r\n b")
		}
	}},
	{Name: "bare carriage returns, NULs and line feeds", Times: 20_000, Peers: func(n int, send send) {
		talk(send)
		for range n / 100 {
			send(client, strings.Repeat("\r", 100))
			send(server, strings.Repeat("\r\n", 100))
			send(client, "GET /\x00 HTTP/1.1\r\nHost: \x00\rx\r\n\r\n")
			send(server, "HTTP/1.1 200 \x00\n\n")
		}
	}},
	{Name: "lengths of 2^31 and more", Times: 1000, Peers: func(n int, send send) {
		lengths := []string{"2147483648", "4294967296", "9223372036854775807", "18446744073709551616", "-1", "+1", "0x10", strings.Repeat("9", 5000)}
		for i := range n {
			send(client, "POST / HTTP/1.1\r\nContent-Length: "+lengths[i%len(lengths)]+"\r\n\r\n")
			send(client, strings.Repeat("x", copied))
			send(server, answer)
		}
	}},
	{Name: "chunks of 2^31 and more", Times: 1000, Peers: func(n int, send send) {
		sizes := []string{"80000000", "ffffffff", "7fffffffffffffff", "10000000000000000", "-1", strings.Repeat("0", 5000) + "1"}
		for i := range n {
			send(client, request)
			send(server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+sizes[i%len(sizes)]+"\r\n")
			send(server, strings.Repeat("x", copied))
		}
	}},
	{Name: "chunks of a byte, with extensions", Times: 5000, Peers: func(n int, send send) {
		send(client, request)
		send(server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for range n {
			send(server, "1;"+strings.Repeat("x", 100)+"\r\na\r\n")
		}
	}},
	{Name: "an extension without an end, byte by byte", Times: 20_000, Peers: func(n int, send send) {
		send(client, request)
		send(server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;")
		each(send, server, strings.Repeat("x", n))
	}},
	{Name: "trailers without an end", Times: 5000, Peers: func(n int, send send) {
		send(client, request)
		send(server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
		for range n {
			send(server, "a: b\r\n")
		}
	}},
	{Name: "interim answers without an end", Times: 5000, Peers: func(n int, send send) {
		send(client, request)
		for range n {
			send(server, "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n")
		}
	}},
	{Name: "ten thousand pipelined requests", Times: 2500, Kept: 2 << 20, Peers: func(n int, send send) {
		for range n {
			send(client, request)
		}
	}},
	{Name: "long pipelined requests", Times: 2500, Kept: 20 << 20, Peers: func(n int, send send) {
		for range n {
			send(client, "GET /"+strings.Repeat("a", 8000)+" HTTP/1.1\r\nUser-Agent: "+strings.Repeat("b", 4000)+"\r\n\r\n")
		}
	}},
	{Name: "answers that nobody asked for", Times: 2500, Peers: func(n int, send send) {
		send(client, request)
		for range n {
			send(server, answer+strings.Repeat(answer, 100))
		}
	}},
	{Name: "requests that are read in two ways", Times: 2500, Peers: func(n int, send send) { // RFC 9112 6.3, 11.2
		for i := range n {
			send(client, []string{
				"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
				"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
				"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n",
				"GET / HTTP/1.1\r\nContent-Length : 10\r\n\r\n0123456789",
			}[i%4])
			send(server, answer)
		}
	}},
	{Name: "TLS behind HTTP", Times: 2500, Peers: func(n int, send send) {
		talk(send)
		for range n {
			send(client, "\x17\x03\x03\x40\x00"+strings.Repeat("\xaa", 1000))
			send(server, "\x17\x03\x03\x40\x00"+strings.Repeat("\xbb", 1000))
		}
	}},
	{Name: "bytes at random behind HTTP", Times: 2500, Peers: func(n int, send send) {
		r := rand.New(rand.NewPCG(1, 2))
		talk(send)
		for range n {
			p := make([]byte, 1+r.IntN(200))
			for i := range p {
				p[i] = byte(r.Uint32())
			}
			send(stream.Side(r.IntN(2)), string(p))
		}
	}},
	{Name: "upgrades to what nobody knows", Times: 50, Peers: func(n int, send send) {
		for i := range n {
			send(client, "GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n")
			send(server, fmt.Sprintf("HTTP/1.1 101 OK\r\nUpgrade: %s%d\r\n\r\n", strings.Repeat("x", 5000), i))
		}
	}},
}

const copied = 16 << 10

func TestHostilePeersCostLittleAndHarmNobody(t *testing.T) {
	protocoltest.Hostile(t, http1.New(httpconv.Options{RequestHeaders: []string{"x"}}), "http1", "nginx-keepalive", attacks)
}

func BenchmarkHostile(b *testing.B) {
	protocoltest.BenchmarkHostile(b, http1.New(httpconv.Options{}), attacks)
}

package http1_test

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol/http1"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// A head of 700 bytes, as a browser sends it, and a response of 4 KiB.
var (
	benchRequest = func() []byte {
		h := "GET /books/7?page=2&sort=title HTTP/1.1\r\n" +
			"Host: books.example\r\n" +
			"Connection: keep-alive\r\n" +
			"sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r\n" +
			"sec-ch-ua-mobile: ?0\r\n" +
			"sec-ch-ua-platform: \"Linux\"\r\n" +
			"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n" +
			"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n" +
			"Sec-Fetch-Site: same-origin\r\n" +
			"Sec-Fetch-Mode: navigate\r\n" +
			"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n" +
			"Accept-Encoding: gzip, deflate, br\r\n" +
			"Accept-Language: en-GB,en;q=0.9\r\n" +
			"Cookie: "
		return []byte(h + strings.Repeat("c", 700-len(h)-4) + "\r\n\r\n")
	}()
	benchResponse = []byte("HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 23 Nov 2026 04:42:12 GMT\r\n" +
		"Content-Type: text/html\r\nContent-Length: 4096\r\nConnection: keep-alive\r\nETag: \"65f0-1000\"\r\n" +
		"Accept-Ranges: bytes\r\n\r\n" + strings.Repeat("x", 4096))
)

// BenchmarkExchange is what one request and its response cost here: parsed,
// paired, handed out.
func BenchmarkExchange(b *testing.B) {
	n := 0
	ep := &exchange.Endpoint{Side: stream.Server}
	c := http1.New(httpconv.Options{}).NewConn(ep, func(exchange.Exchange) { n++ })
	pool := new(stream.Pool)
	var client, server stream.Buffer
	b.ReportAllocs()
	for b.Loop() {
		client.Feed(stream.Chunk{Data: benchRequest, Ack: server.End()}, pool)
		if err := c.Client(&client); err != nil {
			b.Fatal(err)
		}
		client.Settle()
		server.Feed(stream.Chunk{Data: benchResponse, Ack: client.End()}, pool)
		if err := c.Server(&server); err != nil {
			b.Fatal(err)
		}
		server.Settle()
	}
	if n != b.N {
		b.Fatalf("%d exchanges of %d", n, b.N)
	}
}

// BenchmarkNetHTTP is the two heads alone, read by the standard library.
func BenchmarkNetHTTP(b *testing.B) {
	var data bytes.Reader
	r := bufio.NewReader(nil)
	b.ReportAllocs()
	for b.Loop() {
		data.Reset(benchRequest)
		r.Reset(&data)
		req, err := http.ReadRequest(r)
		if err != nil {
			b.Fatal(err)
		}
		data.Reset(benchResponse)
		r.Reset(&data)
		if _, err := http.ReadResponse(r, req); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFastHTTP is the two heads alone, read by fasthttp.
func BenchmarkFastHTTP(b *testing.B) {
	var data bytes.Reader
	r := bufio.NewReader(nil)
	var req fasthttp.RequestHeader
	var resp fasthttp.ResponseHeader
	b.ReportAllocs()
	for b.Loop() {
		data.Reset(benchRequest)
		r.Reset(&data)
		if err := req.Read(r); err != nil {
			b.Fatal(err)
		}
		data.Reset(benchResponse)
		r.Reset(&data)
		if err := resp.Read(r); err != nil {
			b.Fatal(err)
		}
	}
}

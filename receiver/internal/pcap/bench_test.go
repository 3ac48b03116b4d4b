package pcap

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/protocol/http1"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// exchanges is how many a benchmark's capture has.
const exchanges = 5000

// benchTape is a capture of small exchanges: an answer has three full segments,
// acknowledged.
func benchTape() *tape {
	x := newTape()
	const ask = "GET /books/7 HTTP/1.1\r\nHost: books.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
	part := strings.Repeat("b", 1448)
	head := "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4344\r\n\r\n"
	answer := head + part + part + part
	for i := range 50 {
		k := x.talk(clientV4, serverV4)
		k.seq = [2]uint32{uint32(i) << 20, uint32(i) << 21}
		k.open()
		for range exchanges / 50 {
			k.client(ask).server(answer[:1448]).server(answer[1448:2896]).ack(stream.Client).server(answer[2896:]).ack(stream.Client)
		}
		k.fin(stream.Client).fin(stream.Server).ack(stream.Client)
	}
	return x
}

func BenchmarkSource(b *testing.B) {
	x := benchTape()
	plain := x.pcap(layers.LinkTypeEthernet)
	for _, c := range []struct {
		name string
		file []byte
	}{{"pcap", plain}, {"pcapng", x.pcapng(layers.LinkTypeEthernet)}, {"pcap_gzip", zip(plain)}} {
		b.Run(c.name, func(b *testing.B) {
			file := write(b, c.file)
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				s, err := Open(Options{File: file, KeepTime: true})
				if err != nil {
					b.Fatal(err)
				}
				var e capture.Event
				for err == nil {
					err = s.Next(&e)
				}
				if !errors.Is(err, io.EOF) {
					b.Fatal(err)
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*len(x.packets))/b.Elapsed().Seconds(), "packets/s")
		})
	}
}

// count is a sink that counts what was answered.
type count int

func (*count) Process(exchange.Process) {}
func (*count) Tick(stream.Time, int64)  {}
func (*count) Flush()                   {}
func (n *count) Emit(x exchange.Exchange) {
	if x.Base().Outcome == exchange.Answered {
		*n++
	}
}

// BenchmarkExchanges takes a capture all the way to exchanges.
func BenchmarkExchanges(b *testing.B) {
	p := benchTape().pcap(layers.LinkTypeEthernet)
	file := write(b, p)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		s, err := Open(Options{File: file, KeepTime: true})
		if err != nil {
			b.Fatal(err)
		}
		var n count
		e := engine.New(engine.Settings{
			Source: s, Protocols: []protocol.Protocol{http1.New(httpconv.Options{})}, Sink: &n,
			RequestTimeout: time.Minute, MaxConnections: 1000, MaxState: 64 << 20,
		})
		if err := e.Run(); err != nil || n != exchanges {
			b.Fatalf("%d exchanges, %v", n, err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*exchanges)/b.Elapsed().Seconds(), "exchanges/s")
}

package http2_test

import (
	"math/rand/v2"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

func TestConnectionsAreRecognised(t *testing.T) {
	c, s := newSpeaker(), newSpeaker()
	c.frame(settings, 0, 0)
	opening := c.take()
	c.headers(1, true, get("/a")...)
	request := c.take()
	c.frame(ping, 1, 0, make([]byte, 8)...)
	c.frame(window, 0, 0, 0, 0, 1, 0)
	upkeep := c.take()
	s.headers(1, true, ":status: 200")
	response := s.take()
	s.frame(data, 0, 7, make([]byte, 5000)...)
	body := s.take()

	tests := []struct {
		name           string
		client, server string
		want           protocol.Verdict
	}{
		{"the preface", preface, "", protocol.Yes},
		{"the preface, and settings of the server", preface, string(opening), protocol.Yes},
		{"the beginning of the preface", preface[:10], "", protocol.Wait},
		{"the server's settings come first", "", string(opening), protocol.Wait},
		{"a request, met later", string(request), "", protocol.Yes},
		{"a response, met later", "", string(response), protocol.Yes},
		{"sides the other way round", string(response), string(request), protocol.No},
		{"frames that both may send", string(upkeep), string(upkeep), protocol.Wait},
		{"those, then a request", string(upkeep) + string(request), string(upkeep), protocol.Yes},
		{"a body that goes on", string(upkeep), string(body[:3000]), protocol.Wait},
		{"the middle of a body", "", string(make([]byte, 3000)), protocol.No},

		{"an HTTP/1 request", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", protocol.No},
		{"an HTTP/1 response", "", "HTTP/1.1 200 OK\r\n\r\n", protocol.No},
		{"a client hello of TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "", protocol.No},
		{"application data of TLS", "\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaa", "", protocol.No},
		{"the greeting of MySQL", "", "\x4a\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x00abcdefgh\x00", protocol.No},
		{"a query of MySQL with 256 bytes", "\x00\x01\x00\x00\x03SELECT 1 FROM t WHERE", "", protocol.No},
		{"a pong of MySQL", "", "\x07\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00", protocol.No},
		{"the start of PostgreSQL", "\x00\x00\x00\x54\x00\x03\x00\x00user\x00me\x00", "", protocol.No},
		{"PostgreSQL asks for TLS", "\x00\x00\x00\x08\x04\xd2\x16\x2f", "", protocol.Wait},
		{"a query of PostgreSQL", "Q\x00\x00\x00\x0dSELECT 1\x00", "", protocol.No},
		{"Redis", "*1\r\n$4\r\nPING\r\n", "+PONG\r\n", protocol.No},
		{"Kafka", "\x00\x00\x00\x2f\x00\x12\x00\x03\x00\x00\x00\x01\x00\x06client", "", protocol.No},
		{"a small request of Kafka", "\x00\x00\x00\x09\x00\x00\x00\x05\x00\x00\x00\x01\x00", "", protocol.No},
		{"MongoDB", "\x10\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xdd\x07\x00\x00", "", protocol.No},
		{"DNS over TCP", "\x00\x1d\xaa\xbb\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01", "", protocol.No},
		{"a message of gRPC without its frame", "\x00\x00\x00\x00\x05\x0a\x03foo\x0a\x03foo\x0a\x03foo", "", protocol.No},
	}
	for _, test := range tests {
		if got := p.Detect([]byte(test.client), []byte(test.server)); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestRandomBytesAreNotTakenForFrames(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 64)
	for range 500_000 {
		for i := 0; i < len(b); i += 8 {
			v := r.Uint64()
			for j := range 8 {
				b[i+j] = byte(v >> (8 * j))
			}
		}
		b[0] &= byte(r.UintN(2) * 0x0f) // half of them look like a short frame
		if p.Detect(b, nil) == protocol.Yes || p.Detect(nil, b) == protocol.Yes {
			t.Fatalf("taken: %x", b)
		}
	}
}

// A collector that is restarted finds connections in the middle of whatever.
func TestAConnectionThatIsJoinedTellsWhatFollows(t *testing.T) {
	_, c, s := begin(t, p, stream.Server)
	c.headers(1, true, append(get("/old"), "user-agent: me")...)
	c.take()
	s.headers(1, false, ":status: 200")
	s.take()

	l := newListener(p, stream.Server)
	// The rest of a body, then its end and the next request.
	l.must(t, stream.Server, make([]byte, 4096))
	s.frame(data, endStream, 1, []byte("end")...)
	l.must(t, stream.Server, s.take())
	c.headers(3, true, append(get("/old"), "user-agent: me")...)
	l.must(t, stream.Client, c.take())
	s.headers(3, true, ":status: 404")
	l.must(t, stream.Server, s.take())
	c.headers(5, true, append(get("/new"), "user-agent: me")...)
	l.must(t, stream.Client, c.take())
	s.headers(5, true, ":status: 200")
	l.must(t, stream.Server, s.take())
	c.headers(7, true, append(get("/new"), "user-agent: me", "x-a: b")...)
	l.must(t, stream.Client, c.take())
	s.headers(7, true, ":status: 200")
	l.must(t, stream.Server, s.take())
	l.expect(t, "GET 404 truncated", "GET /new 200 truncated", "GET /new 200 truncated")
}

package http2_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/protocol/http2"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Frame types and flags. RFC 9113 6.
const (
	data, headers, priority, rst, settings, push, ping, goAway, window, continuation = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9

	ack, endStream, endHeaders, padded, hasPriority = 0x1, 0x1, 0x4, 0x8, 0x20

	preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
)

// A speaker is one side of a connection.
type speaker struct {
	out    []byte
	fields *hpack.Encoder
	block  bytes.Buffer
}

func newSpeaker() *speaker {
	s := new(speaker)
	s.fields = hpack.NewEncoder(&s.block)
	return s
}

// encode returns a header block.
func (s *speaker) encode(fields ...string) []byte {
	s.block.Reset()
	for _, f := range fields {
		at := 1 + strings.Index(f[1:], ": ")
		_ = s.fields.WriteField(hpack.HeaderField{Name: f[:at], Value: f[at+2:]})
	}
	return bytes.Clone(s.block.Bytes())
}

// frame writes a frame.
func (s *speaker) frame(kind, flags byte, id uint32, payload ...byte) {
	n := len(payload)
	s.out = append(s.out, byte(n>>16), byte(n>>8), byte(n), kind, flags)
	s.out = append(binary.BigEndian.AppendUint32(s.out, id), payload...)
}

// headers writes a header block in one frame.
func (s *speaker) headers(id uint32, end bool, fields ...string) {
	s.frame(headers, endHeaders|flag(end), id, s.encode(fields...)...)
}

func flag(end bool) byte {
	if end {
		return endStream
	}
	return 0
}

// take returns what was written since it was last called.
func (s *speaker) take() []byte {
	p := s.out
	s.out = nil
	return p
}

// A listener follows a connection as the engine would.
type listener struct {
	conn protocol.Conn
	bufs [2]stream.Buffer
	now  stream.Time
	said []string // by the exchanges that ended
	ends []exchange.Core
	lost map[string]uint64 // counted, by reason
}

func newListener(p *http2.Protocol, side stream.Side) *listener {
	return listen(p, &exchange.Endpoint{Side: side, Opened: true})
}

func listen(p *http2.Protocol, ep *exchange.Endpoint) *listener {
	l := &listener{now: 1000, lost: make(map[string]uint64)}
	l.conn = p.NewConn(ep, func(x exchange.Exchange) {
		c := *x.Base()
		say := string(x.Summary(nil))
		if c.Truncated {
			say += " truncated"
		}
		l.said, l.ends = append(l.said, say), append(l.ends, c)
	})
	l.conn.(protocol.Accountant).Account(func(reason string, n uint64) { l.lost[reason] += n })
	return l
}

// hear takes what a side sent in one write, of which the end may be missing.
func (l *listener) hear(side stream.Side, data []byte, missing int64) error {
	l.now++
	b := &l.bufs[side]
	if b.Feed(stream.Chunk{Data: data, Missing: missing, At: l.now}, nil) {
		if err := l.conn.Lost(side, l.now); err != nil {
			return err
		}
	}
	f := l.conn.Client
	if side == stream.Server {
		f = l.conn.Server
	}
	err := f(b)
	if err != nil {
		b.Reset()
		if lost := l.conn.Lost(side, l.now); lost != nil {
			return lost
		}
	}
	b.Settle()
	return err
}

func begin(t testing.TB, p *http2.Protocol, side stream.Side) (l *listener, client, server *speaker) {
	t.Helper()
	l, client, server = newListener(p, side), newSpeaker(), newSpeaker()
	client.out = append(client.out, preface...)
	client.frame(settings, 0, 0)
	server.frame(settings, 0, 0, 0, 5, 0, 0x10, 0, 0) // MAX_FRAME_SIZE: 1 MiB
	server.frame(settings, 1, 0)
	l.must(t, stream.Client, client.take())
	l.must(t, stream.Server, server.take())
	return l, client, server
}

func (l *listener) must(t testing.TB, side stream.Side, data []byte) {
	t.Helper()
	if err := l.hear(side, data, 0); err != nil {
		t.Fatalf("%v: %v", side, err)
	}
}

func (l *listener) expect(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(l.said, want) {
		t.Errorf("said %q\nwant %q", l.said, want)
	}
}

// cut hands p out in random pieces.
func cut(r *rand.Rand, p []byte, f func(piece []byte)) {
	for len(p) > 0 {
		n := min(1+r.IntN(1+r.IntN(200)), len(p))
		f(p[:n])
		p = p[n:]
	}
}

func TestAsManyExchangesAsRequestsHoweverManyStreamsAreOpen(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, m := range []int{1, 2, 10, 100, 1000} {
		for _, side := range []stream.Side{stream.Client, stream.Server} {
			l, client, server := begin(t, http2.New(httpconv.Options{}), side)
			type open struct {
				id         uint32
				head       bool // of the response was sent
				sent, left int  // DATA frames to come
				want       string
			}
			var streams []*open
			want := make(map[string]int)
			id, requests := uint32(1), max(300, 3*m)
			for requests > 0 || len(streams) > 0 {
				if requests > 0 && len(streams) < m {
					requests--
					o := &open{id: id, sent: r.IntN(3), left: r.IntN(4)}
					status := []int{200, 204, 404, 418, 500}[r.IntN(5)]
					o.want = fmt.Sprintf("GET /%d/%d %d", m, id, status)
					client.headers(id, o.sent == 0, ":method: GET", ":scheme: http", fmt.Sprintf(":path: /%d/%d", m, id), ":authority: a", "x-many: "+strings.Repeat("x", r.IntN(300)))
					want[o.want]++
					streams = append(streams, o)
					id += 2
				}
				i := r.IntN(len(streams))
				o := streams[i]
				if o.sent > 0 {
					o.sent--
					pad := r.IntN(50)
					client.frame(data, padded|flag(o.sent == 0), o.id, append([]byte{byte(pad)}, make([]byte, r.IntN(500)+pad)...)...)
				}
				if r.IntN(4) == 0 {
					client.frame(ping, 0, 0, make([]byte, 8)...)
				}
				cut(r, client.take(), func(p []byte) { l.must(t, stream.Client, p) })
				switch {
				case o.sent > 0: // not answered before
				case !o.head:
					o.head = true
					server.headers(o.id, o.left == 0, ":status: "+o.want[len(o.want)-3:], fmt.Sprintf("x-some: %d", r.IntN(90)))
				default:
					o.left--
					server.frame(data, flag(o.left == 0), o.id, make([]byte, r.IntN(3000))...)
				}
				cut(r, server.take(), func(p []byte) { l.must(t, stream.Server, p) })
				if o.head && o.left == 0 {
					streams = slices.Delete(streams, i, i+1)
				}
			}
			for _, s := range l.said {
				want[s]--
			}
			for s, n := range want {
				if n != 0 {
					t.Errorf("m = %d, %v: %q is missing %d times", m, side, s, n)
				}
			}
			if l.conn.Live() != 0 {
				t.Errorf("m = %d: %d open", m, l.conn.Live())
			}
		}
	}
}

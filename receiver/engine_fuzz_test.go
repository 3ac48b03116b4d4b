package receiver

import (
	"encoding/binary"
	"io"
	"net/netip"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// A jumble is a source of events in any order, and of any sense. Of each, the
// script has two bytes of flags, how far its numbers are from where they should
// be, how many bytes are missing, and its bytes.
type jumble struct {
	*tap
	t      *testing.T
	engine *engine.Engine
	script []byte
	next   map[capture.FlowID][2]uint32 // sequence numbers, by Event.Out
	now    stream.Time
	made   int
}

const (
	jumbleHead  = 10
	mostJumbled = 4 // connections; there are events of twice as many
)

func (s *jumble) Next(e *capture.Event) error {
	if len(s.script) < jumbleHead || s.made == 1<<12 {
		return io.EOF
	}
	s.made++
	if n := s.engine.Stats().Connections; n > mostJumbled {
		s.t.Errorf("%d connections, want at most %d", n, mostJumbled)
	}
	p := s.script
	a, b := p[0], p[1]
	off := func(at int) uint32 { return uint32(int32(int16(binary.LittleEndian.Uint16(p[at:])))) }
	size := min(int(binary.LittleEndian.Uint16(p[8:])), len(p)-jumbleHead)
	data := p[jumbleHead : jumbleHead+size]
	s.script = p[jumbleHead+size:]
	s.now += stream.Time(b&7) * stream.Time(20*time.Millisecond)
	*e = capture.Event{
		Flow: capture.FlowID(a&7) + 1, Kind: capture.Kind(a >> 3 & 3), Out: a&1<<5 != 0, Sequenced: a&1<<6 == 0, Reset: a&1<<7 != 0,
		Side: stream.Side(b >> 3 & 1), Sure: b&1<<4 == 0, Continued: b&1<<5 != 0, Time: s.now, PID: uint32(a & 7),
		Local: netip.AddrPortFrom(netip.IPv6Loopback(), 80), Peer: netip.AddrPortFrom(netip.IPv6Loopback(), 50000),
	}
	mine, other := 0, 1
	if e.Out {
		mine, other = 1, 0
	}
	seq := s.next[e.Flow]
	if b&1<<6 != 0 { // far away
		seq[mine] += off(2) << 16
	}
	e.Seq, e.Ack = seq[mine]+off(2), seq[other]+off(4)
	if e.Kind == capture.Data {
		missing := uint32(binary.LittleEndian.Uint16(p[6:]))
		if b&1<<7 != 0 {
			missing <<= 16
		}
		e.Data, e.Len = data, uint32(size)+missing
		if missing > 0 {
			e.Missing = "limit"
		}
		seq[mine] = e.Seq + e.Len
	}
	s.next[e.Flow] = seq
	return nil
}

func (s *jumble) SetDeadline(time.Time) {}

// A reader is a sink that looks at what exchanges say.
type reader struct {
	t       *testing.T
	emitted uint64
}

func (*reader) Process(exchange.Process) {}
func (*reader) Tick(stream.Time, int64)  {}
func (*reader) Flush()                   {}
func (r *reader) Emit(x exchange.Exchange) {
	r.emitted++
	c := x.Base()
	if c.Outcome == exchange.Open || c.Outcome >= exchange.Outcomes || c.End < c.Start {
		r.t.Errorf("%v, %d..%d", c.Outcome, c.Start, c.End)
	}
	m := pcommon.NewMap()
	x.Attributes(m, new(exchange.Strings))
	for k, v := range m.All() {
		if !utf8.ValidString(v.AsString()) {
			r.t.Errorf("%s = %q", k, v.AsString())
		}
	}
	if s := x.Summary(nil); !utf8.Valid(s) {
		r.t.Errorf("summary %q", s)
	}
}

// FuzzEngine runs all protocols on events that no kernel would send: whatever
// comes, every exchange that is opened ends, and nothing is kept.
func FuzzEngine(f *testing.F) {
	event := func(a, b byte, missing uint16, data string) []byte {
		p := []byte{a, b, 0, 0, 0, 0}
		p = binary.LittleEndian.AppendUint16(p, missing)
		p = binary.LittleEndian.AppendUint16(p, uint16(len(data)))
		return append(p, data...)
	}
	const opened, closed, out = 1 << 3, 3 << 3, 1 << 5
	talk := func(id byte, requests, answers []string) (p []byte) {
		p = event(id|opened, 1, 0, "")
		for i, r := range requests {
			p = append(p, event(id|out, 1, 0, r)...)
			p = append(p, event(id, 1, 0, answers[i])...)
		}
		return append(p, event(id|closed, 1, 0, "")...)
	}
	http1 := talk(0, []string{"GET /a HTTP/1.1\r\nHost: h\r\n\r\n", "POST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"},
		[]string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n.."})
	http2 := talk(1, []string{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", "\x00\x00\x03\x01\x05\x00\x00\x00\x01\x82\x84\x86"},
		[]string{"\x00\x00\x00\x04\x00\x00\x00\x00\x00", "\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88"})
	mysql := talk(2, []string{"\x01\x00\x00\x00\x0e", "\x09\x00\x00\x00\x03SELECT 1"},
		[]string{"\x07\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00", "\x07\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00"})
	f.Add(http1)
	f.Add(http2)
	f.Add(mysql)
	f.Add(append(append(event(0|out, 1, 500, "GET /a HTTP/1.1\r\n"), http1[jumbleHead:]...), http2...))
	f.Add(append(event(1|out, 1<<6|1<<7|1, 9, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), http2[jumbleHead:]...))
	f.Fuzz(func(t *testing.T, script []byte) {
		source := &jumble{tap: newTap(), t: t, script: script, next: make(map[capture.FlowID][2]uint32), now: stream.Time(time.Hour)}
		sink := &reader{t: t}
		e := engine.New(engine.Settings{
			Source: source, Protocols: defaultProtocols().open(), Sink: sink, RequestTimeout: time.Second, MaxConnections: mostJumbled, MaxState: 1 << (6 + len(script)%16),
		})
		source.engine = e
		require.NoError(t, e.Run())
		st := e.Stats()
		require.Zero(t, st.OpenExchanges)
		require.Zero(t, st.Connections)
		var counted uint64
		e.Exchanges(func(_ string, _ exchange.Outcome, n uint64) { counted += n })
		require.Equal(t, sink.emitted, counted)
	})
}

package receiver

import (
	"context"
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/receiverhelper"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/emit"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/leaktest"
	"github.com/perisco-io/perisco/receiver/internal/process"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// An echo is a source of a connection on which a client says a few bytes again and
// again that stand for much, and the server answers.
type echo struct {
	*tap
	first, again [2]func(n uint32) string // what the client says, and the server
	times        int
	look         func() // at what is kept, when all is said

	said  int // events
	bytes int
	seq   [2]uint32
	at    stream.Time
}

func (s *echo) Next(e *capture.Event) error {
	n := s.said / 2
	if n == s.times {
		s.look()
		s.end(io.EOF)
		return io.EOF
	}
	side := stream.Side(s.said % 2)
	text := s.again[side]
	if n == 0 {
		text = s.first[side]
	}
	s.said++
	s.at += stream.Time(time.Microsecond)
	data := []byte(text(uint32(n)))
	*e = capture.Event{
		Flow: 1, Side: stream.Server, Sure: true, Sequenced: true, Time: s.at, PID: 1,
		Out: side == stream.Server, Seq: s.seq[side], Ack: s.seq[side.Peer()], Data: data, Len: uint32(len(data)),
	}
	s.seq[side] += e.Len
	s.bytes += len(data)
	return nil
}

// stuck is a consumer that takes nothing until it is closed.
type stuck struct{ closed chan struct{} }

func (s *stuck) Capabilities() consumer.Capabilities                { return consumer.Capabilities{} }
func (s *stuck) ConsumeTraces(context.Context, ptrace.Traces) error { <-s.closed; return nil }
func (s *stuck) ConsumeLogs(context.Context, plog.Logs) error       { <-s.closed; return nil }

func TestFewBytesThatStandForManyDoNotFillTheMemory(t *testing.T) {
	frame := func(kind, flags byte, id uint32, payload string) string {
		p := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
		return string(binary.BigEndian.AppendUint32(p, id)) + payload
	}
	head := func(block string) func(uint32) string { // of RFC 7541: 0x82 is :method GET, 0x88 :status 200
		return func(n uint32) string { return frame(1, 5, 2*n+1, block) }
	}
	const widest, path = "\x3f\xe1\xff\x03", "\x44\x7f\xc1\x3d/" // a table of 64 KiB; :path of 8000 bytes, indexed
	packet := func(seq byte, payload string) func(uint32) string {
		return func(uint32) string {
			return string([]byte{byte(len(payload)), byte(len(payload) >> 8), 0, seq}) + payload
		}
	}
	for name, s := range map[string]*echo{
		"http2": {
			first: [2]func(uint32) string{
				func(n uint32) string {
					return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, "") + head(widest+"\x82\x86"+path+strings.Repeat("p", 7999))(n)
				},
				func(n uint32) string { return frame(4, 0, 0, "") + head("\x88")(n) },
			},
			again: [2]func(uint32) string{head("\x82\x86\xbe"), head("\x88")},
		},
		"mysql": {
			first: [2]func(uint32) string{packet(0, "\x16SELECT "+strings.Repeat("x, ", 1000)+"?"), packet(1, "\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")},
			again: [2]func(uint32) string{packet(0, "\x17\x01\x00\x00\x00\x00\x01\x00\x00\x00"), packet(1, "\x00\x00\x00\x02\x00\x00\x00")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{ReceiverID: nop().ID, ReceiverCreateSettings: nop()})
			require.NoError(t, err)
			next := &stuck{closed: make(chan struct{})}
			sender := emit.New(emit.Settings{Traces: next, Logs: next, Report: report, Identify: func(exchange.Process) process.Identity { return process.Identity{} }})
			sink := sender.Emitter()
			sender.Start()
			s.tap, s.times = newTap(), 20_000
			e := engine.New(engine.Settings{
				Source: s, Sink: sink, Protocols: defaultProtocols().open(),
				RequestTimeout: time.Minute, MaxConnections: 10, MaxState: 1 << 20,
			})
			before := leaktest.Heap().Reachable
			var kept int
			s.look = func() { kept = int(leaktest.Heap().Reachable - before) }
			require.NoError(t, e.Run())
			close(next.closed)
			require.NoError(t, sender.Shutdown(t.Context()))
			var exchanges, dropped uint64
			e.Exchanges(func(_ string, how exchange.Outcome, n uint64) {
				require.Equal(t, exchange.Answered, how)
				exchanges += n
			})
			sender.Losses(func(reason string, n uint64) { dropped += n })
			require.EqualValues(t, s.times, exchanges)
			require.NotZero(t, dropped)
			t.Logf("%d bytes said, %d kept", s.bytes, kept)
			require.Less(t, kept, 32<<20)
		})
	}
}

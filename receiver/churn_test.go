package receiver

import (
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/emit"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/leaktest"
	"github.com/perisco-io/perisco/receiver/internal/process"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// A throng is a source of connections that come and go, each from an address of
// its own, with one exchange each. A few overlap. Of some the end is never
// told, of others nothing is to be understood; some end before they are
// answered. Ten of them belong to one process, whose number is given to others later.
type throng struct {
	*tap
	connections int
	look        func(begun int) // at what is kept

	begun, step int
	at          stream.Time
}

const (
	overlap   = 500    // connections that are open at a time
	pids      = 30_000 // of that many processes each has a number of its own
	perPerson = 10     // connections of a process
	books     = "/books/7"
)

func (s *throng) Next(e *capture.Event) error {
	if s.begun == s.connections+overlap {
		s.end(io.EOF)
		return io.EOF
	}
	s.at += stream.Time(20 * time.Microsecond)
	switch s.step++; s.step {
	case 1:
		s.event(e, s.begun, capture.Opened)
		e.Seq, e.Ack = e.Ack, e.Seq // of the server
	case 2:
		s.event(e, s.begun, capture.Data)
		e.Data = []byte(request(books))
		if s.begun%10 == 3 {
			e.Data = []byte("\x16\x03\x01\x02\x00\x01")
		}
		e.Len = uint32(len(e.Data))
	case 3:
		if s.begun%50 == 7 {
			s.event(e, s.begun, capture.Ended)
			e.Seq += uint32(len(request(books)))
			return nil
		}
		s.event(e, s.begun, capture.Data)
		e.Seq, e.Ack, e.Out = e.Ack, e.Seq+uint32(len(request(books))), true
		e.Data, e.Len = []byte(answer), uint32(len(answer))
	default:
		old := s.begun - overlap
		s.event(e, old, capture.Closed)
		e.Sequenced = false
		if old < 0 || old%20 == 7 {
			e.Flow = 0 // nobody's
		}
		s.step = 0
		s.begun++
		s.look(s.begun)
	}
	return nil
}

func (s *throng) event(e *capture.Event, i int, kind capture.Kind) {
	process := i / perPerson
	*e = capture.Event{
		Flow: capture.FlowID(i + 1), Kind: kind, Side: stream.Server, Sure: true, Sequenced: true, Time: s.at,
		Seq: 1000, Ack: 2000, PID: 1 + uint32(process%pids), Start: uint64(1 + process),
		Local: netip.MustParseAddrPort("192.0.2.1:80"),
		Peer:  netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 40000),
	}
}

func TestAMillionConnectionsOfAHundredThousandProcessesLeaveNothingBehind(t *testing.T) {
	const (
		connections, followed = 1_000_000, 4096
		noise                 = 1 << 20 // bytes by which two looks at the heap differ
	)
	sender := emit.New(emit.Settings{
		Traces: consumertest.NewNop(), Logs: consumertest.NewNop(), Report: newReport(t), Wait: true,
		Identify: func(p exchange.Process) process.Identity {
			id := process.Short(p)
			id.Read = true
			return id
		},
	})
	sink := sender.Emitter()
	sender.Start()
	source := &throng{tap: newTap(), connections: connections}
	e := engine.New(engine.Settings{
		Source: source, Sink: sink, Protocols: defaultProtocols().open(),
		RequestTimeout: time.Minute, MaxConnections: followed, MaxState: 64 << 20,
	})
	var early, late uint64
	source.look = func(begun int) {
		switch begun {
		case connections / 10:
			early = leaktest.Heap().Reachable
		case connections:
			late = leaktest.Heap().Reachable
			require.EqualValues(t, followed, e.Stats().Connections)
		}
	}
	require.NoError(t, e.Run())
	sender.Release()
	require.NoError(t, sender.Shutdown(t.Context()))

	t.Logf("%d bytes after a tenth, %d after all", early, late)
	require.Less(t, late, early+noise)
	require.Zero(t, e.Stats().Connections)
	require.Zero(t, e.Stats().OpenExchanges)
	e.Losses(func(reason string, _ uint64) { require.Equal(t, "connection_evicted", reason) })
	var exchanges uint64
	e.Exchanges(func(_ string, _ exchange.Outcome, n uint64) { exchanges += n })
	require.EqualValues(t, (connections+overlap)*9/10, exchanges)
	require.Greater(t, sender.Evictions(), uint64(connections/perPerson/2))
	sender.Losses(func(reason string, n uint64) { require.Zero(t, n, reason) })
}

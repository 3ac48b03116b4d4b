package protocoltest

import (
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/leaktest"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const (
	besiegers  = 200
	siegeSaid  = 32 << 20 // bytes; where attacks are longer there are fewer of them
	siegeState = 2 << 20  // bytes that they may take together
	siegeEach  = 2 << 10  // and each of them beside
	siegeSlack = 1 << 20  // blocks and marks that buffers take again, and chance
)

// besiege checks what an attack costs that many connections make, of which none
// ends: no more than connections may take together.
func (a *Attack) besiege(t *testing.T, p protocol.Protocol) {
	t.Helper()
	writes, said := a.writes(max(1, a.Times/20))
	s := &siege{writes: writes, flows: capture.FlowID(max(8, min(besiegers, siegeSaid/said)))}
	e := engine.New(engine.Settings{
		Source: s, Protocols: []protocol.Protocol{p}, Sink: new(quiet),
		RequestTimeout: time.Hour, MaxConnections: besiegers, MaxState: siegeState,
	})
	if err := e.Run(); err != nil {
		t.Fatal(err)
	}
	kept := int(s.after) - int(s.before)
	t.Logf("by %d: %d bytes said, %d kept", s.flows, int(s.flows)*said, kept)
	if most := siegeState + besiegers*siegeEach + siegeSlack; kept > most {
		t.Errorf("together: %d bytes are kept, want at most %d", kept, most)
	}
	if st := e.Stats(); st.OpenExchanges != 0 || st.Connections != 0 {
		t.Errorf("together, after the end: %+v", st)
	}
}

// A siege is a source that plays the same writes on many connections, one after
// the other.
type siege struct {
	writes []step
	flows  capture.FlowID
	flow   capture.FlowID
	at     int // -1: to be opened
	seq    [2]uint32
	data   []byte
	// Bytes on the heap that are in use, at the beginning and at the end.
	before, after uint64
}

func (s *siege) Next(e *capture.Event) error {
	clear(s.data)
	switch {
	case s.flow == 0:
		s.before = leaktest.Heap().Reachable
		s.flow, s.at, s.seq = 1, -1, isn
	case s.at == len(s.writes):
		if s.flow == s.flows {
			s.after = leaktest.Heap().Reachable
			return io.EOF
		}
		s.flow++
		s.at, s.seq = -1, isn
	}
	*e = capture.Event{
		Flow: s.flow, Kind: capture.Opened, Side: stream.Server, Sure: true, Sequenced: true, PID: 1, Time: epoch,
		Local: addresses[stream.Server], Peer: netip.AddrPortFrom(addresses[stream.Client].Addr(), uint16(s.flow)),
		Seq: s.seq[stream.Server], Ack: s.seq[stream.Client],
	}
	if s.at >= 0 {
		w := &s.writes[s.at]
		s.data = append(s.data[:0], w.data...)
		e.Kind, e.Out, e.Data, e.Len = capture.Data, w.side == stream.Server, s.data, uint32(len(w.data))
		e.Seq, e.Ack = s.seq[w.side], s.seq[w.side.Peer()]
		s.seq[w.side] += e.Len
	}
	s.at++
	return nil
}

func (*siege) SetDeadline(time.Time)             {}
func (*siege) Skip(capture.FlowID, bool, uint32) {}
func (*siege) Whole(capture.FlowID)              {}
func (*siege) Ignore(capture.FlowID)             {}
func (*siege) Losses(func(string, uint64))       {}
func (*siege) Epoch() int64                      { return 0 }
func (*siege) Close() error                      { return nil }

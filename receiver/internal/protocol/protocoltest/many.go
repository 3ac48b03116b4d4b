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

// Many checks what is kept of many connections on which the same is said, and of
// which none ends: at most so many bytes, where they may take state together.
func (a *Attack) Many(t *testing.T, p protocol.Protocol, connections, state, most int) {
	t.Helper()
	writes, said := a.writes(a.Times)
	s := &siege{writes: writes, flows: capture.FlowID(connections)}
	e := engine.New(engine.Settings{
		Source: s, Protocols: []protocol.Protocol{p}, Sink: new(quiet),
		RequestTimeout: time.Hour, MaxConnections: connections, MaxState: state,
	})
	if err := e.Run(); err != nil {
		t.Fatal(err)
	}
	kept := int(s.after) - int(s.before)
	t.Logf("by %d: %d bytes said, %d kept", connections, connections*said, kept)
	if kept > most {
		t.Errorf("%d bytes are kept of %d connections, want at most %d", kept, connections, most)
	}
	if st := e.Stats(); st.OpenExchanges != 0 || st.Connections != 0 {
		t.Errorf("after the end of %d connections: %+v", connections, st)
	}
}

// besiege makes many do what a does, on a smaller scale.
func (a *Attack) besiege(t *testing.T, p protocol.Protocol) {
	t.Helper()
	const (
		most  = 200      // connections
		all   = 32 << 20 // bytes that they say together; where attacks are longer there are fewer of them
		state = 2 << 20  // bytes that they may take together
		each  = 2 << 10  // and each of them beside
		slack = 1 << 20  // bytes that are kept for the next ones, and by chance
	)
	small := Attack{Times: max(1, a.Times/20), Peers: a.Peers}
	_, said := small.writes(small.Times)
	n := max(8, min(most, all/said))
	small.Many(t, p, n, state, state+n*each+slack)
}

// A siege is a source that plays the same writes on many connections, one after
// the other.
type siege struct {
	Recorded

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
	*e = capture.Event{ // seen by the client, of whose address more is kept
		Flow: s.flow, Kind: capture.Opened, Side: stream.Client, Sure: true, Sequenced: true, PID: 1, Time: epoch,
		Local: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(s.flow >> 16), byte(s.flow >> 8), byte(s.flow)}), 40000),
		Peer:  addresses[stream.Server], Seq: s.seq[stream.Client], Ack: s.seq[stream.Server],
	}
	if s.at >= 0 {
		w := &s.writes[s.at]
		s.data = append(s.data[:0], w.data...)
		e.Kind, e.Out, e.Data, e.Len = capture.Data, w.side == stream.Client, s.data, uint32(len(w.data))
		e.Seq, e.Ack = s.seq[w.side], s.seq[w.side.Peer()]
		s.seq[w.side] += e.Len
	}
	s.at++
	return nil
}

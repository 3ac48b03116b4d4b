package engine_test

import (
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// hoarders is a protocol whose connections take as much memory as they are told,
// in units of 256 bytes: one for each byte of the client's, by its value. Zero
// frees it all.
type hoarders struct {
	t    *testing.T
	most int
	live []*hoard // those that were quiet for longest first
	shed int
}

// A hoard is a connection. It weighs twice as much until it was told to sleep.
type hoard struct {
	of     *hoarders
	weight int
	slack  bool
}

func (*hoarders) Name() string                        { return "hoarders" }
func (*hoarders) Detect(_, _ []byte) protocol.Verdict { return protocol.Yes }
func (p *hoarders) NewConn(*exchange.Endpoint, func(exchange.Exchange)) protocol.Conn {
	h := &hoard{of: p}
	p.live = append(p.live, h)
	return h
}

func (p *hoarders) weight() (n int) {
	for _, h := range p.live {
		n += h.Weight()
	}
	return n
}

func (p *hoarders) share() int { return p.most / 2 / len(p.live) }

func (h *hoard) Weight() int {
	if h.slack {
		return 2 * h.weight
	}
	return h.weight
}

func (h *hoard) Client(b *stream.Buffer) error {
	live := h.of.live
	i := slices.Index(live, h)
	h.of.live = append(append(live[:i:i], live[i+1:]...), h)
	for _, c := range b.Bytes() {
		h.weight += int(c) << 8
		h.slack = true
		if c == 0 {
			h.weight = 0
		}
	}
	b.Discard(int64(len(b.Bytes())))
	return nil
}

func (h *hoard) Sleep() { h.slack = false }

func (h *hoard) Shed(stream.Time) {
	p := h.of
	if n := p.weight(); n <= p.most {
		p.t.Errorf("shed at %d bytes of %d", n, p.most)
	}
	if h.slack || h.weight <= p.share() {
		p.t.Errorf("shed at %d bytes, slack: %v, with a share of %d", h.weight, h.slack, p.share())
	}
	h.weight = 0
	p.shed++
}

func (*hoard) Server(b *stream.Buffer) error       { b.Discard(int64(len(b.Bytes()))); return nil }
func (*hoard) Lost(stream.Side, stream.Time) error { return nil }
func (*hoard) Ended(stream.Side, stream.Time)      {}
func (*hoard) Expire(_, _, _ stream.Time)          {}
func (h *hoard) Close(exchange.Outcome, stream.Time) {
	h.of.live = slices.DeleteFunc(h.of.live, func(x *hoard) bool { return x == h })
}
func (*hoard) Live() int { return 0 }

// A market is a source of what hoarders are told, in any order.
type market struct {
	script
	*hoarders
	r     *rand.Rand
	flows int
	churn bool
	now   stream.Time
	seq   map[capture.FlowID]uint32
	told  int
	data  [1]byte
	after func()
}

func (m *market) Next(e *capture.Event) error {
	if m.told > 0 {
		m.after()
	}
	if m.told++; m.told == 2000 {
		return io.EOF
	}
	m.now += stream.Time(m.r.IntN(5)) * ms
	id := capture.FlowID(1 + m.r.IntN(m.flows))
	*e = capture.Event{Flow: id, Kind: capture.Data, Side: stream.Server, Sure: true, Time: m.now, Sequenced: true, Seq: m.seq[id]}
	if m.churn && m.r.IntN(20) == 0 {
		e.Kind = capture.Closed
		return nil
	}
	m.data[0] = byte(m.r.IntN(256))
	if m.r.IntN(4) > 0 { // most are small
		m.data[0] &= 1
	}
	e.Data, e.Len = m.data[:], 1
	m.seq[id]++
	return nil
}

func TestWhatConnectionsLearnTogetherIsBounded(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		p := &hoarders{t: t, most: 1 << (12 + r.IntN(8))}
		m := &market{hoarders: p, r: r, flows: 1 + r.IntN(40), churn: r.IntN(2) == 0, now: ms, seq: make(map[capture.FlowID]uint32)}
		m.after = func() {
			if n := p.weight(); n > p.most {
				t.Fatalf("seed %d: %d bytes are kept, want at most %d", seed, n, p.most)
			}
		}
		e := engine.New(engine.Settings{
			Source: m, Sink: new(nothing), Protocols: []protocol.Protocol{p},
			RequestTimeout: time.Minute, MaxConnections: 1 + r.IntN(40), MaxState: p.most,
		})
		if err := e.Run(); err != nil {
			t.Fatal(err)
		}
		if got := counted(e)["state_evicted"]; got < p.shed {
			t.Errorf("seed %d: %d were counted of %d", seed, got, p.shed)
		}
	}
}

func TestTheLongestSilentForgetsFirstButNotWhoKeepsLittle(t *testing.T) {
	p := &hoarders{t: t, most: 100 << 8} // a share of 10 for each of five
	s := new(script)
	now := stream.Time(0)
	tell := func(id capture.FlowID, units byte) {
		f := s.flow(id, stream.Server)
		f.at, f.unseq = now, true
		f.client(string([]byte{units}))
		now = f.at
	}
	tell(1, 4) // 8 with its slack: it goes on with that
	tell(2, 20)
	tell(3, 20)
	tell(4, 20) // 128 in all: the second has slack, which is not enough
	tell(5, 20) // the third likewise
	tell(4, 1)
	tell(2, 6) // 102: the slack of the fifth is enough
	var got []int
	s.atEnd = func() {
		for _, h := range p.live {
			got = append(got, h.Weight()>>8)
		}
	}
	e := engine.New(engine.Settings{
		Source: s, Sink: new(nothing), Protocols: []protocol.Protocol{p},
		RequestTimeout: time.Minute, MaxConnections: 10, MaxState: p.most,
	})
	if err := e.Run(); err != nil {
		t.Fatal(err)
	}
	if want := []int{8, 0, 20, 42, 12}; !slices.Equal(got, want) { // of 1, 3, 5, 4, 2
		t.Errorf("%v are kept, want %v", got, want)
	}
	if n := counted(e)["state_evicted"]; n != 2 {
		t.Errorf("%d evictions were counted", n)
	}
}

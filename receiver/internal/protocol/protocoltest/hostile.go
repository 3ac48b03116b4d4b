package protocoltest

import (
	"fmt"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/leaktest"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// An Attack is what peers say to each other that mean harm: to each other, or to
// who listens.
type Attack struct {
	Name string
	// Times is how often they do it. It is tried four times as often, too.
	Times int
	// Peers calls send for each write of theirs.
	Peers func(times int, send func(side stream.Side, data string))
	// Kept is how many bytes of memory the connection may take. 0: 512 KiB.
	Kept int
}

const (
	usuallyKept = 512 << 10 // twice what the engine lets a side hold
	copied      = 16 << 10  // bytes of a write that the kernel copies
	slack       = 64 << 10  // bytes that are allocated by chance
)

// Hostile checks what attacks on one connection cost, seen whole and with losses, and
// on many; and that a conversation of testdata/name which is led on others meanwhile, again
// and again, gives what it always does.
func Hostile(t *testing.T, p protocol.Protocol, name, good string, attacks []Attack) {
	conversation := find(t, name, good)
	for _, a := range attacks {
		t.Run(a.Name, func(t *testing.T) {
			a.check(t, &battle{protocol: p, good: conversation, side: stream.Client})
			a.check(t, &battle{protocol: p, good: conversation, side: stream.Server})
			a.check(t, &battle{protocol: p, good: conversation, side: stream.Server, lossy: true})
			a.besiege(t, p)
		})
	}
}

func (a *Attack) check(t *testing.T, b *battle) {
	t.Helper()
	once, more := b.fight(t, a, a.Times), b.fight(t, a, 4*a.Times)
	t.Logf("%s, lossy=%v: %v, and four times as often %v", sections[b.side], b.lossy, once, more)
	if most := max(a.Kept, usuallyKept); more.kept > most {
		t.Errorf("%s: %d bytes are kept, want at most %d", sections[b.side], more.kept, most)
	}
	// Were what has come copied again and again, it would be sixteen times as much.
	if most := 6*once.allocated + slack; more.allocated > most && !RaceEnabled { // there sync.Pool forgets on purpose
		t.Errorf("%s: %d bytes are allocated for four times as much, want at most %d", sections[b.side], more.allocated, most)
	}
}

// BenchmarkHostile measures what attacks cost, each of its size and of sixteen
// times that: where the latter costs more, by the byte, the work is not linear.
func BenchmarkHostile(b *testing.B, p protocol.Protocol, attacks []Attack) {
	for _, a := range attacks {
		for _, times := range []int{a.Times, 16 * a.Times} {
			b.Run(fmt.Sprintf("%s/%d", a.Name, times), func(b *testing.B) {
				writes, size := a.writes(times)
				b.ReportAllocs()
				for b.Loop() {
					src := &crossfire{hostile: writes, side: stream.Server}
					if _, err := src.run(p, new(quiet)); err != nil {
						b.Fatal(err)
					}
				}
				n := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
				b.ReportMetric(n/float64(size), "ns/byte")
				b.ReportMetric(n/float64(len(writes)), "ns/write")
			})
		}
	}
}

// A cost is what an attack took, in bytes.
type cost struct{ said, kept, allocated int }

func (c cost) String() string {
	return fmt.Sprintf("%d bytes said, %d kept, %d allocated", c.said, c.kept, c.allocated)
}

func (a *Attack) writes(times int) (writes []step, size int) {
	a.Peers(times, func(side stream.Side, data string) {
		for p := []byte(data); len(p) > 0; {
			n := min(len(p), copied)
			writes = append(writes, step{side: side, data: p[:n]})
			p = p[n:]
			size += n
		}
	})
	return writes, size
}

// A battle is what does not change while attacks are tried.
type battle struct {
	protocol protocol.Protocol
	good     file
	side     stream.Side // observed
	lossy    bool
}

func (b *battle) fight(t *testing.T, a *Attack, times int) (c cost) {
	t.Helper()
	want, err := playOnce([]protocol.Protocol{b.protocol}, b.good.steps, b.side, b.good.Joined)
	if err != nil {
		t.Fatal(err)
	}
	src := &crossfire{side: b.side, good: &b.good, sink: &bystander{want: want.String()}, measure: true}
	src.hostile, c.said = a.writes(times)
	if b.lossy {
		const every = 5
		for i := every; i < len(src.hostile); i += every {
			s := &src.hostile[i]
			s.data, s.missing = s.data[:len(s.data)/2], int64(len(s.data)-len(s.data)/2)
		}
	}
	e, err := src.run(b.protocol, src.sink)
	if err != nil {
		t.Fatal(err)
	}
	if st := e.Stats(); st.OpenExchanges != 0 || st.Connections != 0 {
		t.Errorf("after the end: %+v", st)
	}
	if src.sink.wrong != "" {
		t.Errorf("%s: others give\n%s\nwant\n%s", sections[b.side], src.sink.wrong, src.sink.want)
	}
	if src.sink.rounds == 0 {
		t.Error("others had no chance to say anything")
	}
	c.kept = int(src.last.Reachable) - int(src.first.Reachable)
	c.allocated = int(src.last.Allocated) - int(src.first.Allocated)
	return c
}

// Flows of a crossfire: one of hostile peers, and others that follow each other.
const (
	hostileFlow = capture.FlowID(1 << 32)
	hostilePort = 666
	ratio       = 8 // hostile writes for each of others
)

// A crossfire is a source that plays hostile writes on one connection, and a
// good conversation again and again on others.
type crossfire struct {
	Recorded
	hostile []step
	side    stream.Side // observed
	good    *file
	measure bool
	sink    *bystander

	at          int
	opened      bool
	seq         [2]uint32
	data        []byte
	player      *player // of the good conversation; nil between
	flow        capture.FlowID
	turn        int
	now         stream.Time
	first, last leaktest.Memory
}

func (c *crossfire) run(p protocol.Protocol, sink engine.Sink) (*engine.Engine, error) {
	c.data = make([]byte, 0, copied)
	c.now = epoch
	e := engine.New(engine.Settings{
		Source: c, Protocols: []protocol.Protocol{p}, Sink: sink,
		RequestTimeout: time.Hour, MaxConnections: 8, MaxState: 64 << 20,
	})
	return e, e.Run()
}

func (c *crossfire) Next(e *capture.Event) error {
	clear(c.data)
	if !c.opened {
		c.opened, c.seq = true, isn
		*e = c.event()
		e.Kind = capture.Opened
		if c.measure {
			c.first = leaktest.Heap()
		}
		return nil
	}
	over := c.at == len(c.hostile)
	if c.turn++; c.good != nil && c.turn%ratio == 0 && !over || c.player != nil && over { // the last round is played to its end
		return c.nextGood(e)
	}
	if over {
		if c.measure {
			c.last = leaktest.Heap()
			c.measure = false
		}
		return io.EOF
	}
	s := &c.hostile[c.at]
	c.at++
	*e = c.event()
	e.Out = s.side == c.side
	e.Seq, e.Ack = c.seq[s.side], c.seq[s.side.Peer()]
	c.data = append(c.data[:0], s.data...)
	e.Data, e.Len = c.data, uint32(len(s.data))+uint32(s.missing)
	if s.missing > 0 {
		e.Missing = "limit"
	}
	c.seq[s.side] += e.Len
	return nil
}

func (c *crossfire) event() capture.Event {
	return capture.Event{
		Flow: hostileFlow, Side: c.side, Sure: true, Sequenced: true, PID: 2, Time: c.now,
		Local: addresses[c.side], Peer: netip.AddrPortFrom(addresses[c.side.Peer()].Addr(), hostilePort),
		Seq: c.seq[c.side], Ack: c.seq[c.side.Peer()],
	}
}

// nextGood goes on with the good conversation.
func (c *crossfire) nextGood(e *capture.Event) error {
	if c.player == nil {
		c.player = &player{steps: c.good.steps, side: c.side, joined: c.good.Joined}
		c.flow++
	}
	if c.player.Next(e) != nil {
		c.player = nil
		c.sink.round()
		return c.Next(e)
	}
	e.Flow = c.flow
	c.now = e.Time
	return nil
}

// A bystander is a sink that looks at what the good conversations give.
type bystander struct {
	result
	want   string
	wrong  string
	rounds int
}

func (s *bystander) Emit(x exchange.Exchange) {
	if x.Base().Endpoint.Peer.Port() == hostilePort {
		return
	}
	s.result.Emit(x)
}

// round compares what a conversation gave with what it gives otherwise.
func (s *bystander) round() {
	s.rounds++
	if got := s.String(); got != s.want && s.wrong == "" {
		s.wrong = got
	}
	s.records = nil
}

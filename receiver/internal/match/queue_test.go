package match_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/protocol/protocoltest"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// habits are how a client asks.
type habits struct {
	name   string
	window int  // requests under way at a time
	slides bool // topped up as answers come; else the next ones wait for all answers
	writes bool // several of them in writes of their own
}

// A talk is a conversation of peers that take their time, as one end sees it.
type talk struct {
	habits
	r        *rand.Rand
	observed stream.Side
	ahead    bool // the server reads on while it owes answers

	asked    int       // requests sent
	kinds    []byte    // of the messages that the server has not read
	batch    int       // requests still to be sent without hearing anything
	heard    int       // answers that the client has read
	read     int       // requests that the server has read
	answered int       // answers sent
	flying   [2][]byte // sent, and not read by the other side
	sent     [2]uint32
	taken    [2]uint32 // of what that side sent, by the other
	events   []capture.Event
	now      stream.Time
	// What the observed end has seen of the client's habits.
	due                int    // requests without an answer
	paired             int    // answers
	lastAck            uint32 // at the client's last bytes
	pipelined, overlap bool
}

// event notes what the observed end sees of bytes that side has sent.
func (k *talk) event(side stream.Side, p []byte) {
	k.now += stream.Time(time.Millisecond)
	out := side == k.observed
	e := capture.Event{
		Flow: 1, Kind: capture.Data, Out: out, Side: k.observed, Sure: true, Time: k.now, Sequenced: true,
		PID: 1, Data: p, Len: uint32(len(p)),
	}
	if peer := side.Peer(); out {
		e.Seq, e.Ack = k.sent[side], k.taken[peer]
	} else {
		e.Seq, e.Ack = k.taken[side], k.sent[peer]
	}
	k.events = append(k.events, e)
	if side == stream.Client {
		n := bytes.Count(p, []byte("?"))
		k.pipelined = k.pipelined || n > 1 || n == 1 && k.due > 0 && e.Ack == k.lastAck
		k.overlap = k.overlap || p[0] == '?' && bytes.IndexByte(p, '\n') > 0 && k.due > 0 && e.Ack > k.lastAck
		k.due += n
		k.lastAck = e.Ack
	} else {
		n := bytes.Count(p, []byte("\n"))
		k.due -= n
		k.paired += n
	}
}

func (k *talk) send(side stream.Side, s string) {
	p := []byte(s)
	if k.observed == side {
		k.event(side, p)
	}
	k.sent[side] += uint32(len(p))
	k.flying[side] = append(k.flying[side], p...)
}

// take lets the other side read some of what side has sent.
func (k *talk) take(side stream.Side) []byte {
	n := len(k.flying[side])
	if k.r.IntN(4) == 0 {
		n = 1 + k.r.IntN(n)
	}
	p := bytes.Clone(k.flying[side][:n])
	k.flying[side] = k.flying[side][n:]
	if k.observed != side {
		k.event(side, p)
	}
	k.taken[side] += uint32(n)
	return p
}

// step does one thing that a peer may do now.
func (k *talk) step() {
	switch k.r.IntN(4) {
	case 0:
		under := k.asked - k.heard
		if k.batch == 0 && (under == 0 || k.slides && under < k.window) {
			k.batch = 1 + k.r.IntN(k.window-under)
		}
		for s := ""; k.batch > 0; {
			if k.r.IntN(8) == 0 {
				s += "-\n"
				k.kinds = append(k.kinds, '-')
			}
			k.kinds = append(k.kinds, '?')
			k.asked++
			k.batch--
			s += "?" + strconv.Itoa(k.asked) + strings.Repeat(" ", k.r.IntN(9)) + "\n"
			if k.batch == 0 || k.writes && k.r.IntN(2) == 0 {
				k.send(stream.Client, s)
				break
			}
		}
	case 1:
		if len(k.flying[stream.Client]) > 0 && (k.ahead || k.read == k.answered) {
			for _, c := range k.take(stream.Client) {
				if c == '\n' {
					if k.kinds[0] == '?' {
						k.read++
					}
					k.kinds = k.kinds[1:]
				}
			}
		}
	case 2:
		s := ""
		for k.answered < k.read {
			k.answered++
			s += "!" + strconv.Itoa(k.answered) + strings.Repeat(" ", k.r.IntN(9)) + "\n"
			if k.r.IntN(2) == 0 {
				break
			}
		}
		if s != "" {
			n := k.r.IntN(2 * len(s))
			if n > 0 && n < len(s) {
				k.send(stream.Server, s[:n])
				s = s[n:]
			}
			k.send(stream.Server, s)
		}
	case 3:
		if len(k.flying[stream.Server]) > 0 && (k.batch == 0 || k.slides) {
			k.heard += bytes.Count(k.take(stream.Server), []byte("\n"))
		}
	}
}

func (k *talk) steps(more int) {
	for end := len(k.events) + more; len(k.events) < end; {
		k.step()
	}
}

// lose takes events away, and ends of others.
func (k *talk) lose(events []capture.Event, odds int) (kept []capture.Event) {
	for _, e := range events {
		switch k.r.IntN(odds) {
		case 0:
			continue
		case 1:
			e.Data, e.Missing = e.Data[:k.r.IntN(len(e.Data)+1)], "limit"
		}
		kept = append(kept, e)
	}
	return kept
}

// script is a source of events.
type script struct {
	protocoltest.Recorded
	events []capture.Event
}

func (s *script) Next(e *capture.Event) error {
	if len(s.events) == 0 {
		return io.EOF
	}
	*e, s.events = s.events[0], s.events[1:]
	return nil
}

// pairs is a sink that looks for false pairs.
type pairs struct {
	right, wrong, lost int
	last               string // answered last
}

func (*pairs) Process(exchange.Process) {}
func (*pairs) Tick(stream.Time, int64)  {}
func (*pairs) Flush()                   {}
func (p *pairs) Emit(x exchange.Exchange) {
	c := x.(*lineCall)
	switch {
	case c.Outcome != exchange.Answered:
		p.lost++
	case strings.TrimSpace(c.asked) == strings.TrimSpace(c.answered):
		p.right++
		p.last = strings.TrimSpace(c.asked)
	default:
		p.wrong++
	}
}

// The oracle is what the peers of a simulated conversation mean. Whatever is
// lost of it, no answer is given to another request, and once nothing is lost any
// more, exchanges are seen again: all of them where the client takes turns.
func TestNoLossMakesAFalsePair(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	talks := 400
	if testing.Short() {
		talks = 40
	}
	for _, h := range []habits{
		{name: "one at a time", window: 1},
		{name: "batches", window: 6},
		{name: "batches in several writes", window: 6, writes: true},
		{name: "a window that slides", window: 3, slides: true},
	} {
		for side := stream.Client; side <= stream.Server; side++ {
			for _, ahead := range []bool{false, true} {
				if ahead && h.window == 1 {
					continue // there is nothing to read
				}
				t.Run(fmt.Sprintf("%s, seen by the %v, ahead=%v", h.name, side, ahead), func(t *testing.T) {
					var sum pairs
					abandoned, unpaired := 0, 0
					for n := range talks {
						r := rand.New(rand.NewPCG(seed, uint64(n)))
						k := &talk{habits: h, r: r, observed: side, ahead: ahead}
						overlaps := h.window > 1 && (side == stream.Client && h.slides || side == stream.Server && ahead)
						// A habit that has not been shown cannot be known.
						for len(k.events) < 40 || h.window > 1 && !k.pipelined || overlaps && !k.overlap {
							k.step()
						}
						shown := len(k.events)
						k.steps(200)
						lossy := len(k.events)
						k.steps(60)
						events := []capture.Event{{Flow: 1, Kind: capture.Opened, Side: side, Sure: true, Sequenced: true}}
						events = append(events, k.events[:shown]...)
						events = append(events, k.lose(k.events[shown:lossy], 6+r.IntN(40))...)
						events = append(events, k.events[lossy:]...)
						p, source := newLines(), &script{events: events}
						if n%2 == 1 { // memory is scarce meanwhile, too
							p.sheds = func() bool {
								n := len(source.events)
								return n > len(k.events)-lossy && n < len(events)-shown && r.IntN(20) == 0
							}
						}
						var got pairs
						e := engine.New(engine.Settings{
							Source: source, Sink: &got, Protocols: []protocol.Protocol{p},
							RequestTimeout: time.Hour, MaxConnections: 2, MaxState: tooMuch - 1,
						})
						if err := e.Run(); err != nil {
							t.Fatal(err)
						}
						gone := false
						e.Ignored(func(string, uint64) { gone = true; abandoned++ })
						e.Losses(func(why string, n uint64) {
							if why == "answers_unpaired" {
								unpaired += int(n)
							}
						})
						if got.wrong > 0 {
							t.Fatalf("talk %d: %d false pairs", n, got.wrong)
						}
						if !overlaps && (gone || got.last != strconv.Itoa(k.paired)) {
							t.Errorf("talk %d: answered last was %s, not %d; given up: %v", n, got.last, k.paired, gone)
						}
						sum.right += got.right
						sum.lost += got.lost
					}
					t.Logf("%d answered, %d lost, %d answers left out, %d of %d connections given up", sum.right, sum.lost, unpaired, abandoned, talks)
				})
			}
		}
	}
}

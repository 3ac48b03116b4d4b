package match_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// choices is a source of randomness that a fuzzer chooses, a byte at a time, and
// chance when these are used up, so that whatever waits for luck ends.
type choices struct {
	script []byte
	chance *rand.PCG
}

func (c *choices) Uint64() uint64 {
	n := c.chance.Uint64()
	if len(c.script) > 0 {
		n = uint64(c.script[0])<<56 | n>>8
		c.script = c.script[1:]
	}
	return n
}

// FuzzQueue is TestNoLossMakesAFalsePair where the fuzzer chooses what peers do
// and what is lost of it.
func FuzzQueue(f *testing.F) {
	for n := range uint64(8) {
		r := rand.NewPCG(1, n)
		var script []byte
		for range 200 {
			script = binary.LittleEndian.AppendUint64(script, r.Uint64())
		}
		f.Add(uint8(n), script)
	}
	f.Fuzz(func(t *testing.T, flags uint8, chosen []byte) {
		h := habits{window: 1 + 5*int(flags&1), writes: flags&2 != 0, slides: flags&4 != 0 && flags&1 != 0}
		r := rand.New(&choices{chosen, rand.NewPCG(1, 2)})
		k := &talk{habits: h, r: r, observed: stream.Side(flags >> 3 & 1), ahead: flags&16 != 0}
		overlaps := h.window > 1 && (k.observed == stream.Client && h.slides || k.observed == stream.Server && k.ahead)
		for len(k.events) < 40 || h.window > 1 && !k.pipelined || overlaps && !k.overlap {
			k.step()
		}
		shown := len(k.events)
		k.steps(100)
		events := []capture.Event{{Flow: 1, Kind: capture.Opened, Side: k.observed, Sure: true, Sequenced: true}}
		events = append(events, k.events[:shown]...)
		events = append(events, k.lose(k.events[shown:], 6+r.IntN(40))...)
		p, source := newLines(), &script{events: events}
		if flags&32 != 0 {
			p.sheds = func() bool { return len(source.events) < len(events)-shown && r.IntN(20) == 0 }
		}
		var got pairs
		e := engine.New(engine.Settings{
			Source: source, Sink: &got, Protocols: []protocol.Protocol{p},
			RequestTimeout: time.Hour, MaxConnections: 2, MaxState: tooMuch - 1,
		})
		if err := e.Run(); err != nil {
			t.Fatal(err)
		}
		if st := e.Stats(); st.OpenExchanges != 0 || st.Connections != 0 {
			t.Errorf("after the end: %+v", st)
		}
		if got.wrong > 0 {
			t.Errorf("%d false pairs, %d right ones", got.wrong, got.right)
		}
	})
}

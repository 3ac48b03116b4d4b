package engine_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// A lossy kernel counts the turns of a connection, and loses events of it.
type lossy struct {
	*flow
	lose  func() bool
	talks string    // whose turn it is
	turns [2]uint16 // by side, that no event told of yet
	gone  uint16    // of the client, and will be told by none
}

func (k *lossy) data(side stream.Side, s string, missing int) {
	turned := k.talks != side.String()
	if turned {
		k.talks = side.String()
		k.turns[side]++
	}
	k.send(side, s, uint32(missing))
	k.events[len(k.events)-1].Turned = turned
	k.deliver()
}

func (k *lossy) end() {
	k.event(capture.Closed, k.side)
	if !k.deliver() {
		k.gone = k.turns[stream.Client]
	}
}

// deliver lets the last event tell of the turns, or takes it away.
func (k *lossy) deliver() bool {
	last := len(k.events) - 1
	if k.lose() {
		k.events = k.events[:last]
		return false
	}
	ev := &k.events[last]
	ev.TurnsOut, ev.TurnsIn = k.turns[k.side], k.turns[k.side.Peer()]
	k.turns = [2]uint16{}
	return true
}

// cut sends s in one or two writes, of which some are not captured to their end. The
// last has two bytes at least: one that is missed at the end may be a FIN.
func (k *lossy) cut(r *rand.Rand, side stream.Side, s string) {
	at := r.IntN(len(s) - 1)
	for _, piece := range []string{s[:at], s[at:]} {
		n := len(piece)
		if n > 0 && k.lose() {
			n = r.IntN(n)
		}
		if piece != "" {
			k.data(side, piece[:n], len(piece)-n)
		}
	}
}

// talk plays a connection with so many requests, and says how many there were.
func (k *lossy) talk(r *rand.Rand, requests int) {
	k.event(capture.Opened, k.side)
	k.deliver()
	for i := range requests {
		k.cut(r, stream.Client, fmt.Sprintf("?%d\n", i))
		body := r.IntN(30)
		k.cut(r, stream.Server, fmt.Sprintf("!%d\n%s", body, strings.Repeat("x", body)))
	}
	k.end()
}

func counted(e interface{ Losses(func(string, uint64)) }) map[string]int {
	n := make(map[string]int)
	e.Losses(func(reason string, events uint64) { n[reason] += int(events) })
	return n
}

func TestEveryRequestOfADialogueIsAnExchangeOrCounted(t *testing.T) {
	for seed := range uint64(5000) {
		r := rand.New(rand.NewPCG(seed, 0))
		s, odds := new(script), 1+r.IntN(8)
		var requests, gone int
		for id := range capture.FlowID(3) {
			k := &lossy{flow: s.flow(id+1, stream.Side(r.IntN(2))), lose: func() bool { return r.IntN(odds) == 0 }}
			n := r.IntN(12)
			k.talk(r, n)
			requests += n
			gone += int(k.gone)
		}
		var kept script // run clears what it has read
		for _, ev := range s.events {
			ev.Data = []byte(string(ev.Data))
			kept.events = append(kept.events, ev)
		}
		out, e := run(t, s)
		givenUp := false // a connection, whose requests are then not known
		e.Ignored(func(string, uint64) { givenUp = true })
		if givenUp {
			continue
		}
		lost := counted(e)
		got := len(out.exchanges) + lost["toy_request_not_captured"] + lost["turn_not_captured"] + gone
		if got != requests {
			t.Fatalf("seed %d: %d exchanges, %v and %d turns: %d of %d requests\n%s", seed, len(out.exchanges), lost, gone, got, requests, described(kept.events))
		}
	}
}

// The event of an end may be lost, as may be what came before it.
func TestRequestsAreAccountedForWhereTheEndIsNotTold(t *testing.T) {
	s := new(script)
	lose := false
	k := &lossy{flow: s.flow(1, stream.Server), lose: func() bool { return lose }}
	k.event(capture.Opened, k.side)
	k.deliver()
	k.data(stream.Client, "?a\n", 0)
	k.data(stream.Server, "!0\n", 0)
	k.data(stream.Client, "?", 2)
	u := &lossy{flow: s.flow(2, stream.Server), lose: func() bool { return lose }}
	u.event(capture.Opened, u.side)
	u.deliver()
	lose = true // a turn that the next event tells of, on a connection that is not known
	u.data(stream.Client, "?b\n", 0)
	lose = false
	u.data(stream.Server, "", 3)
	other := s.flow(3, stream.Server).open()
	for range 3 {
		other.at += stream.Time(40 * time.Second)
		other.client("?c\n").server("!0\n")
	}
	var before map[string]int
	var e *engine.Engine
	s.atEnd = func() { before = counted(e) }
	e = engine.New(engine.Settings{
		Source: s, Sink: new(nothing), Protocols: []protocol.Protocol{newToy()},
		RequestTimeout: time.Minute, MaxConnections: 100, MaxState: 64 << 20,
	})
	if err := e.Run(); err != nil {
		t.Fatal(err)
	}
	if before["toy_request_not_captured"] != 1 || before["turn_not_captured"] != 1 {
		t.Errorf("counted: %v", before)
	}
	if after := counted(e); !maps.Equal(before, after) {
		t.Errorf("counted at the end: %v, before: %v", after, before)
	}
}

func described(events []capture.Event) string {
	var b strings.Builder
	for _, ev := range events {
		fmt.Fprintf(&b, "%d %v out=%v %v +%d %q of %d, turns %d %d %v\n", ev.Flow, ev.Kind, ev.Out, ev.Side, ev.Seq, ev.Data, ev.Len, ev.TurnsOut, ev.TurnsIn, ev.Turned)
	}
	return b.String()
}

package protocoltest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Accounts checks that requests that are lost are counted by a reason: whatever
// is missing of the conversations in testdata/name before the last request of
// each, as many are told or counted as there were, unless so much is missing
// that nobody could say which protocol was spoken. Where something is missing
// behind the last request, too, no more are told or counted than there were,
// except in the conversations that high names.
func Accounts(t *testing.T, p protocol.Protocol, name, reason string, high ...string) {
	for _, f := range load(t, name) {
		conversation := f.name()
		t.Run(conversation, func(t *testing.T) {
			for side := stream.Client; side <= stream.Server; side++ {
				c := checker{t: t, protocols: []protocol.Protocol{p}, file: f, side: side, random: rand.New(rand.NewPCG(*seed, uint64(side)))}
				c.whole = c.play(c.steps)
				c.accounts(reason, true)
				if !slices.Contains(high, conversation) {
					c.accounts(reason, false)
				}
			}
		})
	}
}

// accounts loses something before the last request, or anywhere: behind the
// last thing that was seen there may have been more.
func (c *checker) accounts(reason string, before bool) {
	c.t.Helper()
	last := epoch
	for i := range c.whole.records {
		last = max(last, c.whole.records[i].Start)
	}
	const rounds = 200
	unknown := 0
	for round := range rounds {
		r := c.play(c.holed(1+c.random.IntN(8), func(s *step) bool { return !before || epoch+stream.Time(s.at) < last }))
		switch told, lost, all := len(r.records), int(r.reasons[reason]), len(c.whole.records); {
		case told+lost == 0:
			unknown++
		case told+lost > all, before && told+lost < all:
			c.t.Errorf("%s, loss %d: %d requests told and %d lost, want %d together: %s", sections[c.side], round, told, lost, all, r.counted)
			return
		}
	}
	if before && unknown > rounds/3 {
		c.t.Errorf("%s: in %d of %d losses no protocol was recognised", sections[c.side], unknown, rounds)
	}
}

// Dialogues checks the same of a protocol.Dialogue, of whose connections the turns
// are counted: nothing need be seen of a request, of the last one neither. It takes
// the conversations for which turns are exact, not those that are unsure: in
// which a client pipelines, or says in turns of their own what is no request,
// or that turn to another protocol.
func Dialogues(t *testing.T, p protocol.Protocol, name string, unsure ...string) {
	for _, f := range load(t, name) {
		conversation := f.name()
		if slices.Contains(unsure, conversation) {
			continue
		}
		t.Run(conversation, func(t *testing.T) {
			for side := stream.Client; side <= stream.Server; side++ {
				c := checker{t: t, protocols: []protocol.Protocol{p}, file: f, side: side, random: rand.New(rand.NewPCG(*seed, uint64(side)))}
				c.whole = c.play(c.steps)
				c.dialogue(p.Name() + "_request_not_captured")
			}
		})
	}
}

func (c *checker) dialogue(reason string) {
	c.t.Helper()
	all := len(c.whole.records) + int(c.whole.reasons[reason])
	for round := range 200 {
		r := c.play(c.holed(1+c.random.IntN(8), func(*step) bool { return true }))
		if r.reasons["unknown_protocol"] > 0 { // given up: nobody counts any more
			continue
		}
		// A turn may have been none of a request: where too little was seen of a
		// connection to know its protocol, nobody can tell.
		told, lost, turns := len(r.records), int(r.reasons[reason]), int(r.reasons["turn_not_captured"])
		if n := told + lost; n > all || n+turns < all {
			c.t.Errorf("%s, loss %d: %d requests told and %d lost, want %d together: %s", sections[c.side], round, told, lost, all, r.counted)
			return
		}
	}
}

// holed returns the conversation without one in odds of the writes that may be
// lost, and without the ends of others.
func (c *checker) holed(odds int, may func(*step) bool) []step {
	steps := append([]step(nil), c.steps...)
	for i := range steps {
		s := &steps[i]
		switch {
		case s.kind != send || !may(s):
		case c.random.IntN(odds) == 0:
			s.lost = true
		case c.random.IntN(odds) == 0:
			n := c.random.IntN(len(s.data) + 1)
			s.missing += int64(len(s.data) - n)
			s.data = s.data[:n]
		}
	}
	return steps
}

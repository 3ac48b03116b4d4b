package protocoltest

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Accounts checks that requests that are lost are counted by a reason: whatever
// is missing of the conversations in testdata/name before the last request of
// each, as many are told or counted as there were, unless so much is missing
// that nobody could say which protocol was spoken. Where something is missing
// later, too, there are no more; but for those that may be counted too high.
func Accounts(t *testing.T, p protocol.Protocol, name, reason string, high ...string) {
	for _, f := range load(t, name) {
		conversation := strings.TrimSuffix(filepath.Base(f.path), ".txtar")
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
		steps := append([]step(nil), c.steps...)
		odds := 1 + c.random.IntN(8)
		for i := range steps {
			s := &steps[i]
			switch {
			case s.kind != send || before && epoch+stream.Time(s.at) >= last:
			case c.random.IntN(odds) == 0:
				s.lost = true
			case c.random.IntN(odds) == 0:
				n := c.random.IntN(len(s.data) + 1)
				s.missing += int64(len(s.data) - n)
				s.data = s.data[:n]
			}
		}
		r := c.play(steps)
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

// Package protocoltest checks a protocol against recorded conversations: what
// they give is written beside them, however they are cut the same comes out,
// and whatever is lost of them nothing false does.
package protocoltest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

var (
	// Update says that what tests write down of results is to be written anew.
	Update = flag.Bool("update", false, "write results into the files that they are compared with")
	seed   = flag.Uint64("seed", 1, "of the random cuts and losses; 0 takes a new one")
)

// secret stands in conversations where credentials do.
const secret = "hidden"

// An Option says what else Run has to know of a protocol.
type Option func(*checker)

// With adds protocols that conversations turn to, or begin in.
func With(others ...protocol.Protocol) Option {
	return func(c *checker) { c.protocols = append(c.protocols, others...) }
}

// Unmarked names attributes that an exchange may lack, and have a less specific
// name for it, without being marked as truncated: what told them was no part of it.
func Unmarked(attributes ...string) Option {
	return func(c *checker) { c.unmarked = append(c.unmarked, attributes...) }
}

// Default says that an attribute has this value where what tells it was lost.
func Default(attribute, value string) Option {
	return func(c *checker) {
		if c.defaults == nil {
			c.defaults = make(map[string]string)
		}
		c.defaults[attribute] = strconv.Quote(value)
	}
}

// Run checks p against the conversations in testdata/name.
func Run(t *testing.T, p protocol.Protocol, name string, options ...Option) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("seed %d", *seed)
	for _, f := range load(t, name) {
		t.Run(f.name(), func(t *testing.T) {
			c := checker{t: t, protocols: []protocol.Protocol{p}, file: f}
			for _, o := range options {
				o(&c)
			}
			var client *result
			for c.side = stream.Client; c.side <= stream.Server; c.side++ {
				c.random = rand.New(rand.NewPCG(*seed, uint64(c.side)))
				c.golden()
				c.cuts()
				c.limits()
				c.drops()
				c.sheds()
				c.skims()
				if c.side == stream.Client {
					client = c.whole
				} else if c.sound() {
					c.sameFirst("at the client's end", client)
				}
			}
			allocations(t, c.protocols, f)
		})
	}
	if *Update {
		t.Log("conversations rewritten: read the difference")
	}
}

// A checker looks at one conversation from one end.
type checker struct {
	t         *testing.T
	protocols []protocol.Protocol
	file
	unmarked []string
	defaults map[string]string // as they are shown

	side   stream.Side
	random *rand.Rand
	whole  *result
}

func (c *checker) play(steps []step) *result {
	c.t.Helper()
	r, err := playOnce(c.protocols, steps, c.side, c.Joined)
	if err != nil {
		c.t.Fatal(err)
	}
	for i := range r.records {
		rec := &r.records[i]
		if rec.Outcome == exchange.Open || rec.End < rec.Start || rec.Active > rec.End {
			c.t.Errorf("%s: %v, %d..%d, active %d", rec.summary, rec.Outcome, rec.Start, rec.End, rec.Active)
		}
	}
	return r
}

// golden compares with what the file says.
func (c *checker) golden() {
	c.t.Helper()
	c.whole = c.play(c.steps)
	got, section := c.whole.String(), sections[c.side]
	if strings.Contains(got, secret) {
		c.t.Errorf("a secret got out:\n%s", got)
	}
	if *Update {
		c.set(section, got)
		if err := os.WriteFile(c.path, []byte(c.archive.String()), 0o644); err != nil {
			c.t.Fatal(err)
		}
		return
	}
	if want := c.sections[section]; got != want {
		c.t.Errorf("%s:\n%s\nwant:\n%s", section, got, want)
	}
}

// sound reports whether nothing was lost or senseless in the conversation as
// it is. Elsewhere a write's beginning decides where sense begins again, and
// cutting writes moves it.
func (c *checker) sound() bool {
	return !c.whole.lossy
}

// cuts divides every write further, which must change nothing.
func (c *checker) cuts() {
	c.t.Helper()
	for _, size := range []int{1, 9, 1460, 4 << 10, 0, 0, 0, 0} {
		var steps []step
		for _, s := range c.steps {
			for {
				n := size
				if n == 0 {
					n = 1 + c.random.IntN(200)
				}
				if s.kind != send || n >= len(s.data) {
					break
				}
				piece := s
				piece.data, piece.missing = s.data[:n], 0
				steps = append(steps, piece)
				s.data = s.data[n:]
			}
			steps = append(steps, s)
		}
		r := c.play(steps)
		if got, want := r.String(), c.whole.String(); c.sound() && got != want {
			c.t.Errorf("%s, cut to pieces of %d:\n%s\nwant:\n%s", sections[c.side], size, got, want)
		}
		if c.sound() {
			c.sameFirst(fmt.Sprintf("cut to pieces of %d", size), r)
		}
	}
}

// sameFirst checks that both ends of an exchange can find each other: its first
// byte is the same wherever and in whatever pieces it is seen.
func (c *checker) sameFirst(how string, r *result) {
	c.t.Helper()
	for i := range min(len(r.records), len(c.whole.records)) {
		got, want := r.records[i].First, c.whole.records[i].First
		if got != want || !want.Known {
			c.t.Errorf("%s: first byte %v %s, want %v", r.records[i].summary, got, how, want)
		}
	}
}

// limits leaves out what is behind the first bytes of each write.
func (c *checker) limits() {
	c.t.Helper()
	for _, limit := range []int{0, 1, 10, 17, 50, 100, 200, 512, 1 << 10, 4 << 10} {
		steps := append([]step(nil), c.steps...)
		for i := range steps {
			if s := &steps[i]; len(s.data) > limit {
				s.missing += int64(len(s.data) - limit)
				s.data = s.data[:limit]
			}
		}
		c.subset(c.play(steps), fmt.Sprintf("captured up to %d bytes a write", limit), steps)
	}
}

// drops leaves out whole events, and parts of others.
func (c *checker) drops() {
	c.t.Helper()
	for round := range 100 {
		steps := c.holed(2+c.random.IntN(8), func(*step) bool { return true })
		c.subset(c.play(steps), fmt.Sprintf("loss %d", round), steps)
	}
}

// sheds lets the engine take what was learnt on the connection, again and again.
func (c *checker) sheds() {
	c.t.Helper()
	for round := range 30 {
		odds := 1 + c.random.IntN(8)
		var ps []protocol.Protocol
		for _, p := range c.protocols {
			ps = append(ps, forgetful{p, func() bool { return c.random.IntN(odds) == 0 }})
		}
		r, err := playWithin(tooMuch-1, ps, c.steps, c.side, c.Joined)
		if err != nil {
			c.t.Fatal(err)
		}
		c.subset(r, fmt.Sprintf("shed %d", round), c.steps)
	}
}

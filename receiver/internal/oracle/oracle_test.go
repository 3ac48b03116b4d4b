// Package oracle holds protocols against packet captures that others recorded
// and judged. The captures are not part of the repository: PERISCO_ORACLES
// names the folder that has them, and without it the tests are skipped.
package oracle

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An oracle is a folder of captures (*.pcap), each with a log beside it (*.log)
// that tells the exchanges in it.
type oracle struct {
	folder   string // below PERISCO_ORACLES
	protocol protocol.Protocol
	// columns of the log are compared, those that it has.
	columns []string
	// unmarked are attributes that may be absent though nothing says that bytes
	// were lost.
	unmarked []string
	// judged brings a row of the log, and told what came out here, into the same
	// words. judged reports false for what is no exchange here on principle.
	judged func(row) bool
	told   func(*record) row
	// differences are those from the log that are intended.
	differences map[string][]difference // by the name of the capture
}

// anything is a value of a column that is not to be compared.
const anything = "*"

// A difference is an exchange that is told otherwise here than in the log.
type difference struct {
	log  string // values of the columns; empty: the log has no such exchange
	here string // empty: there is none here
	why  string
}

var oracles = []oracle{httpOracle, mysqlOracle}

// captures calls test for every capture there is.
func captures(t *testing.T, test func(t *testing.T, o *oracle, name string, events []capture.Event)) {
	root := os.Getenv("PERISCO_ORACLES")
	if root == "" {
		t.Skip("PERISCO_ORACLES is not set: it names the folder of recorded captures")
	}
	for i := range oracles {
		o := &oracles[i]
		t.Run(o.folder, func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join(root, o.folder, "*.pcap*"))
			if err != nil || len(files) == 0 {
				t.Fatalf("no captures in %s: %v", filepath.Join(root, o.folder), err)
			}
			for _, file := range files {
				name, _, _ := strings.Cut(filepath.Base(file), ".pcap")
				t.Run(name, func(t *testing.T) { test(t, o, filepath.Join(filepath.Dir(file), name), read(t, file)) })
			}
		})
	}
}

func TestExchangesAreThoseOfTheLog(t *testing.T) {
	captures(t, func(t *testing.T, o *oracle, path string, events []capture.Event) {
		log, err := parseLog(path + ".log")
		if err != nil {
			t.Fatal(err)
		}
		columns := slices.DeleteFunc(slices.Clone(o.columns), func(c string) bool { return !slices.Contains(log.columns, c) })
		var want, got conversations
		for _, r := range log.rows {
			if o.judged(r) {
				want.add(r["uid"], r.values(columns))
			}
		}
		for _, r := range run(t, o.protocol, events).records {
			got.add(r.flow, o.told(&r).values(columns))
		}
		for _, d := range o.differences[filepath.Base(path)] {
			switch {
			case d.log == "" && !got.replace(d.here, ""):
				t.Errorf("there is no %q", d.here)
			case d.log != "" && !want.replace(d.log, d.here):
				t.Errorf("the log does not say %q", d.log)
			}
		}
		for _, w := range want.exchanges {
			if len(w) > 0 && !got.take(w) {
				t.Errorf("not seen:\n    %s", strings.Join(text(w), "\n    "))
			}
		}
		for _, g := range got.exchanges {
			if len(g) > 0 {
				t.Errorf("not in the log:\n    %s", strings.Join(text(g), "\n    "))
			}
		}
	})
}

// conversations are the exchanges of each connection, in order. The log
// has names of its own for connections, and not always their addresses.
type conversations struct {
	names     []string
	exchanges [][][]string // of each connection, of each exchange, the columns
}

func (c *conversations) add(name string, values []string) {
	i := slices.Index(c.names, name)
	if i < 0 {
		i = len(c.names)
		c.names = append(c.names, name)
		c.exchanges = append(c.exchanges, nil)
	}
	c.exchanges[i] = append(c.exchanges[i], values)
}

// replace replaces the first exchange that is told so, or takes it away.
func (c *conversations) replace(old, with string) bool {
	for i, exchanges := range c.exchanges {
		j := slices.Index(text(exchanges), old)
		switch {
		case j < 0:
			continue
		case with == "":
			c.exchanges[i] = slices.Delete(exchanges, j, j+1)
		default:
			exchanges[j] = strings.Split(with, " ")
		}
		return true
	}
	return false
}

// take takes away a connection with these exchanges.
func (c *conversations) take(want [][]string) bool {
	for i, got := range c.exchanges {
		if slices.EqualFunc(got, want, func(a, b []string) bool {
			return slices.EqualFunc(a, b, func(a, b string) bool { return a == b || a == anything })
		}) {
			c.exchanges[i] = nil
			return true
		}
	}
	return false
}

func text(exchanges [][]string) (all []string) {
	for _, x := range exchanges {
		all = append(all, strings.Join(x, " "))
	}
	return all
}

func TestTheSameComesOutHoweverTheCaptureIsCut(t *testing.T) {
	captures(t, func(t *testing.T, o *oracle, _ string, events []capture.Event) {
		whole := run(t, o.protocol, events)
		if len(whole.losses) > 0 {
			// Sense is looked for where a write begins, and cuts move that.
			t.Skipf("not all of the capture makes sense: %s", whole.losses)
		}
		r := random(t)
		events = merge(events, 64<<10)
		for _, size := range []int{1, 9, 1460, 4 << 10, 64 << 10, 0} {
			cut := run(t, o.protocol, cuts(events, size, r))
			if got, want := cut.tell(), whole.tell(); !slices.Equal(got, want) {
				t.Errorf("in pieces of %d:\n%s\n\nwant:\n%s", size, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	})
}

func TestWhatIsLostIsAbsentAndNothingIsWrong(t *testing.T) {
	captures(t, func(t *testing.T, o *oracle, _ string, events []capture.Event) {
		whole := run(t, o.protocol, events)
		if len(whole.losses) > 0 {
			// Sense is looked for where a write begins, and cuts move that.
			t.Skipf("not all of the capture makes sense: %s", whole.losses)
		}
		r := random(t)
		check := func(events []capture.Event, how string) {
			run(t, o.protocol, events).within(t, o, whole, how)
		}
		// Packets, events of 4 KiB as the kernel would report them, and larger ones
		// of which it copies so much.
		for _, size := range []int{0, 4 << 10, 64 << 10} {
			events := merge(events, size)
			how := fmt.Sprintf("events of %d bytes", size)
			check(events, how)
			for _, limit := range []int{0, 16, 64, 200, 512, 4 << 10} {
				check(limits(events, limit), fmt.Sprintf("%s, captured to %d", how, limit))
			}
			for i := range 100 {
				check(drops(events, 2+r.IntN(12), r), fmt.Sprintf("%s, loss %d", how, i))
			}
		}
	})
}

func random(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// within checks that r, of which something was lost, says nothing that whole
// does not say: every exchange is one of whole, on the same connection, begun at
// the same time, and what is said of it is the same or absent.
func (r *result) within(t *testing.T, o *oracle, whole *result, how string) {
	t.Helper()
	taken := make([]bool, len(whole.records))
	for i := range r.records {
		x := &r.records[i]
		found := false
		for j := range whole.records {
			if w := &whole.records[j]; !taken[j] && x.partOf(w, o) {
				taken[j], found = true, true
				break
			}
		}
		if !found {
			var of []string
			for j := range whole.records {
				if w := &whole.records[j]; w.flow == x.flow && w.start == x.start {
					of = append(of, w.String())
				}
			}
			t.Errorf("%s: made up:\n%s\nof:\n%s", how, x, strings.Join(of, "\n"))
		}
	}
}

// partOf reports whether x can be what is left of w.
func (x *record) partOf(w *record, o *oracle) bool {
	if x.flow != w.flow || x.start != w.start {
		return false
	}
	for k, v := range x.attributes {
		if w.attributes[k] != v {
			return false
		}
	}
	switch {
	case x.outcome == exchange.Lost, x.outcome == exchange.Evicted:
		return x.errorType == ""
	case x.truncated:
		return true
	}
	// Told without a mark, so nothing may be absent or changed.
	for k := range w.attributes {
		if _, ok := x.attributes[k]; !ok && !slices.Contains(o.unmarked, k) {
			return false
		}
	}
	return x.outcome == w.outcome && x.errorType == w.errorType
}

// cuts divides the bytes of events into pieces, of 1 to 200 bytes if size is 0.
func cuts(events []capture.Event, size int, r *rand.Rand) (out []capture.Event) {
	for _, e := range events {
		for e.Kind == capture.Data && len(e.Data) > 0 {
			n := size
			if n == 0 {
				n = 1 + r.IntN(200)
			}
			if n >= len(e.Data) {
				break
			}
			piece := e
			piece.Data, piece.Len, piece.Missing = e.Data[:n], uint32(n), ""
			out = append(out, piece)
			e.Data, e.Len, e.Seq = e.Data[n:], e.Len-uint32(n), e.Seq+uint32(n)
		}
		out = append(out, e)
	}
	return out
}

// limits leaves out what is behind the first bytes of each event.
func limits(events []capture.Event, limit int) []capture.Event {
	events = slices.Clone(events)
	for i := range events {
		if e := &events[i]; len(e.Data) > limit {
			e.Data, e.Missing = e.Data[:limit], "cut"
		}
	}
	return events
}

// merge makes one event of those that follow each other in one direction, up
// to size bytes, as a process would read them. 0 leaves them as they are.
func merge(events []capture.Event, size int) (out []capture.Event) {
	last := make(map[capture.FlowID]int)
	for _, e := range events {
		i, ok := last[e.Flow]
		if ok {
			if l := &out[i]; l.Kind == capture.Data && e.Kind == capture.Data && l.Out == e.Out && len(l.Data) == int(l.Len) &&
				l.Seq+l.Len == e.Seq && len(l.Data)+len(e.Data) <= size {
				l.Data = slices.Concat(l.Data, e.Data)
				l.Len, l.Time, l.Ack, l.Missing = l.Len+e.Len, e.Time, e.Ack, e.Missing
				continue
			}
		}
		last[e.Flow] = len(out)
		out = append(out, e)
	}
	return out
}

// drops leaves out one in odds events, and the ends of others.
func drops(events []capture.Event, odds int, r *rand.Rand) (out []capture.Event) {
	for _, e := range events {
		switch {
		case e.Kind != capture.Data:
		case r.IntN(odds) == 0:
			continue
		case r.IntN(odds) == 0:
			if n := r.IntN(len(e.Data) + 1); n < len(e.Data) {
				e.Data, e.Missing = e.Data[:n], "cut"
			}
		}
		out = append(out, e)
	}
	return out
}

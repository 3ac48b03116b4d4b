package engine_test

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ms = stream.Time(time.Millisecond)

// script is a source that plays events. It is its own record of what the
// engine asked of it.
type script struct {
	events []capture.Event
	next   int
	asked  []string
	atEnd  func()
	epoch  func() int64 // nil: 0
	pause  stream.Time  // for so long nothing happens before the last event
	now    stream.Time
	lost   stream.Time
}

var _ capture.Shard = (*script)(nil)

func (s *script) Next(e *capture.Event) error {
	if s.next == len(s.events) {
		if s.atEnd != nil {
			s.atEnd()
		}
		return io.EOF
	}
	if at := s.events[s.next].Time; s.now < at-ms && s.pause > 0 && s.next == len(s.events)-1 {
		s.now = max(s.now, at-s.pause) + 50*ms
		return os.ErrDeadlineExceeded
	}
	*e = s.events[s.next]
	// The data is valid until the next call, and not a moment longer.
	if s.next > 0 {
		clear(s.events[s.next-1].Data)
	}
	s.next++
	return nil
}

func (s *script) SetDeadline(time.Time)    {}
func (s *script) LostAt() stream.Time      { return s.lost }
func (s *script) Ignore(id capture.FlowID) { s.ask("ignore %d", id) }
func (s *script) Whole(id capture.FlowID, skim stream.Framing) {
	s.ask("whole %d skim=%v", id, skim.SkimFrom > 0)
}
func (s *script) Now() stream.Time { return s.now }
func (s *script) Epoch() int64 {
	if s.epoch == nil {
		return 0
	}
	return s.epoch()
}
func (s *script) ask(format string, args ...any) {
	s.asked = append(s.asked, fmt.Sprintf(format, args...))
}
func (s *script) Skip(id capture.FlowID, out bool, until uint32) {
	s.ask("skip %d out=%v until %d", id, out, until)
}

func (s *script) Frames(id capture.FlowID, out bool, at uint32) {
	s.ask("frames %d out=%v at %d", id, out, at)
}

// flow writes the events of one connection.
type flow struct {
	*script
	id      capture.FlowID
	side    stream.Side // observed
	sure    bool
	seq     [2]uint32 // by sender
	at      stream.Time
	unseq   bool
	process uint32
}

func (s *script) flow(id capture.FlowID, side stream.Side) *flow {
	return &flow{script: s, id: id, side: side, sure: true, seq: [2]uint32{1000, 2000}, process: uint32(id)}
}

func (f *flow) event(kind capture.Kind, sender stream.Side) *capture.Event {
	f.at += ms
	f.events = append(f.events, capture.Event{
		Flow: f.id, Kind: kind, Out: sender == f.side, Side: f.side, Sure: f.sure, Time: f.at,
		Seq: f.seq[sender], Ack: f.seq[sender.Peer()], Sequenced: !f.unseq, PID: f.process,
		Peer: netip.MustParseAddrPort("192.0.2.1:80"),
	})
	return &f.events[len(f.events)-1]
}

func (f *flow) open() *flow                             { f.event(capture.Opened, f.side); return f }
func (f *flow) client(s string) *flow                   { return f.send(stream.Client, s, 0) }
func (f *flow) server(s string) *flow                   { return f.send(stream.Server, s, 0) }
func (f *flow) unseen(side stream.Side, n uint32) *flow { f.seq[side] += n; return f }
func (f *flow) close()                                  { f.event(capture.Closed, f.side) }

// passed sends n bytes that are passed over, and behind them others.
func (f *flow) passed(side stream.Side, n uint32, s string) *flow {
	f.send(side, s, n)
	e := &f.events[len(f.events)-1]
	e.Passed, e.Turned = n, true
	e.TurnsOut, e.TurnsIn = 1, 0
	return f
}

func (f *flow) send(side stream.Side, s string, missing uint32) *flow {
	e := f.event(capture.Data, side)
	e.Data, e.Len = []byte(s), uint32(len(s))+missing
	f.seq[side] += e.Len
	return f
}

// sink writes down what it is given.
type sink struct {
	exchanges []string
	processes []uint32
	durations []time.Duration
	epochs    []int64
}

func (s *sink) Process(p exchange.Process)  { s.processes = append(s.processes, p.PID) }
func (s *sink) Tick(_ stream.Time, e int64) { s.epochs = append(s.epochs, e) }
func (s *sink) Flush()                      {}
func (s *sink) Emit(x exchange.Exchange) {
	c := x.Base()
	s.exchanges = append(s.exchanges, fmt.Sprintf("%s %s %v", c.Endpoint.Side, x.Summary(nil), c.Outcome))
	s.durations = append(s.durations, time.Duration(c.End-c.Start))
}

func run(t *testing.T, s *script, change ...func(*engine.Settings)) (*sink, *engine.Engine) {
	t.Helper()
	out := new(sink)
	settings := engine.Settings{
		Source: s, Sink: out, Protocols: []protocol.Protocol{newToy()},
		RequestTimeout: time.Minute, MaxConnections: 100, MaxState: 64 << 20,
	}
	for _, c := range change {
		c(&settings)
	}
	e := engine.New(settings)
	if err := e.Run(); err != nil {
		t.Fatal(err)
	}
	if st := e.Stats(); st.OpenExchanges != 0 || st.Connections != 0 {
		t.Errorf("after the end: %+v", st)
	}
	return out, e
}

func losses(e *engine.Engine) string {
	var all []string
	add := func(reason string, n uint64) { all = append(all, fmt.Sprintf("%s=%d", reason, n)) }
	e.Losses(add)
	e.Ignored(add)
	e.Truncated(func(_ string, n uint64) { add("truncated", n) })
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestAnExchangeLastsFromTheFirstByteToTheLast(t *testing.T) {
	s := new(script)
	s.flow(1, stream.Server).open().client("?").client("a\n").server("!4\n").server("ab").server("cd").close()
	out, _ := run(t, s)
	if want := []time.Duration{4 * time.Millisecond}; !slices.Equal(out.durations, want) {
		t.Errorf("durations %v, want %v", out.durations, want)
	}
}

// A connection may wait for its protocol to be found while several messages come.
func TestExchangesThatWaitedForDetectionHaveTheirTimes(t *testing.T) {
	s := new(script)
	s.flow(1, stream.Server).open().client("(").client("?a\n?").client("b\n").server("(").server("!1\n").server("x!2\nx").server("y").close()
	out, _ := run(t, s)
	// Opened at 1 ms: a from 3 to 7, b from 3 to 8.
	if want := []time.Duration{4 * time.Millisecond, 5 * time.Millisecond}; !slices.Equal(out.durations, want) {
		t.Errorf("durations %v, want %v", out.durations, want)
	}
}

func TestUnansweredRequestsExpire(t *testing.T) {
	s := new(script)
	f := s.flow(1, stream.Server).open().client("?a\n")
	g := s.flow(2, stream.Server)
	for range 40 {
		g.at += 2000 * ms
		g.client("?b\n").server("!0\n")
	}
	f.at = g.at
	f.server("!0\n") // too late: told already
	out, e := run(t, s)
	if n := slices.Index(out.exchanges, "server a expired"); n < 0 {
		t.Errorf("exchanges %q", out.exchanges)
	} else if d := out.durations[n]; d < time.Minute || d > 70*time.Second {
		t.Errorf("expired after %v, want a minute", d)
	}
	if slices.Contains(out.exchanges, "server a answered") || losses(e) != "" {
		t.Errorf("exchanges %q, losses %s", out.exchanges, losses(e))
	}
}

// What was lost may be the answer of any request that was asked before, unless its
// connection was heard of since.
func TestAnAnswerThatMayHaveBeenLostIsNoTimeout(t *testing.T) {
	const lost = 500 * ms
	for _, c := range []struct {
		name string
		then func(*flow)
		want string
	}{
		{"nothing was heard", func(*flow) {}, "c lost"},
		{"the client was", func(f *flow) { f.client("?d\n") }, "c lost"},
		{"the server was", func(f *flow) { f.server("!0\n") }, "c lost"},
		{"both were", func(f *flow) { f.client("?d\n").server("!0\n") }, "c expired"},
		{"both were, and nobody said how far they had come", func(f *flow) {
			f.unseq = true
			f.client("?d\n").server("!0\n")
		}, "c lost"},
		{"another was asked", func(f *flow) { f.client("?d\n") }, "d expired"},
	} {
		s := &script{lost: lost}
		f := s.flow(1, stream.Server).open().client("?a\n?b\n?c\n")
		f.at = lost
		c.then(f)
		g := s.flow(2, stream.Server)
		for range 40 {
			g.at += 2000 * ms
			g.client("?x\n").server("!0\n")
		}
		if out, _ := run(t, s); !slices.Contains(out.exchanges, "server "+c.want) {
			t.Errorf("%s: no %q in %q", c.name, c.want, out.exchanges[:4])
		}
	}
}

func TestMessagesThatNeverEndAreNotWaitedForWithoutEnd(t *testing.T) {
	s := new(script)
	f := s.flow(1, stream.Server).open().client("?a")
	waits := s.flow(2, stream.Server).open().client("(") // for more, to be recognised
	g := s.flow(3, stream.Server)
	for range 40 {
		g.at += 2000 * ms
		g.client("?c\n").server("!0\n")
	}
	f.at, waits.at = g.at, g.at
	f.client("?b\n").server("!0\n").close()
	waits.client("?d\n").server("!0\n").close()
	out, e := run(t, s)
	for _, want := range []string{"server b answered", "server d answered"} {
		if !slices.Contains(out.exchanges, want) {
			t.Errorf("no %q in %q", want, out.exchanges)
		}
	}
	if losses(e) != "message_without_end=1" {
		t.Errorf("losses %s", losses(e))
	}
}

// lull is a source in which nothing happens for some deadlines, then something,
// and then nothing again.
type lull struct {
	script
	waits []time.Duration
	left  int
}

func (l *lull) SetDeadline(at time.Time) { l.waits = append(l.waits, time.Until(at)) }

func (l *lull) Next(e *capture.Event) error {
	l.left--
	if l.left == 1 {
		*e = capture.Event{Kind: capture.Opened, Flow: 1}
		return nil
	}
	if l.left < 0 {
		return io.EOF
	}
	return os.ErrDeadlineExceeded
}

func TestPausesGrowWithASilenceAndEndWithIt(t *testing.T) {
	const usual, most = 50 * time.Millisecond, time.Second
	l := &lull{left: 100}
	e := engine.New(engine.Settings{Source: l, Sink: &sink{}, RequestTimeout: time.Minute, MaxConnections: 10})
	if err := e.Run(); err != nil {
		t.Fatal(err)
	}
	if longest := slices.Max(l.waits); longest <= usual || longest > most {
		t.Errorf("waits for %v, want more than %v and at most %v", longest, usual, most)
	}
	for _, w := range []time.Duration{l.waits[0], l.waits[len(l.waits)-2]} { // at first, and behind the event
		if w > usual {
			t.Errorf("waits for %v, want at most %v", w, usual)
		}
	}
}

func TestTheClockOfTheMachineMayBeSet(t *testing.T) {
	s := new(script)
	f := s.flow(1, stream.Server).open()
	for range 3 {
		f.at += 100 * ms
		f.client("?a\n").server("!0\n")
	}
	begin := 1_000_000 * int64(time.Second)
	s.epoch = func() int64 { return begin + int64(s.next)*int64(time.Hour) }
	out, _ := run(t, s)
	for i := 1; i < len(out.epochs); i++ {
		if out.epochs[i] <= out.epochs[i-1] || out.epochs[i] <= begin {
			t.Fatalf("epochs %v, want what the source says each time", out.epochs)
		}
	}
	if len(out.epochs) < 3 {
		t.Errorf("%d ticks", len(out.epochs))
	}
}

// As where the time comes over the network after a machine has started.
func TestSettingTheClockMakesNothingOlder(t *testing.T) {
	for _, c := range []struct {
		pause stream.Time
		want  string
	}{
		{30_000 * ms, "server a answered"},
		{90_000 * ms, "server a expired"}, // it still does
	} {
		s := new(script)
		f := s.flow(1, stream.Server).open().client("?a\n")
		f.at += c.pause
		f.server("!0\n")
		s.pause = c.pause
		const year = 365 * 24 * int64(time.Hour)
		s.epoch = func() int64 { return int64(s.now/(1000*ms)%3) * year }
		out, e := run(t, s)
		if !slices.Equal(out.exchanges, []string{c.want}) || losses(e) != "" {
			t.Errorf("exchanges %q after %v, losses %s, want %q", out.exchanges, time.Duration(c.pause), losses(e), c.want)
		}
	}
}

func TestTheConnectionThatWasSilentLongestIsEvicted(t *testing.T) {
	s := new(script)
	a, b := s.flow(1, stream.Server).open().client("?a\n"), s.flow(2, stream.Server).open().client("?b\n")
	a.client("?aa\n")
	s.flow(3, stream.Server).open()
	b.close()
	a.server("!0\n!0\n")
	out, e := run(t, s, func(s *engine.Settings) { s.MaxConnections = 2 })
	if want := []string{"server b evicted", "server a answered", "server aa answered"}; !slices.Equal(out.exchanges, want) {
		t.Errorf("exchanges %q, want %q", out.exchanges, want)
	}
	if losses(e) != "connection_evicted=1 truncated=1" {
		t.Errorf("losses %s", losses(e))
	}
}

func TestAConnectionOfWhichTheEndIsNotToldIsForgottenAtLast(t *testing.T) {
	s := new(script)
	s.flow(1, stream.Server).open().client("?a\n") // its request expires first
	s.flow(2, stream.Server).open().client("?b\n").server("!0\n")
	f := s.flow(3, stream.Server).open().client("?c\n").server("!0\n")
	for range 10 {
		f.at += stream.Time(time.Hour)
		f.client("?d\n").server("!0\n")
	}
	var kept int64
	e := engine.New(engine.Settings{
		Source: s, Sink: new(nothing), Protocols: []protocol.Protocol{newToy()}, RequestTimeout: time.Minute, MaxConnections: 100, MaxState: 64 << 20,
	})
	s.atEnd = func() { kept = e.Stats().Connections }
	if err := e.Run(); err != nil {
		t.Fatal(err)
	}
	if kept != 1 || losses(e) != "connection_forgotten=2" {
		t.Errorf("%d connections are kept, losses %s", kept, losses(e))
	}
}

func TestTheProcessIsThatWhichMovedTheBytes(t *testing.T) {
	s := new(script)
	f := s.flow(1, stream.Server).open().client("?a\n")
	f.process = 77 // the socket was handed on
	f.server("!0\n").close()
	out, _ := run(t, s)
	if want := []uint32{1, 77}; !slices.Equal(out.processes, want) {
		t.Errorf("processes %v, want %v", out.processes, want)
	}
}

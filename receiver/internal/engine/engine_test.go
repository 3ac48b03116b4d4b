package engine_test

import (
	"fmt"
	"io"
	"math/rand/v2"
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
	"github.com/perisco-io/perisco/receiver/internal/protocol/protocoltest"
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
}

var _ capture.Source = (*script)(nil)

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

func (s *script) SetDeadline(time.Time)       {}
func (s *script) Losses(func(string, uint64)) {}
func (s *script) Close() error                { return nil }
func (s *script) Ignore(id capture.FlowID)    { s.ask("ignore %d", id) }
func (s *script) Whole(id capture.FlowID, skim bool) {
	s.ask("whole %d skim=%v", id, skim)
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

func TestConversations(t *testing.T) {
	for _, c := range []struct {
		name   string
		script func(*script)
		want   []string // exchanges
		losses string
		asked  []string // of the source
	}{
		{
			name: "two exchanges seen from the server",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n").server("!3\nabc").client("?b\n").server("!0\n").close()
			},
			want: []string{"server a answered", "server b answered"},
		},
		{
			name:   "seen from the client",
			script: func(s *script) { s.flow(1, stream.Client).open().client("?a\n").server("!3\nabc").close() },
			want:   []string{"client a answered"},
		},
		{
			name: "messages are cut anywhere",
			script: func(s *script) {
				f := s.flow(1, stream.Server).open()
				for _, c := range []string{"?", "nam", "e", "\n"} {
					f.client(c)
				}
				for _, c := range []string{"!", "1", "0\n01", "234567", "89"} {
					f.server(c)
				}
			},
			want: []string{"server name answered"},
		},
		{
			name: "a wrong guess of the role is corrected by what is said",
			script: func(s *script) {
				f := s.flow(1, stream.Server)
				f.sure = false
				f.side = stream.Client // the truth: it guesses Server below
				f.client("?a\n").server("!0\n").close()
				for i := range s.events {
					s.events[i].Side = stream.Server
				}
			},
			want: []string{"client a answered"},
		},
		{
			name: "where no process was observed it is the server that is told about",
			script: func(s *script) {
				f := s.flow(1, stream.Client)
				f.sure, f.process = false, 0
				f.client("?a\n").server("!0\n").close()
				for i := range s.events {
					s.events[i].Side = stream.Server // guessed
				}
			},
			want: []string{"server a answered"},
		},
		{
			name: "a connection that was joined in the middle of an answer",
			script: func(s *script) {
				s.flow(1, stream.Server).server("rest of a body").server("more").client("?a\n").server("!0\n").close()
			},
			want: []string{"server a answered"},
		},
		{
			name: "a connection that was joined between request and answer",
			script: func(s *script) {
				s.flow(1, stream.Server).server("!0\n").client("?a\n").server("!0\n").close()
			},
			want:   []string{"server a answered"},
			losses: "answer_without_request=1",
		},
		{
			name: "an answer that overtook its request waits for it",
			script: func(s *script) {
				s.flow(1, stream.Client).open().client("?a\n").server("!0\n").server("!0\n").client("?b\n").close()
			},
			want: []string{"client a answered", "client b answered"},
		},
		{
			name: "an answer does not wait longer than a flush interval",
			script: func(s *script) {
				f := s.flow(1, stream.Client).open().client("?a\n").server("!0\n").server("!0\n")
				f.at += 100 * ms
				s.flow(2, stream.Client).at = f.at
				g := s.flow(2, stream.Client)
				g.at = f.at
				g.open() // time passes
				f.at += 100 * ms
				f.client("?b\n").server("!0\n").close()
			},
			want:   []string{"client a answered", "client b answered"},
			losses: "answer_without_request=1",
		},
		{
			name: "a server does not answer before it was asked",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n").server("!0\n").server("!0\n").client("?b\n").close()
			},
			want:   []string{"server a answered", "server b closed"},
			losses: "answer_without_request=1",
		},
		{
			name: "an answer of which no event came",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n").unseen(stream.Server, 3).
					client("?b\n").server("!0\n").client("?c\n").server("!0\n").close()
			},
			want:   []string{"server a lost", "server b lost", "server c answered"},
			losses: "answer_without_request=1 message_cut_by_sequence_gap=1 sequence_gap=1 truncated=2",
		},
		{
			name: "the last answer was lost, which shows when the connection ends",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n").unseen(stream.Server, 3).close()
			},
			want:   []string{"server a lost"},
			losses: "message_cut_by_sequence_gap=1 sequence_gap=1 truncated=1",
		},
		{
			name: "a connection of which no data is reported loses none",
			script: func(s *script) {
				s.flow(1, stream.Server).open().unseen(stream.Client, 90).unseen(stream.Server, 90).close()
			},
		},
		{
			name:   "a FIN that was counted is no loss",
			script: func(s *script) { s.flow(1, stream.Server).open().client("?a\n").unseen(stream.Server, 1).close() },
			want:   []string{"server a closed"},
		},
		{
			name: "a hole in a body is no loss",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n").server("!100\nabc").unseen(stream.Server, 90).
					server("1234567").client("?b\n").send(stream.Server, "!50\n", 50).close()
			},
			want:   []string{"server a answered", "server b answered"},
			losses: "sequence_gap=1",
		},
		{
			name: "the first event was lost",
			script: func(s *script) {
				s.flow(1, stream.Server).open().unseen(stream.Client, 3).server("!0\n").client("?b\n").server("!0\n").close()
			},
			want:   []string{"server b answered"},
			losses: "answer_without_request=1 message_cut_by_sequence_gap=1 sequence_gap=1",
		},
		{
			name: "bytes that were told twice count once",
			script: func(s *script) {
				f := s.flow(1, stream.Server).open().client("?a\n")
				f.seq[stream.Client] -= 2
				f.client("a\n?b\n").server("!0\n").server("!0\n").close()
			},
			want:   []string{"server a answered", "server b answered"},
			losses: "out_of_order=1",
		},
		{
			name: "sequence numbers wrap",
			script: func(s *script) {
				f := s.flow(1, stream.Server)
				f.seq = [2]uint32{0xffff_fffe, 0xffff_fffa}
				f.open().client("?a\n").server("!9\n123").server("456789").client("?b\n").server("!0\n").close()
			},
			want: []string{"server a answered", "server b answered"},
		},
		{
			name: "a connection without sequence numbers",
			script: func(s *script) {
				f := s.flow(1, stream.Server)
				f.unseq = true
				f.open().client("?a\n").server("!9\n123").server("456789").client("?b\n").server("!0\n").close()
			},
			want: []string{"server a answered", "server b answered"},
		},
		{
			name: "the connection is reset before the answer",
			script: func(s *script) {
				f := s.flow(1, stream.Server).open().client("?a\n")
				f.event(capture.Closed, f.side).Reset = true
			},
			want: []string{"server a reset"},
		},
		{
			name:   "the source ends before the answer",
			script: func(s *script) { s.flow(1, stream.Server).open().client("?a\n") },
			want:   []string{"server a evicted"},
			losses: "truncated=1",
		},
		{
			name:   "a connection that turns to something else is ignored",
			script: func(s *script) { s.flow(1, stream.Server).open().client("?a\n").server("X\n").client("?b\n").close() },
			want:   []string{"server a answered"},
			losses: "upgraded=1",
			asked:  []string{"ignore 1", "ignore 1"},
		},
		{
			name:   "TLS is ignored",
			script: func(s *script) { s.flow(1, stream.Server).open().client("\x16\x03\x01\x02\x00\x01").close() },
			losses: "encrypted=1",
			asked:  []string{"ignore 1"},
		},
		{
			name:   "and so is one that is met in its middle",
			script: func(s *script) { s.flow(1, stream.Server).client("\x17\x03\x03\x00\x20\xf7").close() },
			losses: "encrypted=1",
			asked:  []string{"ignore 1"},
		},
		{
			name:   "what nobody knows is ignored",
			script: func(s *script) { s.flow(1, stream.Server).open().client("EHLO\n").close() },
			losses: "unknown_protocol=1",
			asked:  []string{"ignore 1"},
		},
		{
			name: "a joined connection that never makes sense is ignored",
			script: func(s *script) {
				f := s.flow(1, stream.Server)
				for range 20 {
					f.client("foo").server("bar").server("bar")
				}
			},
			losses: "unknown_protocol=1",
			asked:  slices.Repeat([]string{"ignore 1"}, 1+60-23),
		},
		{
			name: "the source is told what nobody wants, and when that is over",
			script: func(s *script) {
				f := s.flow(1, stream.Server).open().client("?a\n").server("!100000\n")
				f.send(stream.Server, "", 60_000).send(stream.Server, "", 40_000).client("?b\n").server("!0\n").close()
			},
			want:  []string{"server a answered", "server b answered"},
			asked: []string{"skip 1 out=true until 102008", "skip 1 out=true until 102008"},
		},
		{
			name: "of what is skipped the source may say nothing",
			script: func(s *script) {
				f := s.flow(1, stream.Server).open().client("?a\n").server("!100000\n")
				f.unseen(stream.Server, 50000).send(stream.Server, "", 10000)
				f.unseen(stream.Server, 30000).client("?b\n").send(stream.Server, "", 10000)
				f.server("!100000\n").unseen(stream.Server, 60000).close()
			},
			want:  []string{"server a answered", "server b closed"},
			asked: []string{"skip 1 out=true until 102008", "skip 1 out=true until 102008", "skip 1 out=true until 202016"},
		},
		{
			name: "but its end is lost if nothing is said of that",
			script: func(s *script) {
				f := s.flow(1, stream.Server).open().client("?a\n").server("!100000\n")
				f.unseen(stream.Server, 100000).client("?b\n").server("!0\n").close()
			},
			want:   []string{"server a answered", "server b answered"},
			losses: "sequence_gap=1",
			asked:  []string{"skip 1 out=true until 102008", "skip 1 out=true until 102011"},
		},
		{
			name: "more requests in a row than are kept",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n?b\n?c\n?d\n?e\n").server("!0\n").close()
			},
			want:   []string{"server a evicted", "server b evicted", "server c evicted", "server d evicted"},
			losses: "abandoned=1 truncated=4",
			asked:  []string{"ignore 1", "ignore 1"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := new(script)
			c.script(s)
			out, e := run(t, s)
			if !slices.Equal(out.exchanges, c.want) {
				t.Errorf("exchanges %q, want %q", out.exchanges, c.want)
			}
			if got := losses(e); got != c.losses {
				t.Errorf("losses %q, want %q", got, c.losses)
			}
			if !slices.Equal(s.asked, c.asked) {
				t.Errorf("asked %q, want %q", s.asked, c.asked)
			}
		})
	}
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

// Whatever is lost, every answered exchange is one that took place, and every
// request that was parsed is accounted for.
func TestNothingIsMadeUpUnderLoss(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		s := new(script)
		flows := make([]*flow, 1+r.IntN(4))
		for i := range flows {
			flows[i] = s.flow(capture.FlowID(i+1), stream.Side(r.IntN(2)))
			if r.IntN(2) == 0 {
				flows[i].open()
			}
		}
		for n := range 200 {
			f := flows[r.IntN(len(flows))]
			f.client(fmt.Sprintf("?%d/%d\n", f.id, n))
			// The answer names its request, so that a wrong pair would show.
			f.server(fmt.Sprintf("!%d\n%s", 10, strings.Repeat("x", 10)))
		}
		kept := s.events[:0]
		for _, e := range s.events {
			switch r.IntN(20) {
			case 0: // lost
				continue
			case 1: // the copy was cut short
				e.Data = e.Data[:r.IntN(len(e.Data)+1)]
			}
			kept = append(kept, e)
		}
		s.events = kept
		out, e := run(t, s)
		var ended uint64
		e.Exchanges(func(_ string, _ exchange.Outcome, n uint64) { ended += n })
		if ended != uint64(len(out.exchanges)) {
			t.Fatalf("%d exchanges counted, %d handed out", ended, len(out.exchanges))
		}
		seen := make(map[string]bool)
		for _, x := range out.exchanges {
			if seen[x] {
				t.Fatalf("%q was told twice", x)
			}
			seen[x] = true
		}
	}
}

// loop plays the first two events of a script again and again.
type loop struct {
	script
	left int
}

func (l *loop) Next(e *capture.Event) error {
	if l.left--; l.left < 0 {
		return os.ErrClosed
	}
	*e = l.events[1-l.left&1]
	return nil
}

// play runs n exchanges on one connection.
func play(tb testing.TB, n int) {
	var s script
	f := s.flow(1, stream.Server)
	f.unseq = true
	f.client("?name\n").server("!700\n" + strings.Repeat("x", 700))
	out := new(nothing)
	e := engine.New(engine.Settings{
		Source: &loop{script: s, left: 2 * n}, Sink: out, Protocols: []protocol.Protocol{newToy()},
		RequestTimeout: time.Minute, MaxConnections: 100, MaxState: 64 << 20,
	})
	if err := e.Run(); err != nil || out.exchanges != n {
		tb.Errorf("%d exchanges of %d, %v", out.exchanges, n, err)
	}
}

// nothing is a sink that only counts.
type nothing struct{ exchanges int }

func (*nothing) Process(exchange.Process) {}
func (s *nothing) Emit(exchange.Exchange) { s.exchanges++ }
func (*nothing) Tick(stream.Time, int64)  {}
func (*nothing) Flush()                   {}

func BenchmarkExchange(b *testing.B) {
	b.ReportAllocs()
	play(b, b.N)
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	if protocoltest.RaceEnabled {
		t.Skip("sync.Pool forgets on purpose under the race detector")
	}
	allocs := func(n int) float64 { return testing.AllocsPerRun(1, func() { play(t, n) }) }
	if few, many := allocs(10), allocs(20_010); many-few > 20 {
		t.Errorf("20,000 exchanges more made %v allocations more", many-few)
	}
}

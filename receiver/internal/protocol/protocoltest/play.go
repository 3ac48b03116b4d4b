package protocoltest

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// epoch is when conversations begin: a time that is not the unknown one.
const epoch = stream.Time(time.Second)

// Where the streams begin. That of the client passes zero soon.
var isn = [2]uint32{stream.Client: 1<<32 - 100, stream.Server: 1000}

var addresses = [2]netip.AddrPort{
	stream.Client: netip.MustParseAddrPort("192.0.2.10:40000"),
	stream.Server: netip.MustParseAddrPort("198.51.100.20:80"),
}

// A player is a source that plays a conversation as the kernel would show it at
// one end, rounds times over on one connection.
type player struct {
	Recorded
	steps  []step
	side   stream.Side // observed
	joined bool
	rounds int
	state  int // bytes that may be kept of it; 0: plenty

	at     int
	opened bool
	seq    [2]uint32 // of the next byte, by sender
	data   []byte    // of the event that was handed out last

	talks stream.Side // whose turn it is
	began bool        // somebody has talked
	turns [2]uint16   // by side, that no event told of yet
}

var _ capture.Shard = (*player)(nil)

func (p *player) Next(e *capture.Event) error {
	clear(p.data) // the engine's lease on it has ended
	*e = capture.Event{
		Flow: 1, Side: p.side, Sure: true, Sequenced: true, PID: 1,
		Local: addresses[p.side], Peer: addresses[p.side.Peer()],
	}
	if p.at == 0 && !p.opened {
		p.opened = true
		p.seq = isn
		if !p.joined {
			e.Kind, e.Time = capture.Opened, epoch
			e.Seq, e.Ack = p.seq[p.side], p.seq[p.side.Peer()]
			return nil
		}
	}
	if p.at == len(p.steps) {
		if p.rounds--; p.rounds <= 0 {
			return io.EOF
		}
		p.at = 0
	}
	s := &p.steps[p.at]
	p.at++
	e.Time = epoch + stream.Time(s.at)
	e.Out = s.side == p.side
	e.Seq, e.Ack = p.seq[s.side], p.seq[s.side.Peer()]
	switch s.kind {
	case send:
		p.data = append(p.data[:0], s.data...)
		e.Data = p.data
		e.Passed = uint32(s.passed)
		e.Len = uint32(s.passed + int64(len(s.data)) + s.missing)
		if s.missing > 0 {
			e.Missing = "limit"
		}
		p.seq[s.side] += e.Len
		if e.Turned = !p.began || s.side != p.talks; e.Turned {
			p.began, p.talks = true, s.side
			p.turns[s.side]++
		}
		if s.lost {
			return p.Next(e)
		}
	case ended:
		e.Kind = capture.Ended
	case closed, reset:
		e.Kind, e.Reset = capture.Closed, s.kind == reset
	}
	e.TurnsOut, e.TurnsIn = p.turns[p.side], p.turns[p.side.Peer()]
	p.turns = [2]uint16{}
	return nil
}

// A record is what became of an exchange.
type record struct {
	exchange.Core
	name, summary string
	attributes    map[string]string
	trace         string
}

// A result is all that a conversation gave.
type result struct {
	records []record
	counted string // reasons for losses, and for ignoring the connection
	lossy   bool   // some are for losses
	reasons map[string]uint64
}

// Process, Tick and Emit implement engine.Sink.
func (r *result) Process(exchange.Process) {}
func (r *result) Tick(stream.Time, int64)  {}
func (r *result) Flush()                   {}
func (r *result) Emit(x exchange.Exchange) {
	const most = 256 // bytes of names that are constant, and of numbers
	c := x.Base()
	rec := record{Core: *c, name: x.SpanName(new(exchange.Strings)), summary: string(x.Summary(nil)), attributes: make(map[string]string)}
	m := pcommon.NewMap()
	x.Attributes(m, new(exchange.Strings))
	size := 0
	for k, v := range m.All() {
		if _, twice := rec.attributes[k]; twice {
			rec.name += " " + k + " TWICE"
		}
		text := v.AsString()
		size += len(text)
		if v.Type() == pcommon.ValueTypeStr {
			text = fmt.Sprintf("%q", text)
		}
		rec.attributes[k] = text
	}
	if size > 3*x.Size()+most { // what is redacted, or not UTF-8, becomes longer
		rec.name += fmt.Sprintf(" %d BYTES OF %d", size, x.Size())
	}
	if t := &c.Trace; !t.ID.IsEmpty() {
		rec.trace = fmt.Sprintf("%v-%v-%02x %s", t.ID, t.Parent, t.Flags, t.State)
	}
	rec.Endpoint, rec.Trace = nil, exchange.Trace{}
	r.records = append(r.records, rec)
}

// String returns the exchanges as a person would check them.
func (r *result) String() string {
	var b strings.Builder
	for i := range r.records {
		r.records[i].write(&b)
	}
	if r.counted != "" {
		fmt.Fprintf(&b, "counted: %s\n", r.counted)
	}
	return b.String()
}

func (r *record) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s %v %v..%v\n", r.name, r.Outcome, time.Duration(r.Start-epoch), time.Duration(r.End-epoch))
	for _, k := range slices.Sorted(maps.Keys(r.attributes)) {
		fmt.Fprintf(b, "    %s: %s\n", k, r.attributes[k])
	}
	if r.ErrorType != "" {
		fmt.Fprintf(b, "    error.type: %q\n", r.ErrorType)
	}
	if r.Truncated {
		b.WriteString("    truncated\n")
	}
	if r.trace != "" {
		fmt.Fprintf(b, "    trace: %s\n", r.trace)
	}
	fmt.Fprintf(b, "    summary: %s\n", r.summary)
}

// play runs a conversation through the engine, at one end.
func play(ps []protocol.Protocol, src *player, sink engine.Sink) (*engine.Engine, error) {
	e := engine.New(engine.Settings{
		Source: src, Protocols: ps, Sink: sink,
		RequestTimeout: time.Hour, MaxConnections: 8, MaxState: cmp.Or(src.state, 64<<20),
	})
	return e, e.Run()
}

// playOnce plays steps and returns what they gave.
func playOnce(ps []protocol.Protocol, steps []step, side stream.Side, joined bool) (*result, error) {
	return playWithin(0, ps, steps, side, joined)
}

// playWithin is playOnce with so many bytes that may be kept.
func playWithin(state int, ps []protocol.Protocol, steps []step, side stream.Side, joined bool) (*result, error) {
	r := new(result)
	e, err := play(ps, &player{steps: steps, side: side, joined: joined, state: state}, r)
	if err != nil {
		return nil, err
	}
	if st := e.Stats(); st.OpenExchanges != 0 || st.Connections != 0 {
		return nil, fmt.Errorf("after the end: %+v", st)
	}
	var total uint64
	e.Exchanges(func(_ string, _ exchange.Outcome, n uint64) { total += n })
	if total != uint64(len(r.records)) {
		return nil, fmt.Errorf("%d exchanges counted, %d emitted", total, len(r.records))
	}
	var counted []string
	r.reasons = make(map[string]uint64)
	add := func(reason string, n uint64) {
		counted = append(counted, fmt.Sprintf("%s=%d", reason, n))
		r.reasons[reason] += n
	}
	e.Losses(add)
	r.lossy = len(counted) > 0
	e.Ignored(add)
	slices.Sort(counted)
	r.counted = strings.Join(counted, " ")
	return r, nil
}

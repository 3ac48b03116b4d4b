package oracle

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/pcap"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/protocol/protocoltest"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// read returns all events of a capture.
func read(t *testing.T, file string) (events []capture.Event) {
	t.Helper()
	s, err := pcap.Open(pcap.Options{File: file, KeepTime: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for {
		var e capture.Event
		switch err := s.Next(&e); {
		case errors.Is(err, io.EOF):
			return events
		case err != nil:
			t.Fatal(err)
		}
		e.Data = bytes.Clone(e.Data)
		events = append(events, e)
	}
}

// A tape is a source of events that were read before.
type tape struct {
	protocoltest.Recorded
	events []capture.Event
	data   []byte // of the event that was handed out last
}

var _ capture.Shard = (*tape)(nil)

func (s *tape) Next(e *capture.Event) error {
	clear(s.data) // the engine's lease on it has ended
	if len(s.events) == 0 {
		return io.EOF
	}
	*e, s.events = s.events[0], s.events[1:]
	s.data = append(s.data[:0], e.Data...)
	e.Data = s.data
	return nil
}

// A record is an exchange as it came out.
type record struct {
	flow       string // both ends
	start      stream.Time
	outcome    exchange.Outcome
	errorType  string
	truncated  bool
	gaps       bool // bytes of the connection are not in the capture
	attributes map[string]string
}

func (x *record) String() string {
	text := fmt.Sprintf("%s %v", x.flow, x.outcome)
	if x.errorType != "" {
		text += " error.type=" + x.errorType
	}
	if x.truncated {
		text += " truncated"
	}
	for _, k := range slices.Sorted(maps.Keys(x.attributes)) {
		text += fmt.Sprintf(" %s=%q", k, x.attributes[k])
	}
	return text
}

func flow(peer, local netip.AddrPort) string { return peer.String() + " " + local.String() }

// A result is all that came out.
type result struct {
	records []record
	losses  []string        // bytes that made no sense
	gaps    map[string]bool // connections of which bytes are missing
}

// tell says it in the order in which requests began.
func (r *result) tell() (text []string) {
	for i := range r.records {
		text = append(text, r.records[i].String())
	}
	slices.Sort(text)
	return text
}

// Process, Tick and Emit implement engine.Sink.
func (r *result) Process(exchange.Process) {}
func (r *result) Tick(stream.Time, int64)  {}
func (r *result) Flush()                   {}
func (r *result) Emit(x exchange.Exchange) {
	c := x.Base()
	f := flow(c.Endpoint.Peer.AddrPort(), c.Endpoint.Local.AddrPort())
	rec := record{
		flow: f, start: c.Start, outcome: c.Outcome, errorType: c.ErrorType, truncated: c.Truncated,
		gaps: r.gaps[f], attributes: make(map[string]string),
	}
	m := pcommon.NewMap()
	x.Attributes(m, new(exchange.Strings))
	for k, v := range m.All() {
		rec.attributes[k] = v.AsString()
	}
	r.records = append(r.records, rec)
}

// run lets the engine have events.
func run(t *testing.T, p protocol.Protocol, events []capture.Event) *result {
	t.Helper()
	r := &result{gaps: make(map[string]bool)}
	for i := range events {
		if e := &events[i]; e.Missing != "" {
			r.gaps[flow(e.Peer, e.Local)] = true
		}
	}
	e := engine.New(engine.Settings{
		Source: &tape{events: events}, Protocols: []protocol.Protocol{p}, Sink: r,
		RequestTimeout: 24 * time.Hour, MaxConnections: 1 << 16, MaxState: 64 << 20,
	})
	if err := e.Run(); err != nil {
		t.Fatal(err)
	}
	if s := e.Stats(); s.OpenExchanges != 0 || s.Connections != 0 {
		t.Errorf("after the end: %+v", s)
	}
	e.Losses(func(reason string, n uint64) { r.losses = append(r.losses, fmt.Sprintf("%s=%d", reason, n)) })
	return r
}

// A row of a log, by the names of its columns. Values that are not set are absent.
type row map[string]string

func (r row) values(columns []string) (values []string) {
	for _, c := range columns {
		values = append(values, r[c])
	}
	return values
}

type log struct {
	columns []string
	rows    []row
}

// parseLog reads a log of Zeek: tab-separated values. Most begin with lines of
// metadata, of which #fields names the columns; some with those names alone.
func parseLog(file string) (*log, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	l := new(log)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		values := strings.Split(lines.Text(), "\t")
		switch {
		case values[0] == "#fields":
			l.columns = values[1:]
		case strings.HasPrefix(values[0], "#"):
		case l.columns == nil:
			l.columns = values
		case len(values) != len(l.columns):
			return nil, fmt.Errorf("%s: %d values for %d columns", file, len(values), len(l.columns))
		default:
			r := make(row)
			for i, v := range values {
				switch v {
				case "-":
				case "(empty)", "<empty>":
					r[l.columns[i]] = ""
				default:
					r[l.columns[i]] = v
				}
			}
			l.rows = append(l.rows, r)
		}
	}
	return l, lines.Err()
}

package engine_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/leaktest"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// crowd is a source of connections that begin with the same events and then
// fall silent.
type crowd struct {
	script
	left          int
	before, after uint64 // bytes of the heap that are in use
}

func (c *crowd) Next(e *capture.Event) error {
	if c.before == 0 {
		c.before = leaktest.Heap().Reachable
	}
	if c.left == 0 {
		c.after = leaktest.Heap().Reachable
		return io.EOF
	}
	*e = c.events[c.next]
	e.Flow = capture.FlowID(c.left)
	if c.next++; c.next == len(c.events) {
		c.next = 0
		c.left--
	}
	return nil
}

// What those keep that speak a protocol is looked at by protocoltest.Idle.
func TestConnectionsThatAreNotFollowedAreCheap(t *testing.T) {
	const connections = 1000
	for _, c := range []struct {
		name  string
		begin func(*flow)
		most  int // bytes
	}{
		{"opened and never heard of", func(f *flow) { f.open() }, 450},
		{"encrypted", func(f *flow) { f.open().client("\x16\x03\x01\x02\x00\x01") }, 130},
		{"unknown", func(f *flow) { f.open().client("EHLO\n") }, 130},
	} {
		source := &crowd{left: connections}
		c.begin(source.flow(1, stream.Server))
		e := engine.New(engine.Settings{
			Source: source, Sink: new(nothing), Protocols: []protocol.Protocol{newToy()},
			RequestTimeout: time.Minute, MaxConnections: connections, MaxState: 64 << 20,
		})
		if err := e.Run(); err != nil {
			t.Fatal(err)
		}
		each := int(source.after-source.before) / connections
		t.Logf("%s: %d bytes", c.name, each)
		if each > c.most {
			t.Errorf("%s: %d bytes are kept of a connection, want at most %d", c.name, each, c.most)
		}
	}
}

func TestWhatAllConnectionsWaitForTogetherIsBounded(t *testing.T) {
	const connections, each, most = 1000, 200 << 10, 64 << 20
	source := &crowd{left: connections}
	source.flow(1, stream.Server).open().client("?" + strings.Repeat("x", each))
	e := engine.New(engine.Settings{
		Source: source, Sink: new(nothing), Protocols: []protocol.Protocol{newToy()},
		RequestTimeout: time.Minute, MaxConnections: connections, MaxState: 64 << 20,
	})
	if err := e.Run(); err != nil {
		t.Fatal(err)
	}
	lost := counted(e)
	dropped := uint64(lost["messages_too_many"])
	if lost["state_evicted"] != int(dropped) || len(lost) != 2 {
		t.Errorf("losses: %v", lost)
	}
	kept := source.after - source.before
	t.Logf("%d bytes are kept, %d messages were dropped", kept, dropped)
	if kept > most+most/8 || (connections-dropped+1)*each < most {
		t.Errorf("%d bytes are kept, %d messages were dropped of %d, want about %d bytes", kept, dropped, connections, most)
	}
}

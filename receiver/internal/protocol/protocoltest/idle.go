package protocoltest

import (
	"io"
	"slices"
	"testing"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/leaktest"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Idle checks what a connection keeps on which a conversation of testdata/name
// was led and which then falls silent: at most so many bytes, by conversation.
func Idle(t *testing.T, p protocol.Protocol, name string, most map[string]int) {
	const connections = 1000
	looked := 0
	for _, f := range load(t, name) {
		conversation := f.name()
		limit, ok := most[conversation]
		if !ok {
			continue
		}
		looked++
		for side := stream.Client; side <= stream.Server; side++ {
			c := &crowd{file: f, side: side, left: connections}
			e := engine.New(engine.Settings{
				Source: c, Protocols: []protocol.Protocol{p}, Sink: new(quiet),
				RequestTimeout: time.Minute, MaxConnections: connections + 1, MaxState: 64 << 20,
			})
			if err := e.Run(); err != nil {
				t.Fatal(err)
			}
			each := int(c.after-c.before) / connections
			t.Logf("%s, %s: %d bytes", conversation, sections[side], each)
			if each > limit {
				t.Errorf("%s, %s: %d bytes are kept, want at most %d", conversation, sections[side], each, limit)
			}
		}
	}
	if looked < len(most) {
		t.Errorf("%d conversations of %d exist", looked, len(most))
	}
}

// A crowd is a source that plays a conversation on one connection after the
// other, and ends none of them.
type crowd struct {
	player
	file file
	side stream.Side
	left int
	flow capture.FlowID
	// Bytes on the heap that are in use, at the beginning and at the end.
	before, after uint64
}

func (c *crowd) Next(e *capture.Event) error {
	if c.flow == 0 {
		c.before = leaktest.Heap().Reachable
	}
	for c.flow == 0 || c.player.Next(e) != nil {
		switch c.left--; c.left {
		case -1, -2: // another is heard of, hours later
			*e = capture.Event{Flow: c.flow + 1, Kind: capture.Opened, Time: epoch + stream.Time(-c.left)*stream.Time(time.Hour)}
			return nil
		case -3:
			c.after = leaktest.Heap().Reachable
			return io.EOF
		}
		c.flow++
		steps := slices.DeleteFunc(slices.Clone(c.file.steps), func(s step) bool { return s.kind != send })
		c.player = player{steps: steps, side: c.side, joined: c.file.Joined}
	}
	e.Flow = c.flow
	return nil
}

package protocoltest

import (
	"bytes"
	"testing"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Recorded is what a source embeds that plays what was recorded: it has what it
// has, whatever it is asked for, and never waits.
type Recorded struct{}

// The methods of capture.Shard but Next.
func (Recorded) SetDeadline(time.Time)                {}
func (Recorded) Skip(capture.FlowID, bool, uint32)    {}
func (Recorded) Frames(capture.FlowID, bool, uint32)  {}
func (Recorded) Whole(capture.FlowID, stream.Framing) {}
func (Recorded) Ignore(capture.FlowID)                {}
func (Recorded) LostAt() stream.Time                  { return 0 }
func (Recorded) Now() stream.Time                     { return 0 }
func (Recorded) Epoch() int64                         { return 0 }

// Events returns what the kernel would show of the conversation in a file, at
// its server.
func Events(t testing.TB, path string) []capture.Event {
	t.Helper()
	c := read(t, path)
	p := player{steps: c.steps, side: stream.Server, joined: c.Joined}
	var events []capture.Event
	for e := (capture.Event{}); p.Next(&e) == nil; {
		e.Data = bytes.Clone(e.Data)
		events = append(events, e)
	}
	return events
}

package protocoltest

import (
	"bytes"
	"os"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Events returns what the kernel would show of the conversation in a file, at
// its server.
func Events(t testing.TB, path string) []capture.Event {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseConversation(parseArchive(string(text)).sections[conversation])
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	p := player{steps: c.steps, side: stream.Server, joined: c.Joined}
	var events []capture.Event
	for e := (capture.Event{}); p.Next(&e) == nil; {
		e.Data = bytes.Clone(e.Data)
		events = append(events, e)
	}
	return events
}

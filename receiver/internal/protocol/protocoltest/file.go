package protocoltest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Sections of a file. What a conversation gives stands in one for each end.
const conversation = "conversation"

var sections = [2]string{stream.Client: "seen by the client", stream.Server: "seen by the server"}

// root is where the repository begins, from the folder of a protocol.
const root = "../../../.."

// A file is a conversation on disk.
type file struct {
	path string
	*archive
	*Conversation
}

// name is what the conversation is called.
func (f file) name() string { return strings.TrimSuffix(filepath.Base(f.path), ".txtar") }

// read reads one.
func read(t testing.TB, path string) file {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a := parseArchive(string(text))
	c, err := parseConversation(a.sections[conversation])
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return file{path, a, c}
}

// load reads those in testdata/name.
func load(t testing.TB, name string) []file {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "testdata", name, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("conversations of %s: %v, %d found", name, err, len(paths))
	}
	var all []file
	for _, path := range paths {
		all = append(all, read(t, path))
	}
	return all
}

// find returns the one of testdata/name that is called conversation.
func find(t testing.TB, name, conversation string) file {
	t.Helper()
	for _, f := range load(t, name) {
		if f.name() == conversation {
			return f
		}
	}
	t.Fatalf("there is no conversation %s of %s", conversation, name)
	return file{}
}

// Write stores c under a comment; the exchanges are left to -update.
func (c *Conversation) Write(path, comment string) error {
	a := &archive{comment: strings.TrimSpace(comment) + "\n\n", sections: make(map[string]string)}
	a.set(conversation, c.String())
	return os.WriteFile(path, []byte(a.String()), 0o644)
}

// An archive is a comment and named sections, in the txtar format.
type archive struct {
	comment  string
	names    []string
	sections map[string]string
}

func parseArchive(text string) *archive {
	a := &archive{sections: make(map[string]string)}
	name := ""
	for line := range strings.Lines(text) {
		if n, ok := strings.CutPrefix(line, "-- "); ok {
			if n, ok = strings.CutSuffix(strings.TrimSpace(n), " --"); ok {
				name = n
				a.set(name, "")
				continue
			}
		}
		if name == "" {
			a.comment += line
		} else {
			a.sections[name] += line
		}
	}
	return a
}

func (a *archive) set(name, text string) {
	if !slices.Contains(a.names, name) {
		a.names = append(a.names, name)
	}
	a.sections[name] = text
}

func (a *archive) String() string {
	var b strings.Builder
	b.WriteString(a.comment)
	for _, name := range a.names {
		fmt.Fprintf(&b, "-- %s --\n%s", name, a.sections[name])
	}
	return b.String()
}

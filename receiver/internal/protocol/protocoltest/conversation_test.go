package protocoltest

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestConversationsReadBackAsTheyWereWritten(t *testing.T) {
	paths, err := filepath.Glob("../../../../testdata/*/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal(err, len(paths))
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		a := parseArchive(string(text))
		if got := a.String(); got != string(text) {
			t.Errorf("%s: the archive changed", path)
		}
		c, err := parseConversation(a.sections[conversation])
		if err != nil {
			t.Fatal(path, err)
		}
		again, err := parseConversation(c.String())
		if err != nil || !reflect.DeepEqual(c, again) {
			t.Errorf("%s: the conversation changed: %v", path, err)
		}
		if script := decode(encode(c.steps)); len(script) < len(c.steps) {
			t.Errorf("%s: %d steps became %d", path, len(c.steps), len(script))
		}
	}
}

func TestConversationsThatMakeNoSense(t *testing.T) {
	for _, text := range []string{"x> \"a\"", "  \"a\"", "c> \"a", "c> @soon", "c> +many", "c> \"a\"*x", "c> word"} {
		if _, err := parseConversation(text); err == nil {
			t.Errorf("%q was understood", text)
		}
	}
}

//go:build linux && (amd64 || arm64)

package capture

import (
	_ "embed"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

//go:embed PATHS.md
var documented string

var update = flag.Bool("update", false, "rewrite PATHS.md")

const pathsHead = `<!-- Generated: go test ./receiver/internal/capture -run TestPathsAreDocumented -update -->

# What each backend sees

Each cell is what the tests assert, on every kernel that they run on.

- **yes**: bytes, length, process and position in the stream
- **cut**: the first bytes, and the length of all
- **length**: how many bytes moved, but not which; the event says why
- **gap**: nothing at the time, but the sequence numbers tell how many bytes were missed
- **no**: nothing

`

// The documentation is made of the table that TestPaths proves.
func TestPathsAreDocumented(t *testing.T) {
	var text strings.Builder
	text.WriteString(pathsHead + "| path |")
	for _, b := range backends {
		fmt.Fprintf(&text, " %s |", b.name)
	}
	text.WriteString("\n|---|" + strings.Repeat("---|", len(backends)) + "\n")
	for _, path := range slices.Concat(paths, oldPaths) {
		fmt.Fprintf(&text, "| %s |", path.name)
		for _, b := range backends {
			fmt.Fprintf(&text, " %s |", cell(&path, b))
		}
		text.WriteString("\n")
	}
	if *update {
		if err := os.WriteFile("PATHS.md", []byte(text.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	} else if documented != text.String() {
		t.Error("PATHS.md is not what the tests say; run this with -update")
	}
}

// cell says what b sees of a path, on the newest kernels and before.
func cell(path *path, b backend) string {
	newest := version{1 << 15, 0}
	text := class(path.expect(b, newest))
	for _, but := range path.but {
		if before := path.expect(b, version{but.before[0], but.before[1] - 1}); but.before != (version{}) && class(before) != text {
			text += fmt.Sprintf(" (before %d.%d: %s)", but.before[0], but.before[1], class(before))
		}
	}
	return text
}

func class(saw string) string {
	switch {
	case saw == "" || saw == lines("client? sent 100"):
		return "no"
	case strings.Contains(saw, "missed"):
		return "gap"
	case strings.Contains(saw, "captured 0"):
		return "length"
	case strings.Contains(saw, "captured"):
		return "cut"
	}
	return "yes"
}

package receiver

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"

	"github.com/perisco-io/perisco/receiver/internal/emit"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
)

// What READMEs tell to put into a distribution of one's own is what ours is
// built of, but for the place of the clone.
func TestTheDistributionsOfOthersAreMadeLikeOurs(t *testing.T) {
	read := func(text []byte) *confmap.Conf {
		r, err := confmap.NewRetrievedFromYAML(text)
		require.NoError(t, err)
		c, err := r.AsConf()
		require.NoError(t, err)
		return c
	}
	ours, err := os.ReadFile("../builder-config.yaml")
	require.NoError(t, err)
	tools, err := os.ReadFile("../internal/tools/go.mod")
	require.NoError(t, err)
	builder := regexp.MustCompile(`go.opentelemetry.io/collector/cmd/builder (v\S+)`).FindSubmatch(tools)
	require.NotNil(t, builder)

	for readme, kind := range map[string]string{"../README.md": "receivers", "../processor/README.md": "processors"} {
		text, err := os.ReadFile(readme)
		require.NoError(t, err)
		snippet := regexp.MustCompile(`(?m)^    ` + kind + `:\n      - gomod: .*\n(?:     .*\n)*`).Find(text)
		require.NotNil(t, snippet, readme)
		want := read(ours).Get(kind).([]any)
		for _, module := range read(snippet).Get(kind).([]any) {
			m := module.(map[string]any)
			i := slices.IndexFunc(want, func(o any) bool { return o.(map[string]any)["gomod"] == m["gomod"] })
			require.GreaterOrEqual(t, i, 0, "%s: builder-config.yaml has no %s", readme, m["gomod"])
			w := want[i].(map[string]any)
			require.Equal(t, filepath.Join("../perisco", w["path"].(string)), m["path"], readme)
			m["path"] = w["path"]
			require.Equal(t, w, m, readme)
		}
		if readme == "../README.md" {
			require.Contains(t, string(text), "(`ocb`) of "+string(builder[1])+" or later")
		}
	}
}

// documented returns the words in the first column of the tables of documentation.md.
func documented(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("documentation.md")
	require.NoError(t, err)
	words := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, w := range strings.FieldsFunc(cells[1], func(r rune) bool { return r == ' ' || r == ',' }) {
				words[w] = true
			}
		}
	}
	return words
}

// Those of packet captures are looked for by the tests of pcap.
func TestEveryReasonIsDocumented(t *testing.T) {
	var reasons []string
	header, err := os.ReadFile("../bpf/event.h")
	require.NoError(t, err)
	for _, m := range regexp.MustCompile(`(?m)^\t(MISSING|LOSS)_(\w+),`).FindAllStringSubmatch(string(header), -1) {
		switch token := strings.ToLower(m[2]); {
		case token == "none", token == "ignored": // which are no losses
		case m[1] == "MISSING":
			reasons = append(reasons, "message_cut_by_"+token)
		default:
			reasons = append(reasons, token)
		}
	}
	require.NotEmpty(t, reasons)
	stats, err := os.ReadFile("internal/engine/stats.go")
	require.NoError(t, err)
	ofEngine := regexp.MustCompile(`(?m)^\t\w+ += "([a-z]\w+[a-z])"`).FindAllStringSubmatch(string(stats), -1)
	require.NotEmpty(t, ofEngine)
	for _, m := range ofEngine { // but what begins or ends others
		if m[1] == "torn_write" { // which no message begins in
			m[1] = "message_cut_by_" + m[1]
		}
		reasons = append(reasons, m[1])
	}
	for o := range protocol.Opaques {
		reasons = append(reasons, o.String())
	}
	for _, r := range registry {
		reasons = append(reasons, r.name+"_request_not_captured")
	}
	emit.New(emit.Settings{}).Losses(func(reason string, _ uint64) { reasons = append(reasons, reason) })

	words := documented(t)
	for _, r := range reasons {
		if !words[r] {
			t.Errorf("metadata.yaml does not say what to do about %s", r)
		}
	}
}

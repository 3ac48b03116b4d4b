package engine_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// unbroken is a toy that wants reads and writes whole.
type unbroken struct{ *toy }

var _ protocol.Unbroken = unbroken{}

func (unbroken) Opening() stream.Opening {
	return stream.Opening{Bytes: "?opening", Frames: stream.Framing{SkimFrom: 100}}
}

// more sends what goes on in the write before.
func (f *flow) more(side stream.Side, s string) *flow {
	f.send(side, s, 0)
	f.events[len(f.events)-1].Continued = true
	return f
}

// reason says why bytes of the latest event are missing.
func (f *flow) reason(s string) *flow {
	f.events[len(f.events)-1].Missing = s
	return f
}

// framed says that the source knew where frames begin in the latest event.
func (f *flow) framed() *flow {
	f.events[len(f.events)-1].Framed = true
	return f
}

func TestLongWrites(t *testing.T) {
	for _, c := range []struct {
		name     string
		protocol protocol.Protocol
		script   func(s *script)
		want     []string
		losses   string
		asked    []string
	}{
		{
			name: "the source is asked for them when the protocol is known",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n").server("!0\n").client("?b\n").server("!0\n").close()
			},
			protocol: unbroken{newToy()},
			want:     []string{"server a answered", "server b answered"},
			asked:    []string{"whole 1 skim=true"},
		},
		{
			name: "and again when some are not whole",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n").send(stream.Server, "!9\n", 9).reason("limit").close()
			},
			protocol: unbroken{newToy()},
			want:     []string{"server a answered"},
			asked:    []string{"whole 1 skim=true", "whole 1 skim=true"},
		},
		{
			name: "and to leave nothing out any more when that was needed",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n").
					send(stream.Server, "!9\n", 9).reason(capture.Skipped). // of a body
					client("?b\n").send(stream.Server, "!", 2).reason(capture.Skipped).
					client("?c\n").send(stream.Server, "!", 2).reason(capture.Skipped).
					client("?d\n").send(stream.Server, "!9\n", 9).reason("limit").close()
			},
			protocol: unbroken{newToy()},
			want:     []string{"server a answered", "server b lost", "server c lost", "server d answered"},
			losses:   "message_cut_by_skipped=2 truncated=2",
			asked:    []string{"whole 1 skim=true", "whole 1 skim=false", "whole 1 skim=false"},
		},
		{
			name: "and is told where a frame begins, unless little comes, until it knows",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n").server("!500\n" + strings.Repeat("x", 99)).
					server(strings.Repeat("x", 400)).server("x").client("?b\n").
					server("!100\n" + strings.Repeat("x", 100)).framed().client("?c\n").
					server("!90\n" + strings.Repeat("x", 90)).close()
			},
			protocol: unbroken{newToy()},
			want:     []string{"server a answered", "server b answered", "server c answered"},
			asked: []string{
				"whole 1 skim=true",
				"whole 1 skim=true", "frames 1 out=true at 2505",
				"whole 1 skim=true", "frames 1 out=true at 2505",
				"whole 1 skim=true", "frames 1 out=true at 2505",
				"skip 1 out=true until 2610",
			},
		},
		{
			name: "which may have been wrong if no sense is found",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n").server("!100\n" + strings.Repeat("x", 100)).
					client("?b\n").server("nonsense\n").client("?c\n").server("!0\n").close()
			},
			protocol: unbroken{newToy()},
			want:     []string{"server a answered", "server b lost", "server c answered"},
			losses:   "toy_senseless=1 truncated=1",
			asked: []string{
				"whole 1 skim=true", "whole 1 skim=true", "frames 1 out=true at 2105",
				"whole 1 skim=false", "skip 1 out=true until 2114",
			},
		},
		{
			name: "what lies within a frame may be told with what comes behind it",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n?b\n").send(stream.Server, "!500\n", 100).reason(capture.Skipped).framed().
					passed(stream.Server, 400, "!0\n").framed().close()
			},
			protocol: unbroken{newToy()},
			want:     []string{"server a answered", "server b answered"},
			asked:    []string{"whole 1 skim=true"},
		},
		{
			name: "or never, if nothing does",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n").send(stream.Server, "!500\n", 100).reason(capture.Skipped).framed().
					unseen(stream.Server, 300).close()
			},
			protocol: unbroken{newToy()},
			want:     []string{"server a closed"},
			asked:    []string{"whole 1 skim=true"},
		},
		{
			name: "but is lost if it is not",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n").send(stream.Server, "!500\n", 100).reason(capture.Skipped).framed().
					unseen(stream.Server, 400).client("?b\n").server("!0\n").framed().close()
			},
			protocol: unbroken{newToy()},
			want:     []string{"server a answered", "server b answered"},
			losses:   "sequence_gap=1",
			asked:    []string{"whole 1 skim=true"},
		},
		{
			name: "a message goes on in the next event of a write",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a").more(stream.Client, "b\n?c\n").
					server("!2\n12!").more(stream.Server, "2\n12").close()
			},
			protocol: newToy(),
			want:     []string{"server ab answered", "server c answered"},
		},
		{
			name: "no message begins in a write behind something senseless",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n!\n").more(stream.Client, "?b\n").more(stream.Client, "?c\n").
					client("?d\n").server("!0\n").close()
			},
			protocol: newToy(),
			want:     []string{"server a lost", "server d answered"},
			losses:   "message_cut_by_torn_write=2 toy_senseless=1 truncated=1",
		},
		{
			name: "no message begins in a write of which the beginning was not seen",
			script: func(s *script) {
				s.flow(1, stream.Server).more(stream.Client, "?a\n").client("?b\n").server("!0\n").close()
			},
			protocol: newToy(),
			want:     []string{"server b answered"},
		},
		{
			name: "a write behind a gap is whole",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n").server("!0\n").unseen(stream.Client, 5).
					client("?b").more(stream.Client, "c\n").server("!0\n").close()
			},
			protocol: newToy(),
			want:     []string{"server a answered", "server bc answered"},
			losses:   "message_cut_by_sequence_gap=1 sequence_gap=1",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := new(script)
			c.script(s)
			out, e := run(t, s, func(s *engine.Settings) { s.Protocols = []protocol.Protocol{c.protocol} })
			if !slices.Equal(out.exchanges, c.want) {
				t.Errorf("exchanges %q, want %q", out.exchanges, c.want)
			}
			if got := losses(e); got != c.losses {
				t.Errorf("losses %q, want %q", got, c.losses)
			}
			if !slices.Equal(s.asked, c.asked) {
				t.Errorf("asked %q, want %q", s.asked, c.asked)
			}
		})
	}
}

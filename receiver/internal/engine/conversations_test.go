package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

func TestConversations(t *testing.T) {
	for _, c := range []struct {
		name   string
		script func(*script)
		want   []string // exchanges
		losses string
		asked  []string // of the source
	}{
		{
			name: "two exchanges seen from the server",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n").server("!3\nabc").client("?b\n").server("!0\n").close()
			},
			want: []string{"server a answered", "server b answered"},
		},
		{
			name:   "seen from the client",
			script: func(s *script) { s.flow(1, stream.Client).open().client("?a\n").server("!3\nabc").close() },
			want:   []string{"client a answered"},
		},
		{
			name: "messages are cut anywhere",
			script: func(s *script) {
				f := s.flow(1, stream.Server).open()
				for _, c := range []string{"?", "nam", "e", "\n"} {
					f.client(c)
				}
				for _, c := range []string{"!", "1", "0\n01", "234567", "89"} {
					f.server(c)
				}
			},
			want: []string{"server name answered"},
		},
		{
			name: "a wrong guess of the role is corrected by what is said",
			script: func(s *script) {
				f := s.flow(1, stream.Server)
				f.sure = false
				f.side = stream.Client // the truth: it guesses Server below
				f.client("?a\n").server("!0\n").close()
				for i := range s.events {
					s.events[i].Side = stream.Server
				}
			},
			want: []string{"client a answered"},
		},
		{
			name: "where no process was observed it is the server that is told about",
			script: func(s *script) {
				f := s.flow(1, stream.Client)
				f.sure, f.process = false, 0
				f.client("?a\n").server("!0\n").close()
				for i := range s.events {
					s.events[i].Side = stream.Server // guessed
				}
			},
			want: []string{"server a answered"},
		},
		{
			name: "a connection that was joined in the middle of an answer",
			script: func(s *script) {
				s.flow(1, stream.Server).server("rest of a body").server("more").client("?a\n").server("!0\n").close()
			},
			want: []string{"server a answered"},
		},
		{
			name: "a connection that was joined between request and answer",
			script: func(s *script) {
				s.flow(1, stream.Server).server("!0\n").client("?a\n").server("!0\n").close()
			},
			want:   []string{"server a answered"},
			losses: "answer_without_request=1",
		},
		{
			name: "an answer that overtook its request waits for it",
			script: func(s *script) {
				s.flow(1, stream.Client).open().client("?a\n").server("!0\n").server("!0\n").client("?b\n").close()
			},
			want: []string{"client a answered", "client b answered"},
		},
		{
			name: "it does on an older connection, where it tells that more was asked",
			script: func(s *script) {
				f := s.flow(1, stream.Client).client("?a\n").server("!0\n").unseen(stream.Client, 3).server("!0\n")
				f.seq[stream.Client] -= 3
				f.client("?b\n").close()
			},
			want: []string{"client a answered", "client b answered"},
		},
		{
			name: "it does not where it tells nothing",
			script: func(s *script) {
				s.flow(1, stream.Client).client("?a\n").server("!0\n").server("!0\n").client("?b\n").close()
			},
			want:   []string{"client a answered", "client b closed"},
			losses: "answer_without_request=1",
		},
		{
			name: "an answer does not wait longer than a flush interval",
			script: func(s *script) {
				f := s.flow(1, stream.Client).open().client("?a\n").server("!0\n").server("!0\n")
				f.at += 100 * ms
				s.flow(2, stream.Client).at = f.at
				g := s.flow(2, stream.Client)
				g.at = f.at
				g.open() // time passes
				f.at += 100 * ms
				f.client("?b\n").server("!0\n").close()
			},
			want:   []string{"client a answered", "client b answered"},
			losses: "answer_without_request=1",
		},
		{
			name: "a server does not answer before it was asked",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n").server("!0\n").server("!0\n").client("?b\n").close()
			},
			want:   []string{"server a answered", "server b closed"},
			losses: "answer_without_request=1",
		},
		{
			name: "an answer of which no event came",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n").unseen(stream.Server, 3).
					client("?b\n").server("!0\n").client("?c\n").server("!0\n").close()
			},
			want:   []string{"server a lost", "server b lost", "server c answered"},
			losses: "answer_without_request=1 message_cut_by_sequence_gap=1 sequence_gap=1 truncated=2",
		},
		{
			name: "the last answer was lost, which shows when the connection ends",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n").unseen(stream.Server, 3).close()
			},
			want:   []string{"server a lost"},
			losses: "message_cut_by_sequence_gap=1 sequence_gap=1 truncated=1",
		},
		{
			name: "a connection of which no data is reported loses none",
			script: func(s *script) {
				s.flow(1, stream.Server).open().unseen(stream.Client, 90).unseen(stream.Server, 90).close()
			},
		},
		{
			name:   "a FIN that was counted is no loss",
			script: func(s *script) { s.flow(1, stream.Server).open().client("?a\n").unseen(stream.Server, 1).close() },
			want:   []string{"server a closed"},
		},
		{
			name: "a hole in a body is no loss",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n").server("!100\nabc").unseen(stream.Server, 90).
					server("1234567").client("?b\n").send(stream.Server, "!50\n", 50).close()
			},
			want:   []string{"server a answered", "server b answered"},
			losses: "sequence_gap=1",
		},
		{
			name: "the first event was lost",
			script: func(s *script) {
				s.flow(1, stream.Server).open().unseen(stream.Client, 3).server("!0\n").client("?b\n").server("!0\n").close()
			},
			want:   []string{"server b answered"},
			losses: "answer_without_request=1 message_cut_by_sequence_gap=1 sequence_gap=1",
		},
		{
			name: "bytes that were told twice count once",
			script: func(s *script) {
				f := s.flow(1, stream.Server).open().client("?a\n")
				f.seq[stream.Client] -= 2
				f.client("a\n?b\n").server("!0\n").server("!0\n").close()
			},
			want:   []string{"server a answered", "server b answered"},
			losses: "out_of_order=1",
		},
		{
			name: "sequence numbers wrap",
			script: func(s *script) {
				f := s.flow(1, stream.Server)
				f.seq = [2]uint32{0xffff_fffe, 0xffff_fffa}
				f.open().client("?a\n").server("!9\n123").server("456789").client("?b\n").server("!0\n").close()
			},
			want: []string{"server a answered", "server b answered"},
		},
		{
			name: "a connection without sequence numbers",
			script: func(s *script) {
				f := s.flow(1, stream.Server)
				f.unseq = true
				f.open().client("?a\n").server("!9\n123").server("456789").client("?b\n").server("!0\n").close()
			},
			want: []string{"server a answered", "server b answered"},
		},
		{
			name: "the connection is reset before the answer",
			script: func(s *script) {
				f := s.flow(1, stream.Server).open().client("?a\n")
				f.event(capture.Closed, f.side).Reset = true
			},
			want: []string{"server a reset"},
		},
		{
			name:   "the source ends before the answer",
			script: func(s *script) { s.flow(1, stream.Server).open().client("?a\n") },
			want:   []string{"server a evicted"},
			losses: "truncated=1",
		},
		{
			name:   "a connection that turns to something else is ignored",
			script: func(s *script) { s.flow(1, stream.Server).open().client("?a\n").server("X\n").client("?b\n").close() },
			want:   []string{"server a answered"},
			losses: "upgraded=1",
			asked:  []string{"ignore 1", "ignore 1"},
		},
		{
			name:   "TLS is ignored",
			script: func(s *script) { s.flow(1, stream.Server).open().client("\x16\x03\x01\x02\x00\x01").close() },
			losses: "encrypted=1",
			asked:  []string{"ignore 1"},
		},
		{
			name:   "and so is one that is met in its middle",
			script: func(s *script) { s.flow(1, stream.Server).client("\x17\x03\x03\x00\x20\xf7").close() },
			losses: "encrypted=1",
			asked:  []string{"ignore 1"},
		},
		{
			name:   "what nobody knows is ignored",
			script: func(s *script) { s.flow(1, stream.Server).open().client("EHLO\n").close() },
			losses: "unknown_protocol=1",
			asked:  []string{"ignore 1"},
		},
		{
			name: "a joined connection that never makes sense is ignored",
			script: func(s *script) {
				f := s.flow(1, stream.Server)
				for range 20 {
					f.client("foo").server("bar").server("bar")
				}
			},
			losses: "unknown_protocol=1",
			asked:  slices.Repeat([]string{"ignore 1"}, 1+60-23),
		},
		{
			name: "the source is told what nobody wants, and when that is over",
			script: func(s *script) {
				f := s.flow(1, stream.Server).open().client("?a\n").server("!100000\n")
				f.send(stream.Server, "", 60_000).send(stream.Server, "", 40_000).client("?b\n").server("!0\n").close()
			},
			want:  []string{"server a answered", "server b answered"},
			asked: []string{"skip 1 out=true until 102008", "skip 1 out=true until 102008"},
		},
		{
			name: "of what is skipped the source may say nothing",
			script: func(s *script) {
				f := s.flow(1, stream.Server).open().client("?a\n").server("!100000\n")
				f.unseen(stream.Server, 50000).send(stream.Server, "", 10000)
				f.unseen(stream.Server, 30000).client("?b\n").send(stream.Server, "", 10000)
				f.server("!100000\n").unseen(stream.Server, 60000).close()
			},
			want:  []string{"server a answered", "server b closed"},
			asked: []string{"skip 1 out=true until 102008", "skip 1 out=true until 102008", "skip 1 out=true until 202016"},
		},
		{
			name: "but its end is lost if nothing is said of that",
			script: func(s *script) {
				f := s.flow(1, stream.Server).open().client("?a\n").server("!100000\n")
				f.unseen(stream.Server, 100000).client("?b\n").server("!0\n").close()
			},
			want:   []string{"server a answered", "server b answered"},
			losses: "sequence_gap=1",
			asked:  []string{"skip 1 out=true until 102008", "skip 1 out=true until 102011"},
		},
		{
			name: "what is passed over is no loss where nobody wants it",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n").client("?b\n").server("!8\nab").passed(stream.Server, 6, "!0\n").close()
			},
			want: []string{"server a answered", "server b answered"},
		},
		{
			name: "it is one where somebody does",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n").server("!8\nab").passed(stream.Server, 7, "!0\n").
					client("?b\n").server("!0\n").close()
			},
			want:   []string{"server a answered", "server b answered"},
			losses: "message_cut_by_skipped=1 message_cut_by_torn_write=1",
		},
		{
			name: "more requests in a row than are kept",
			script: func(s *script) {
				s.flow(1, stream.Server).open().client("?a\n?b\n?c\n?d\n?e\n").server("!0\n").close()
			},
			want:   []string{"server a evicted", "server b evicted", "server c evicted", "server d evicted"},
			losses: "abandoned=1 truncated=4",
			asked:  []string{"ignore 1", "ignore 1"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := new(script)
			c.script(s)
			out, e := run(t, s)
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

// Whatever is lost, every answered exchange is one that took place, and every
// request that was parsed is accounted for.
func TestNothingIsMadeUpUnderLoss(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		s := new(script)
		flows := make([]*flow, 1+r.IntN(4))
		for i := range flows {
			flows[i] = s.flow(capture.FlowID(i+1), stream.Side(r.IntN(2)))
			if r.IntN(2) == 0 {
				flows[i].open()
			}
		}
		for n := range 200 {
			f := flows[r.IntN(len(flows))]
			f.client(fmt.Sprintf("?%d/%d\n", f.id, n))
			// The answer names its request, so that a wrong pair would show.
			f.server(fmt.Sprintf("!%d\n%s", 10, strings.Repeat("x", 10)))
		}
		kept := s.events[:0]
		for _, e := range s.events {
			switch r.IntN(20) {
			case 0: // lost
				continue
			case 1: // the copy was cut short
				e.Data = e.Data[:r.IntN(len(e.Data)+1)]
			}
			kept = append(kept, e)
		}
		s.events = kept
		out, e := run(t, s)
		var ended uint64
		e.Exchanges(func(_ string, _ exchange.Outcome, n uint64) { ended += n })
		if ended != uint64(len(out.exchanges)) {
			t.Fatalf("%d exchanges counted, %d handed out", ended, len(out.exchanges))
		}
		seen := make(map[string]bool)
		for _, x := range out.exchanges {
			if seen[x] {
				t.Fatalf("%q was told twice", x)
			}
			seen[x] = true
		}
	}
}

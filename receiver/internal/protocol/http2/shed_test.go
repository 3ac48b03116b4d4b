package http2_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol/http2"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Amid blocks in several frames, too, a connection is made to forget all. What
// exchanges say is then less, and never of another. What its encoders believe known
// they never tell again, so only the first exchanges are sure to be whole.
func TestWhatIsForgottenIsAbsentNotWrong(t *testing.T) {
	const remembered = 50
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, side := range []stream.Side{stream.Client, stream.Server} {
		l, client, server := begin(t, http2.New(httpconv.Options{}), side)
		write := func(from stream.Side, s *speaker) {
			cut(r, s.take(), func(p []byte) {
				l.must(t, from, p)
				if len(l.ends) >= remembered && r.IntN(500) == 0 {
					l.conn.Shed(l.now)
					if n := l.conn.Weight(); n != 0 || l.conn.Live() != 0 {
						t.Fatalf("%d bytes are kept, %d exchanges are open", n, l.conn.Live())
					}
				}
			})
		}
		frames := func(s *speaker, id uint32, flags byte, block []byte) {
			n := r.IntN(len(block) + 1)
			s.frame(headers, flags, id, block[:n]...)
			m := n + r.IntN(len(block)-n+1)
			s.frame(continuation, 0, id, block[n:m]...)
			s.frame(continuation, endHeaders, id, block[m:]...)
		}
		const requests = 3000
		status := func(id uint32) int { return 200 + int(id%7) }
		var open []uint32
		for id := uint32(1); id < 2*requests || len(open) > 0; {
			if id < 2*requests && len(open) < 5 {
				// Paths, agents and hosts come again, and after a while anew.
				fields := append(get(fmt.Sprintf("/%d", id%20)), fmt.Sprintf("user-agent: %d", id%9), "x-many: "+strings.Repeat("x", r.IntN(300)))
				frames(client, id, endStream, client.encode(fields...))
				write(stream.Client, client)
				open = append(open, id)
				id += 2
				continue
			}
			i := r.IntN(len(open))
			frames(server, open[i], endStream, server.encode(fmt.Sprintf(":status: %d", status(open[i])), fmt.Sprintf("server: %d", r.IntN(5))))
			write(stream.Server, server)
			open = slices.Delete(open, i, i+1)
		}
		l.conn.Close(exchange.Closed, l.now)
		if len(l.ends) != requests {
			t.Errorf("%d exchanges of %d requests", len(l.ends), requests)
		}
		whole := 0
		for i, x := range l.ends {
			say := strings.TrimSuffix(l.said[i], " truncated")
			want := fmt.Sprintf("GET /%d %d", x.Key%20, status(uint32(x.Key)))
			switch {
			case x.Outcome == exchange.Answered && !x.Truncated:
				whole++
				fallthrough
			case x.Outcome == exchange.Answered:
				if method, rest, _ := strings.Cut(say, " "); say != want && (!x.Truncated || method != "GET" && method != "HTTP" || !strings.HasSuffix(want, rest)) {
					t.Errorf("%q, want %q", say, want)
				}
			case x.Outcome != exchange.Evicted && x.Outcome != exchange.Lost || x.ErrorType != "":
				t.Errorf("%q: %v, %q", say, x.Outcome, x.ErrorType)
			}
		}
		if whole < remembered || whole == requests {
			t.Errorf("%d are whole, want at least %d and not all", whole, remembered)
		}
		t.Logf("%v: %d whole of %d", side, whole, requests)
	}
}

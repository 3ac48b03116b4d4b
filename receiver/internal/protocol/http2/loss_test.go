package http2_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Writes are lost at random while ten streams are open. Every request is told
// once, with its own answer or with none, or is counted.
func TestLossesCostWhatWasLost(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for _, side := range []stream.Side{stream.Client, stream.Server} {
		l, c, s := begin(t, p, side)
		const requests = 4000
		var open []uint32
		answered := make(map[uint32]int)
		statuses := []int{200, 204, 404, 500}
		write := func(side stream.Side, data []byte) {
			if r.IntN(50) > 0 || len(answered) > requests-20 { // more may have been lost behind what is seen last
				_ = l.hear(side, data, 0)
				return
			}
			kept := r.IntN(len(data) + 1)
			_ = l.hear(side, data[:kept:kept], int64(len(data)-kept))
		}
		for id := uint32(1); id < 2*requests || len(open) > 0; {
			if id < 2*requests && len(open) < 10 {
				c.headers(id, true, append(get(fmt.Sprintf("/%d", id)), "user-agent: me")...)
				write(stream.Client, c.take())
				open = append(open, id)
				id += 2
				continue
			}
			i := r.IntN(len(open))
			answered[open[i]] = statuses[r.IntN(len(statuses))]
			s.headers(open[i], false, fmt.Sprintf(":status: %d", answered[open[i]]), "server: x")
			s.frame(data, endStream, open[i], make([]byte, r.IntN(500))...)
			write(stream.Server, s.take())
			open = append(open[:i], open[i+1:]...)
		}
		l.conn.Close(exchange.Closed, l.now)
		told := make(map[uint32]bool)
		whole, lost := 0, 0
		for i, x := range l.ends {
			id := uint32(x.Key)
			if told[id] {
				t.Errorf("%d told twice", id)
			}
			told[id] = true
			say := l.said[i]
			switch {
			case x.Outcome == exchange.Answered && !x.Truncated:
				whole++
				if want := fmt.Sprintf("GET /%d %d", id, answered[id]); say != want {
					t.Errorf("%q, want %q", say, want)
				}
			case x.ErrorType != "" && !strings.HasSuffix(x.ErrorType, fmt.Sprint(answered[id])):
				t.Errorf("%d: error.type = %q", id, x.ErrorType)
			default:
				lost++
			}
		}
		counted := int(l.lost["http2_request_not_captured"])
		// One write in fifty.
		if counted == 0 || counted > requests/25 || len(l.ends)+counted != requests {
			t.Errorf("%v: %d told and %d counted as lost, of %d", side, len(l.ends), counted, requests)
		}
		t.Logf("%v: %d whole, %d not, of %d", side, whole, lost, requests)
	}
}

func TestRequestsThatWereLostAreCountedWhenNothingComesAnyMore(t *testing.T) {
	l, c, s := begin(t, p, stream.Server)
	c.headers(1, true, get("/1")...)
	l.must(t, stream.Client, c.take())
	c.headers(3, true, get("/3")...)
	l.miss(stream.Client, c)
	s.headers(3, true, ":status: 200")
	l.must(t, stream.Server, s.take())
	l.conn.Expire(l.now, 0, l.now) // something was seen since
	if n := l.lost["http2_request_not_captured"]; n != 0 {
		t.Errorf("%d were counted too early", n)
	}
	for range 2 {
		l.now++
		l.conn.Expire(l.now, 0, l.now)
	}
	if n := l.lost["http2_request_not_captured"]; n != 1 || l.conn.Weight() > 2048 {
		t.Errorf("%d were counted, want 1; %d bytes are kept", n, l.conn.Weight())
	}
	c.headers(5, true, get("/5")...)
	l.must(t, stream.Client, c.take())
	l.conn.Close(exchange.Closed, l.now)
	if n := l.lost["http2_request_not_captured"]; n != 1 || len(l.ends) != 2 {
		t.Errorf("%d were counted, want 1; said %q", n, l.said)
	}
}

func TestWhatIsMissingOfARequestMayBeKnownToBeLostAfterItsAnswer(t *testing.T) {
	for _, lost := range []bool{false, true} { // the answer, too
		l, c, s := begin(t, p, stream.Server)
		c.headers(1, true, append(get("/1"), "x-large: "+strings.Repeat("<", 1000))...)
		request := c.take()
		l.must(t, stream.Client, request[:500:500])
		s.headers(1, true, ":status: 200")
		want := "GET /1 200 truncated"
		if lost {
			l.miss(stream.Server, s)
			want = "GET /1 lost truncated"
		}
		l.must(t, stream.Server, s.take())
		c.headers(3, true, get("/3")...)
		_ = l.hear(stream.Client, nil, int64(len(request)-500))
		l.must(t, stream.Client, c.take())
		s.headers(3, true, ":status: 404")
		l.must(t, stream.Server, s.take())
		l.conn.Close(exchange.Closed, l.now)
		if !slices.Contains(l.said, want) || len(l.said) != 2 {
			t.Errorf("said %q, want %q and another", l.said, want)
		}
	}
}

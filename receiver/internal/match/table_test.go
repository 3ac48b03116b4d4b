package match_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/match"
	"github.com/perisco-io/perisco/receiver/internal/protocol/protocoltest"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

type call struct {
	exchange.Core
	weight int
}

func (*call) SpanName(*exchange.Strings) string         { return "" }
func (*call) Attributes(pcommon.Map, *exchange.Strings) {}
func (*call) Summary(dst []byte) []byte                 { return dst }
func (c *call) String() string                          { return fmt.Sprintf("%d %v", c.Key, c.Outcome) }
func (*call) Size() int                                 { return 0 }
func (c *call) Weight() int                             { return c.weight }
func newTable(limit int) (*match.Table[*call], *[]string) {
	var ended []string
	pool := &sync.Pool{New: func() any { return new(call) }}
	t := match.NewTable[*call](limit, pool, new(exchange.Endpoint), func(x exchange.Exchange) {
		ended = append(ended, x.(*call).String())
	})
	return &t, &ended
}

func open(t *testing.T, tab *match.Table[*call], key uint64, at stream.Time) *call {
	t.Helper()
	x, ok := tab.Open(key, at)
	if !ok {
		t.Fatal("table is full")
	}
	return x
}

func TestOneKeyAnswersInOrder(t *testing.T) {
	tab, _ := newTable(8)
	first, second := open(t, tab, 0, 1), open(t, tab, 0, 2)
	if x, _ := tab.Find(0); x != first {
		t.Error("found is not the oldest")
	}
	tab.End(0, exchange.Answered, 3)
	if x, _ := tab.Find(0); x != second || tab.Len() != 1 {
		t.Error("the second did not move up")
	}
}

func TestKeysAnswerInAnyOrder(t *testing.T) {
	tab, ended := newTable(8)
	for key := range uint64(5) {
		open(t, tab, key, 1)
	}
	for _, key := range []uint64{3, 0, 4, 2, 9, 1} {
		tab.End(key, exchange.Answered, 2)
	}
	want := []string{"3 answered", "0 answered", "4 answered", "2 answered", "1 answered"}
	if !slices.Equal(*ended, want) || tab.Len() != 0 {
		t.Errorf("ended %v, %d left", *ended, tab.Len())
	}
}

func TestALateAnswerIsNotTakenForThatOfAYoungerRequest(t *testing.T) {
	tab, ended := newTable(8)
	slow := open(t, tab, 0, 10)
	open(t, tab, 0, 50)
	tab.Expire(20, 0, 60)
	if tab.Len() != 2 || tab.Live() != 1 {
		t.Fatalf("%d places, %d live, want 2 and 1", tab.Len(), tab.Live())
	}
	if slow.End != 60 || slow.ErrorType != "timeout" {
		t.Errorf("expired at %d with %q", slow.End, slow.ErrorType)
	}
	tab.End(0, exchange.Answered, 70) // of the first, already told
	tab.End(0, exchange.Answered, 80)
	if want := []string{"0 expired", "0 answered"}; !slices.Equal(*ended, want) {
		t.Errorf("ended %v, want %v", *ended, want)
	}
}

func TestWhatMayHaveBeenMissedIsNoTimeout(t *testing.T) {
	tab, ended := newTable(8)
	missed := open(t, tab, 0, 10)
	seen := open(t, tab, 0, 10)
	seen.Active = 16
	tab.Expire(20, 15, 60)
	if want := []string{"0 lost", "0 expired"}; !slices.Equal(*ended, want) || tab.Len() != 2 {
		t.Errorf("ended %v, want %v; %d places", *ended, want, tab.Len())
	}
	if missed.End != 10 || missed.ErrorType != "" || !missed.Truncated {
		t.Errorf("lost at %d with %q, truncated %v", missed.End, missed.ErrorType, missed.Truncated)
	}
}

func TestActivityPutsExpiryOff(t *testing.T) {
	tab, ended := newTable(8)
	open(t, tab, 0, 10).Active = 30
	if tab.Expire(20, 0, 40); len(*ended) != 0 {
		t.Errorf("ended %v", *ended)
	}
}

func TestNothingIsOpenedPastTheLimit(t *testing.T) {
	tab, _ := newTable(2)
	open(t, tab, 0, 1)
	open(t, tab, 0, 2)
	if _, ok := tab.Open(0, 3); ok {
		t.Error("a third was opened")
	}
	tab.Expire(9, 0, 9)
	if _, ok := tab.Open(0, 3); ok {
		t.Error("an expired exchange gave up its place before its answer came")
	}
}

func TestEveryExchangeEndsOnce(t *testing.T) {
	tab, ended := newTable(1000)
	opened := 0
	for i := range 10_000 {
		if _, ok := tab.Open(uint64(i%7), stream.Time(i)); ok {
			opened++
		}
		if i%3 != 0 {
			tab.End(uint64(i*5%7), exchange.Answered, stream.Time(i))
		}
		if i%100 == 0 {
			tab.Expire(stream.Time(max(i-150, 0)), stream.Time(max(i-200, 0)), stream.Time(i))
		}
		if opened != len(*ended)+tab.Live() {
			t.Fatalf("%d opened, %d ended, %d live", opened, len(*ended), tab.Live())
		}
	}
	tab.EndAll(exchange.Closed, 10_000)
	if opened != len(*ended) || tab.Live() != 0 || tab.Len() != 0 {
		t.Errorf("%d opened, %d ended, %d live", opened, len(*ended), tab.Live())
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	if protocoltest.RaceEnabled {
		t.Skip("sync.Pool forgets on purpose under the race detector")
	}
	pool := &sync.Pool{New: func() any { return new(call) }}
	tab := match.NewTable[*call](64, pool, new(exchange.Endpoint), func(exchange.Exchange) {})
	n := testing.AllocsPerRun(1000, func() {
		for range 10 {
			tab.Open(0, 1)
		}
		for range 10 {
			tab.End(0, exchange.Answered, 2)
		}
	})
	if n > 0.1 { // a collection may empty the pool
		t.Errorf("%v allocations for ten exchanges", n)
	}
}

// The model is a list that is searched from the oldest on.
func TestAnyOrderOfKeysFindsTheOldest(t *testing.T) {
	for _, falling := range []bool{false, true} {
		r := rand.New(rand.NewPCG(7, 7))
		tab, _ := newTable(64)
		var model []*call
		next := uint64(0)
		for range 20_000 {
			if r.IntN(2) == 0 {
				key := next
				if next += uint64(r.IntN(3)); falling {
					key = uint64(r.IntN(40))
				}
				if x, ok := tab.Open(key, 1); ok {
					model = append(model, x)
				}
				continue
			}
			if len(model) == 0 {
				continue
			}
			key := model[r.IntN(len(model))].Key
			i := slices.IndexFunc(model, func(x *call) bool { return x.Key == key })
			if x, ok := tab.Find(key); !ok || x != model[i] {
				t.Fatalf("found %v, want %v", x, model[i])
			}
			if r.IntN(4) == 0 {
				tab.Yield(key)
			} else {
				tab.End(key, exchange.Answered, 2)
			}
			model = slices.Delete(model, i, i+1)
			if got := slices.Collect(tab.All()); !slices.Equal(got, model) {
				t.Fatalf("%v, want %v", got, model)
			}
		}
	}
}

// The model is what is open, ghosts too.
func TestATableWeighsWhatIsOpen(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	tab, _ := newTable(64)
	empty := tab.Weight()
	for i := range 20_000 {
		switch key := uint64(r.IntN(80)); r.IntN(20) {
		case 0:
			tab.Expire(stream.Time(i-30), stream.Time(i-40), stream.Time(i))
		case 1:
			tab.EndAbove(key, exchange.Reset, "", stream.Time(i))
		case 2:
			tab.Forget()
		case 3:
			tab.Yield(key)
		case 4:
			tab.EndAll(exchange.Closed, stream.Time(i))
			if tab.Weight() != empty {
				t.Fatalf("nothing is open, and weighs %d", tab.Weight())
			}
		case 5, 6, 7, 8, 9:
			tab.End(key, exchange.Answered, stream.Time(i))
		case 10, 11:
			if x, ok := tab.Find(key); ok {
				x.weight += r.IntN(1000)
				tab.Weigh(x)
			}
		default:
			tab.Open(key, stream.Time(i))
		}
		want := 0
		tab.Places(func(x *call) { want += x.Weighed })
		if got := tab.Weight() - tab.Room(); got != want {
			t.Fatalf("%d bytes, want %d", got, want)
		}
	}
}

func TestForgottenPlacesAreFreeAndOthersAreNot(t *testing.T) {
	tab, ended := newTable(3)
	open(t, tab, 1, 10)
	open(t, tab, 3, 50)
	open(t, tab, 5, 10)
	tab.Expire(20, 0, 60)
	tab.Forget()
	if tab.Len() != 1 || tab.Live() != 1 {
		t.Fatalf("%d places, %d live, want 1 of each", tab.Len(), tab.Live())
	}
	tab.End(1, exchange.Answered, 70)
	tab.End(3, exchange.Answered, 70)
	if want := []string{"1 expired", "5 expired", "3 answered"}; !slices.Equal(*ended, want) || tab.Len() != 0 {
		t.Errorf("ended %v, want %v", *ended, want)
	}
}

func BenchmarkManyOpen(b *testing.B) {
	pool := &sync.Pool{New: func() any { return new(call) }}
	for _, n := range []int{1, 100, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tab := match.NewTable[*call](1<<20, pool, new(exchange.Endpoint), func(exchange.Exchange) {})
			r := rand.New(rand.NewPCG(1, 1))
			keys := make([]uint64, n)
			next := uint64(1)
			for i := range keys {
				keys[i] = next
				tab.Open(next, 1)
				next += 2
			}
			for b.Loop() { // any of them ends, and another begins
				i := r.IntN(n)
				tab.Find(keys[i])
				tab.End(keys[i], exchange.Answered, 2)
				keys[i] = next
				tab.Open(next, 1)
				next += 2
			}
		})
	}
}

func TestThoseAboveAKeyEndTogether(t *testing.T) {
	tab, ended := newTable(8)
	for key := range uint64(6) {
		open(t, tab, key, 1)
	}
	tab.End(4, exchange.Answered, 2)
	tab.EndAbove(2, exchange.Reset, "REFUSED_STREAM", 3)
	if want := []string{"4 answered", "3 reset", "5 reset"}; !slices.Equal(*ended, want) || tab.Len() != 3 || tab.Live() != 3 {
		t.Errorf("ended %v, want %v; %d left, %d of them live", *ended, want, tab.Len(), tab.Live())
	}
	if _, ok := tab.Find(5); ok {
		t.Error("one that ended is found")
	}
	open(t, tab, 7, 4)
	if x, ok := tab.Find(7); !ok || x.ErrorType != "" {
		t.Errorf("the next one: %v, %v", x, ok)
	}
}

func TestThoseInTheMiddleAreFoundAndEndedWhileOthersAreOpen(t *testing.T) {
	const n = 1000
	tab, ended := newTable(n)
	for key := range uint64(n) {
		open(t, tab, key, 1)
	}
	for key := range uint64(n) { // from the middle to both ends
		if key = n/2 + key/2; len(*ended)%2 == 1 {
			key = n - 1 - key
		}
		tab.End(key, exchange.Answered, 2)
		if _, ok := tab.Find(key); ok {
			t.Fatalf("%d is found", key)
		}
		if want := n - len(*ended); tab.Len() != want || tab.Live() != want {
			t.Fatalf("%d left, %d of them live, want %d", tab.Len(), tab.Live(), want)
		}
	}
	if len(*ended) != n {
		t.Errorf("%d ended, want %d", len(*ended), n)
	}
}

package match_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/match"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

type call struct{ exchange.Core }

func (*call) SpanName() string          { return "" }
func (*call) Attributes(pcommon.Map)    {}
func (*call) Summary(dst []byte) []byte { return dst }
func (c *call) String() string          { return fmt.Sprintf("%d %v", c.Key, c.Outcome) }
func newTable(max int) (*match.Table[*call], *[]string) {
	var ended []string
	pool := &sync.Pool{New: func() any { return new(call) }}
	t := match.New[*call](max, pool, new(exchange.Endpoint), func(x exchange.Exchange) {
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
	tab.Expire(20, 60)
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

func TestActivityPutsExpiryOff(t *testing.T) {
	tab, ended := newTable(8)
	open(t, tab, 0, 10).Active = 30
	if tab.Expire(20, 40); len(*ended) != 0 {
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
	tab.Expire(9, 9)
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
			tab.Expire(stream.Time(max(i-150, 0)), stream.Time(i))
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
	pool := &sync.Pool{New: func() any { return new(call) }}
	tab := match.New[*call](64, pool, new(exchange.Endpoint), func(exchange.Exchange) {})
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

//go:build !race

package mysql

import (
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
)

// Under the race detector sync.Pool forgets on purpose.
func TestAnExchangeAllocatesNothing(t *testing.T) {
	prepare := pack(0, "\x16SELECT id FROM books WHERE id = ?")
	prepared := pack(1, "\x00\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	execute := pack(0, "\x17\x09\x00\x00\x00\x00\x01\x00\x00\x00")
	closed := pack(0, "\x19\x09\x00\x00\x00")
	n := 0
	var line []byte
	p := newPeers(func(x exchange.Exchange) {
		n++
		line = x.Summary(line[:0])
	})
	got := testing.AllocsPerRun(1000, func() {
		p.ask(t, benchQuery)
		p.answer(t, benchAnswer)
		p.ask(t, benchInsert)
		p.answer(t, benchInserted)
		p.ask(t, benchInsert)
		p.answer(t, benchMissing)
		p.ask(t, prepare)
		p.answer(t, prepared)
		p.ask(t, execute)
		p.answer(t, benchAnswer)
		p.ask(t, closed)
	})
	if got > 0 || n != 5*1001 {
		t.Errorf("%v allocations for five exchanges, %d exchanges of 5005", got, n)
	}
}

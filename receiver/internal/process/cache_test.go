package process

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
)

func counted(capacity int) (*Cache[int], *int) {
	n := new(int)
	return NewCache(capacity, func(exchange.Process) int { *n++; return *n }), n
}

func TestAProcessIsMadeOnce(t *testing.T) {
	c, n := counted(4)
	a, b := seen(1, 1, "a"), seen(2, 1, "b")
	for range 10 {
		assert.Equal(t, 1, c.Get(a))
		assert.Equal(t, 2, c.Get(b))
	}
	assert.Equal(t, 2, *n)
	assert.Zero(t, c.Evictions())
}

func TestAPidThatIsUsedAgainIsAnotherProcess(t *testing.T) {
	c, _ := counted(4)
	assert.Equal(t, 1, c.Get(seen(1, 1, "a")))
	assert.Equal(t, 2, c.Get(seen(1, 2, "a")))
	assert.Equal(t, 1, c.Get(seen(1, 1, "a")))
}

func TestProcessesThatWereNotObservedAreToldApart(t *testing.T) {
	c, _ := counted(4)
	a := exchange.Process{Address: exchange.AddressOf(netip.MustParseAddrPort("192.0.2.1:80"))}
	b := exchange.Process{Address: exchange.AddressOf(netip.MustParseAddrPort("192.0.2.2:80"))}
	assert.Equal(t, 1, c.Get(a))
	assert.Equal(t, 2, c.Get(b))
	assert.Equal(t, 1, c.Get(a))
}

func TestTheProcessSeenLongestAgoMakesPlace(t *testing.T) {
	c, _ := counted(2)
	c.Get(seen(1, 1, "")) // made as 1
	c.Get(seen(2, 1, "")) // 2
	c.Get(seen(1, 1, ""))
	c.Get(seen(3, 1, "")) // 3, instead of 2
	assert.Equal(t, 1, c.Get(seen(1, 1, "")))
	assert.Equal(t, 4, c.Get(seen(2, 1, "")), "made again")
	assert.EqualValues(t, 2, c.Evictions())
	assert.Equal(t, 2, c.Len())
}

func TestAProcessThatExecsIsMadeAnewButNotForEver(t *testing.T) {
	c, n := counted(2)
	assert.Equal(t, 1, c.Get(seen(1, 1, "sh")))
	assert.Equal(t, 2, c.Get(seen(1, 1, "nginx")))
	assert.Equal(t, 2, c.Get(seen(1, 1, "nginx")))
	for i := range 1000 {
		c.Get(seen(1, 1, string(rune('a'+i%26))))
	}
	assert.Equal(t, 1+maxRenewals, *n)
	assert.Zero(t, c.Evictions())
}

func TestTheCacheDoesWhatASlowOneDoes(t *testing.T) {
	const capacity = 8
	c, _ := counted(capacity)
	var order []uint32 // newest last
	made, evicted := map[uint32]int{}, uint64(0)
	next := 0
	for range 100_000 {
		pid := uint32(rand.IntN(3 * capacity))
		if _, ok := made[pid]; !ok {
			next++
			made[pid] = next
			if len(order) == capacity {
				delete(made, order[0])
				order = order[1:]
				evicted++
			}
		}
		for i, p := range order {
			if p == pid {
				order = append(order[:i:i], order[i+1:]...)
				break
			}
		}
		order = append(order, pid)
		assert.Equal(t, made[pid], c.Get(seen(pid, 1, "")))
	}
	assert.Equal(t, evicted, c.Evictions())
	assert.Len(t, c.index, capacity)
}

func BenchmarkCache(b *testing.B) {
	c, _ := counted(8192)
	p := []exchange.Process{seen(1, 1, "a"), seen(2, 1, "b"), seen(3, 1, "c")}
	b.Run("the same process", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.Get(p[0])
		}
	})
	b.Run("three in turn", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			c.Get(p[i%3])
		}
	})
}

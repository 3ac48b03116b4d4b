//go:build linux && (amd64 || arm64)

package capture

import (
	"math"

	"golang.org/x/sys/unix"
)

// A clock tells nanoseconds.
type clock func() int64

func boottime() int64 { return now(unix.CLOCK_BOOTTIME) }
func realtime() int64 { return now(unix.CLOCK_REALTIME) }

func now(clock int32) int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(clock, &t) // both are always there
	return t.Nano()
}

// looks bounds how often offset looks at the clocks: a thread that lost its CPU
// in between once seldom does so twice in a row.
const looks = 3

// offset is how far a clock is ahead of base. It takes the one of some looks
// that took the least, and is wrong by half of that at the most.
func offset(c, base clock) int64 {
	least, best := int64(math.MaxInt64), int64(0)
	for range looks {
		before, at, after := base(), c(), base()
		if took := after - before; took < least {
			least, best = took, at-before-took/2
		}
	}
	return best
}

//go:build linux && (amd64 || arm64)

package capture

import (
	"testing"
	"time"
)

func TestAThreadThatLosesItsCPUBetweenTwoClocksTellsNoOtherTime(t *testing.T) {
	const ahead, look = int64(1e18), int64(100)
	for at := range 3 * looks {
		elapsed, reads := int64(0), 0
		read := func() int64 {
			elapsed += look
			if reads++; reads == at+1 {
				elapsed += int64(time.Second)
			}
			return elapsed
		}
		if got := offset(func() int64 { return ahead + read() }, read); got != ahead {
			t.Errorf("interrupted before read %d: ahead by %d more than %d", at, got-ahead, ahead)
		}
	}
}

func TestOfClocksThatAreAlwaysReadApartTheMiddleIsTaken(t *testing.T) {
	elapsed, pauses := int64(0), []int64{900, 400, 700}
	base := func() int64 { return elapsed }
	other := func() int64 {
		elapsed += pauses[0]
		pauses = pauses[1:]
		return elapsed
	}
	// Nothing passes after it was read: wrong by half of the shortest.
	if got := offset(other, base); got != 200 {
		t.Errorf("ahead by %d, want 200", got)
	}
}

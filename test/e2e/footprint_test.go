package e2e

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// plain is the same collector with another receiver, to which nobody speaks.
var plain = setup{Receiver: "otlp", Options: `{protocols: {grpc: {endpoint: "127.0.0.1:0"}}}`}

func TestAQuietCollectorIsSmall(t *testing.T) {
	const (
		budget = 10 << 20 // bytes that the receiver may add
		noise  = 3 << 20  // by which two runs of the same collector differ
	)
	with := startCollector(t, setup{})
	without := startCollector(t, plain)
	// Both have their garbage of starting behind them when they stop growing
	// and shrinking; the middle of some looks is what they keep.
	const looks, pause = 9, 250 * time.Millisecond
	var quiet, other []int
	for range looks {
		time.Sleep(pause)
		quiet = append(quiet, resident(t, with.pid()))
		other = append(other, resident(t, without.pid()))
	}
	slices.Sort(quiet)
	slices.Sort(other)
	more := quiet[looks/2] - other[looks/2]
	t.Logf("resident: %.1f MB, %.1f MB without the receiver: %+.1f MB",
		float64(quiet[looks/2])/1e6, float64(other[looks/2])/1e6, float64(more)/1e6)
	if more > budget+noise {
		t.Errorf("the receiver adds %d bytes to a quiet collector, want at most %d", more, budget)
	}
}

// resident returns the resident memory of a process in bytes.
func resident(t testing.TB, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	line, _, _ := strings.Cut(rest, "kB")
	kb, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("VmRSS of %d: %v", pid, err)
	}
	return kb << 10
}

// Package leaktest finds what tests leave behind: goroutines, open files and
// memory. For tests only.
package leaktest

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"go.uber.org/goleak"
)

// Main runs the tests of a package, whose TestMain calls it, and exits. They
// fail if a goroutine is left behind, or a file open.
func Main(m *testing.M) {
	before := OpenFiles()
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		if after := OpenFiles(); after > before+1 { // the runtime's epoll
			fmt.Fprintf(os.Stderr, "%d files were open before the tests, %d are after them\n", before, after)
			code = 1
		}
	}
	os.Exit(code)
}

// OpenFiles returns how many files this process has open.
func OpenFiles() int {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	return len(files)
}

// Memory is what the heap of this process holds, in bytes.
type Memory struct {
	Reachable uint64 // now
	Allocated uint64 // since the process began
}

// Heap collects garbage and returns what is left.
func Heap() Memory {
	for range 3 { // what a sync.Pool holds outlives one collection
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Memory{Reachable: m.HeapAlloc, Allocated: m.TotalAlloc}
}

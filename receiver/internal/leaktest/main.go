// Package leaktest is what a package's TestMain calls that opens files, for
// tests only.
package leaktest

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// Main runs the tests and exits. They fail if a goroutine is left behind, or a
// file open.
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

//go:build linux && (amd64 || arm64)

package capture

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// The source leaves its own process out, so what it shall see is done by a
// child: this program again, told by the environment what to do.
const childEnv = "PERISCO_TEST_CHILD"

// children are what it can be told. Filled before main.
var children = map[string]func() error{}

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		if err := children[name](); err != nil {
			fmt.Fprintln(os.Stderr, name+":", err)
			os.Exit(1)
		}
		return
	}
	before := openFiles()
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		if after := openFiles(); after > before+1 { // the runtime's epoll
			fmt.Fprintf(os.Stderr, "%d files were open before the tests, %d are after them\n", before, after)
			code = 1
		}
	}
	os.Exit(code)
}

func openFiles() int {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	return len(files)
}

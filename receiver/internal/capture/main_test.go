//go:build linux && (amd64 || arm64)

package capture

import (
	"fmt"
	"os"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/leaktest"
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
	leaktest.Main(m)
}

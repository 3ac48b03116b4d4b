package receiver

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
)

func TestHostnameIsTheMachinesOrNone(t *testing.T) {
	require.Empty(t, hostname(t.TempDir()), "a procfs that tells nothing")
	if _, err := os.Readlink("/proc/1/ns/uts"); err != nil {
		t.Skip("needs CAP_SYS_PTRACE and a procfs")
	}
	own, err := os.Hostname()
	require.NoError(t, err)
	require.Contains(t, []string{own, ""}, hostname("/proc"))
}

func TestVersionIsThePrograms(t *testing.T) {
	require.Equal(t, "1.2.3", moduleVersion(component.BuildInfo{Version: "1.2.3"}))
}

package receiver

import (
	"os"
	"path/filepath"
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

func TestAProcfsThatKnowsOtherNumbersIsFound(t *testing.T) {
	procfs := func(self, first string) string {
		proc := t.TempDir()
		for name, link := range map[string]string{"self": self, "1": first} {
			if link != "" {
				require.NoError(t, os.MkdirAll(filepath.Join(proc, name, "ns"), 0o755))
				require.NoError(t, os.Symlink(link, filepath.Join(proc, name, "ns", "pid")))
			}
		}
		return proc
	}
	const other = "pid:[4026532000]"
	require.NoError(t, checkProcfs(procfs(initialPID, "")))
	require.NoError(t, checkProcfs(procfs(other, initialPID)), "of the host, in a container")
	require.NoError(t, checkProcfs(procfs(other, "")), "it may not be known")
	require.ErrorContains(t, checkProcfs(procfs(other, other)), "is not that of the host: share the host's pid namespace")
	require.ErrorContains(t, checkProcfs(procfs("", "")), "proc_path: no procfs that shows the collector: readlink ")
}

func TestVersionIsThePrograms(t *testing.T) {
	require.Equal(t, "1.2.3", moduleVersion(component.BuildInfo{Version: "1.2.3"}))
}

package receiver

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"go.opentelemetry.io/collector/component"

	"github.com/perisco-io/perisco/receiver/internal/metadata"
)

// moduleVersion is that of this module in the running program or, where it was built
// from a directory, the program's.
func moduleVersion(program component.BuildInfo) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return program.Version
	}
	for _, m := range append(info.Deps, &info.Main) {
		if strings.HasPrefix(metadata.ScopeName, m.Path+"/") && m.Replace == nil && m.Version != "" && m.Version != "(devel)" {
			return m.Version
		}
	}
	return program.Version
}

// The first namespaces of every machine (PROC_UTS_INIT_INO and PROC_PID_INIT_INO
// in the kernel's include/linux/proc_ns.h).
const (
	initialUTS = "uts:[4026531838]"
	initialPID = "pid:[4026531836]"
)

// hostname is the name of the machine whose procfs is at proc. It is empty
// where the collector may have another, as in a container of its own.
func hostname(proc string) string {
	own, err := os.Readlink("/proc/self/ns/uts")
	if err != nil {
		return ""
	}
	if own != initialUTS {
		// The machine may be a container itself, as the nodes of kind are.
		host, err := os.Readlink(filepath.Join(proc, "1", "ns", "uts"))
		if err != nil || own != host {
			return ""
		}
	}
	// As whoever reads it has it, wherever procfs is mounted.
	name, err := os.ReadFile(filepath.Join(proc, "sys", "kernel", "hostname"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(name))
}

// checkProcfs says why the procfs at proc does not tell who processes are. The
// kernel names them by their numbers in the first pid namespace: where neither
// this process nor number 1 of the procfs is in that, the numbers mean others.
func checkProcfs(proc string) error {
	own, err := os.Readlink(filepath.Join(proc, "self", "ns", "pid"))
	if err != nil {
		return fmt.Errorf("proc_path: no procfs that shows the collector: %w: mount that of the host there", err)
	}
	if own == initialPID {
		return nil
	}
	first, err := os.Readlink(filepath.Join(proc, "1", "ns", "pid"))
	if err == nil && first != initialPID {
		return fmt.Errorf("proc_path: the procfs at %s is not that of the host: share the host's pid namespace (hostPID, docker run --pid host), or mount its procfs", proc)
	}
	return nil // or it may not be known
}

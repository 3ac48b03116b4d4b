package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A kernelObject is a BPF program, map or link.
type kernelObject struct {
	kind string // as the kernel names it in /proc/<pid>/fdinfo
	id   uint32
}

// kernelObjects returns what a process has loaded, as far as it holds it.
func kernelObjects(t testing.TB, pid int) []kernelObject {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fdinfo", "*")) // errors are for bad patterns
	var objects []kernelObject
	for _, path := range files {
		info, err := os.ReadFile(path)
		if err != nil {
			continue // it was closed
		}
		for line := range strings.Lines(string(info)) {
			kind, value, _ := strings.Cut(line, ":")
			if kind != "prog_id" && kind != "map_id" && kind != "link_id" {
				continue
			}
			id, err := strconv.ParseUint(strings.TrimSpace(value), 10, 32)
			if err != nil {
				t.Fatalf("read %s: %v", path, err)
			}
			objects = append(objects, kernelObject{kind, uint32(id)})
		}
	}
	return objects
}

// exists reports whether the kernel still has o. An id is not given twice.
func (o kernelObject) exists(t testing.TB) bool {
	t.Helper()
	command := map[string]uintptr{
		"prog_id": unix.BPF_PROG_GET_FD_BY_ID, "map_id": unix.BPF_MAP_GET_FD_BY_ID, "link_id": unix.BPF_LINK_GET_FD_BY_ID,
	}[o.kind]
	attr := struct{ id, next, flags uint32 }{id: o.id} // union bpf_attr, as far as these commands use it
	fd, _, errno := unix.Syscall(unix.SYS_BPF, command, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno == 0 {
		unix.Close(int(fd))
		return true
	}
	if !errors.Is(errno, unix.ENOENT) {
		t.Fatalf("ask for %s %d: %v", o.kind, o.id, errno)
	}
	return false
}

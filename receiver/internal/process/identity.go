// Package process tells who a process is, by reading what procfs says of it.
//
// It never guesses: what cannot be read, or might be that of another process
// to which the PID was given since, is absent.
package process

import (
	"bytes"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
)

const (
	// maxFile bounds what is read of one file. Command lines of JVMs with long
	// class paths are the longest that matter, at some tens of kilobytes.
	maxFile = 256 << 10
	maxPath = 4096 // PATH_MAX
	deleted = " (deleted)"
)

// An Identity is what is known of a process. Empty fields are unknown.
type Identity struct {
	PID            uint32 // in the initial PID namespace
	ExecutableName string // the kernel's short name where the executable is unknown
	ExecutablePath string // as the process sees it, so in its container's file system
	// ServiceName is empty where the process is in a container and does not say
	// its name itself: who runs the container knows better.
	ServiceName string
	ContainerID string // 64 lower-case hexadecimal digits
	PodUID      string // 8-4-4-4-12
	// Declared are the resource attributes that the process has in its
	// environment, for itself and for the SDKs: service.name apart.
	Declared []Attribute
	Read     bool // procfs told something; else only PID and short name are known
}

// Short returns what is known of p without reading anything.
func Short(p exchange.Process) Identity {
	comm, _, _ := bytes.Cut(p.Comm[:], []byte{0})
	name := printable(string(comm))
	service := name
	if service == "" && p.Address.IsValid() {
		service = p.Address.String()
	}
	return Identity{PID: p.PID, ExecutableName: name, ServiceName: service}
}

// A Resolver reads procfs. It needs that of the initial PID namespace, and
// CAP_SYS_PTRACE for executables and environments of other users. The zero
// value reads /proc. Immutable and safe for concurrent use.
type Resolver struct {
	Root string // where procfs is mounted; empty: /proc
}

// Resolve returns what can be known of p now. It may take as long as that
// process keeps its address space locked, which nothing bounds.
func (r Resolver) Resolve(p exchange.Process) Identity {
	id := Short(p)
	if p.PID == 0 && p.Address.IsValid() {
		id.Read = true // there is no more to know
		return id
	}
	dir, ok := r.open(p)
	if !ok {
		return id
	}
	defer dir.Close()

	args := split(read(dir, "cmdline"))
	id.executable(dir, args)
	id.ContainerID, id.PodUID = parseCgroup(read(dir, "cgroup"))
	// Of a process that has ended the directory stays until its parent takes
	// notice, with little in it.
	id.Read = id.ExecutablePath != "" || len(args) > 0 || id.ContainerID != "" || id.PodUID != ""
	id.ServiceName, id.Declared = declared(read(dir, "environ"))
	if id.ServiceName == "" && id.ContainerID == "" && id.PodUID == "" {
		id.ServiceName = programName(id.ExecutableName, args)
	}
	return id
}

// Program returns what p executes now, as it sees it itself, and its cgroups.
// Both are empty if they cannot be known. Unlike Resolve it never waits for p:
// neither file is read from its address space.
func (r Resolver) Program(p exchange.Process) (executable string, cgroups []string) {
	dir, ok := r.open(p)
	if !ok {
		return "", nil
	}
	defer dir.Close()
	if exe, err := dir.Readlink("exe"); err == nil {
		executable = strings.TrimSuffix(exe, deleted)
	}
	return executable, cgroupPaths(read(dir, "cgroup"))
}

// open returns the directory of p. It is that of p for as long as it is open,
// even when the PID is given to another process meanwhile.
func (r Resolver) open(p exchange.Process) (*os.Root, bool) {
	if p.PID == 0 || p.Start == 0 {
		return nil, false
	}
	root := r.Root
	if root == "" {
		root = "/proc"
	}
	dir, err := os.OpenRoot(path.Join(root, strconv.FormatUint(uint64(p.PID), 10)))
	if err != nil {
		return nil, false
	}
	if ticks, ok := startTicks(read(dir, "stat")); !ok || !sameStart(ticks, p.Start) {
		_ = dir.Close()
		return nil, false
	}
	return dir, true
}

// executable prefers /proc/<pid>/exe, takes the first argument where that must
// not be read, and leaves the short name where the process wrote over it.
func (id *Identity) executable(dir *os.Root, args []string) {
	if exe, err := dir.Readlink("exe"); err == nil && exe != "" {
		id.ExecutablePath = printable(strings.TrimSuffix(exe, deleted))
		id.ExecutableName = path.Base(id.ExecutablePath)
		return
	}
	// "nginx: worker process", "postgres: checkpointer": titles, not paths.
	if len(args) == 0 || args[0] == "" || len(args[0]) > maxPath || strings.ContainsAny(args[0], " :") {
		return
	}
	arg := printable(args[0])
	if path.IsAbs(arg) {
		id.ExecutablePath = arg
	}
	if name := path.Base(strings.TrimPrefix(arg, "-")); name != "." && name != "/" {
		id.ExecutableName = name // "-bash" is a login shell
	}
}

// startTicks returns when the process started, in clock ticks since boot:
// field 22 of /proc/<pid>/stat. Field 2 may hold spaces and parentheses.
func startTicks(stat []byte) (uint64, bool) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return 0, false
	}
	ticks, err := strconv.ParseUint(string(fields[22-3]), 10, 64)
	return ticks, err == nil
}

// sameStart compares ticks with nanoseconds. One tick of tolerance: both are
// rounded.
func sameStart(ticks, ns uint64) bool {
	const tick = 1e9 / 100 // USER_HZ is 100 on every architecture we support
	d := int64(ticks - ns/tick)
	return -1 <= d && d <= 1
}

func read(dir *os.Root, name string) []byte {
	f, err := dir.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, maxFile)) // what was read before an error is still true
	return text
}

// split returns the NUL-terminated strings of a command line.
func split(text []byte) []string {
	text = bytes.TrimRight(text, "\x00")
	if len(text) == 0 {
		return nil
	}
	return strings.Split(string(text), "\x00")
}

// printable drops what may not stand in an attribute: bytes that are no UTF-8
// and control characters. Names of files may hold both.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}

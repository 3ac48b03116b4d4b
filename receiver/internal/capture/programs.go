//go:build linux && (amd64 || arm64)

package capture

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/perisco-io/perisco/bpf"
)

// A backend is a way to see reads and writes.
type backend struct {
	name   string
	hooks  []string // its programs
	traces []string // tracepoints without which it cannot be
	since  string   // kernel that has them
}

var socklen = backend{
	name:   "socklen",
	hooks:  []string{bpf.CaptureProgSocklenSend, bpf.CaptureProgSocklenRecv},
	traces: []string{"sock_send_length", "sock_recv_length"},
	since:  "6.3",
}

// chargesMemlock is the first kernel that charges maps to the memory cgroup,
// not to RLIMIT_MEMLOCK: 5.11, as LINUX_VERSION_CODE.
const chargesMemlock = 5<<16 | 11<<8

// programs are what runs in the kernel. Close detaches and removes it.
type programs struct {
	*ebpf.Collection
	links   []io.Closer
	losses  []string // tokens by number
	missing []string
}

// check says in the user's terms why b cannot run, where that is known before.
func (b backend) check() error {
	types, err := btf.LoadKernelSpec()
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, ebpf.ErrNotSupported) {
		return errors.New("no BTF at /sys/kernel/btf/vmlinux (kernel needs CONFIG_DEBUG_INFO_BTF)")
	}
	if err != nil {
		return fmt.Errorf("read BTF of the kernel: %w", err)
	}
	for _, trace := range b.traces {
		if _, err := types.AnyTypeByName("btf_trace_" + trace); err != nil {
			return fmt.Errorf("tracepoint %s: not on this kernel (needs %s or later)", trace, b.since)
		}
	}
	return nil
}

// load brings the programs of b into the kernel; nothing runs yet.
func (b backend) load(spec *ebpf.CollectionSpec) (*programs, error) {
	if version, err := features.LinuxVersionCode(); err == nil && version < chargesMemlock {
		if err := rlimit.RemoveMemlock(); err != nil {
			return nil, fmt.Errorf("raise RLIMIT_MEMLOCK: %w (needs CAP_SYS_RESOURCE before kernel 5.11)", err)
		}
	}
	p := &programs{
		losses:  tokens(spec.Types, "loss"),
		missing: tokens(spec.Types, "missing"),
	}
	p.missing[bpf.CaptureMissingMISSING_NONE] = ""
	var err error
	p.Collection, err = ebpf.NewCollection(spec)
	if err != nil && (errors.Is(err, unix.EPERM) || !mayUseBPF()) { // EACCES is the verifier's
		return nil, fmt.Errorf("load program %s: %w (needs CAP_BPF and CAP_PERFMON, or root)", b.name, unix.EPERM)
	}
	if err != nil {
		return nil, fmt.Errorf("load program %s: %w", b.name, err)
	}
	return p, nil
}

// mayUseBPF reports whether this process has CAP_BPF. Without it the library
// explains what fails by features that it takes the kernel not to have.
func mayUseBPF() bool {
	ring, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: uint32(os.Getpagesize())})
	if err == nil {
		ring.Close()
	}
	return !errors.Is(err, unix.EPERM)
}

// attach makes programs run.
func (p *programs) attach(names ...string) error {
	for _, name := range names {
		l, err := link.AttachTracing(link.TracingOptions{Program: p.Programs[name]})
		if err != nil {
			return fmt.Errorf("attach program %s: %w", name, err)
		}
		p.links = append(p.links, l)
	}
	return nil
}

// findListeners runs the iterator once.
func (p *programs) findListeners() error {
	l, err := link.AttachIter(link.IterOptions{Program: p.Programs[bpf.CaptureProgFindListeners]})
	if err != nil {
		return fmt.Errorf("attach iterator over files: %w", err)
	}
	defer l.Close()
	r, err := l.Open()
	if err != nil {
		return fmt.Errorf("open iterator over files: %w", err)
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); err != nil {
		return fmt.Errorf("read iterator over files: %w", err)
	}
	return nil
}

// lost counts the events that never reached the ring, by token.
func (p *programs) lost(yield func(reason string, events uint64)) {
	perCPU := make([]uint64, ebpf.MustPossibleCPU())
	for i, reason := range p.losses {
		if err := p.Maps[bpf.CaptureMapLosses].Lookup(uint32(i), perCPU); err != nil {
			continue // closed
		}
		var sum uint64
		for _, n := range perCPU {
			sum += n
		}
		yield(reason, sum)
	}
	// The kernel does not run a program inside itself on the same CPU.
	var sum uint64
	for _, program := range p.Programs {
		if stats, err := program.Stats(); err == nil {
			sum += stats.RecursionMisses
		}
	}
	yield("recursion", sum)
}

func (p *programs) Close() error {
	var errs []error
	for _, l := range p.links {
		errs = append(errs, l.Close())
	}
	p.Collection.Close()
	return errors.Join(errs...)
}

// tokens are the names of a C enumeration's values by number, in lower case and
// without prefix: the one place that names them is bpf/event.h.
func tokens(types *btf.Spec, enum string) []string {
	var e *btf.Enum
	if err := types.TypeByName(enum, &e); err != nil {
		panic("capture: bpf/event.h and its object differ: " + err.Error())
	}
	names := make([]string, len(e.Values))
	for _, v := range e.Values {
		_, name, _ := strings.Cut(v.Name, "_")
		names[v.Value] = strings.ToLower(name)
	}
	return names
}

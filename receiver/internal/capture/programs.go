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
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/perisco-io/perisco/bpf"
)

// programs are what runs in the kernel. Close detaches and removes it.
type programs struct {
	*ebpf.Collection
	sections map[string]string // where a program wants to be attached, by name
	links    []io.Closer
	losses   []string // tokens by number
	missing  []string
}

// load brings the programs of b into the kernel; nothing runs yet.
func (b backend) load(spec *ebpf.CollectionSpec, types types, o ebpf.ProgramOptions) (*programs, error) {
	if err := b.adapt(spec, types); err != nil {
		return nil, err
	}
	p := &programs{
		sections: map[string]string{},
		losses:   tokens(spec.Types, "loss"),
		missing:  tokens(spec.Types, "missing"),
	}
	p.missing[bpf.CaptureMissingMISSING_NONE] = ""
	for name, program := range spec.Programs {
		p.sections[name] = program.SectionName
	}
	o.KernelTypes = types.Spec
	var err error
	if p.Collection, err = ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Programs: o, Cache: types.cache}); err != nil {
		if errors.Is(err, unix.EPERM) { // the library names other reasons than the kernel has
			err = unix.EPERM
		}
		return nil, fmt.Errorf("load programs: %w", err)
	}
	return p, nil
}

// attach makes programs run.
func (p *programs) attach(names ...string) error {
	for _, name := range names {
		l, err := p.attachOne(name)
		var errno unix.Errno
		if errors.Is(err, os.ErrPermission) && errors.As(err, &errno) { // not what was tried instead
			err = errno
		}
		if err != nil {
			return fmt.Errorf("attach program %s: %w", name, err)
		}
		p.links = append(p.links, l)
	}
	return nil
}

// maxKretprobes is how many threads can be in a call that is probed at its end,
// the most that the kernel takes (KRETPROBE_MAXACTIVE_MAX).
const maxKretprobes = 4096

func (p *programs) attachOne(name string) (link.Link, error) {
	kind, symbol, _ := strings.Cut(p.sections[name], "/")
	if p.Programs[name].Type() == ebpf.RawTracepoint {
		return link.AttachRawTracepoint(link.RawTracepointOptions{Name: symbol, Program: p.Programs[name]})
	}
	switch kind {
	case "kprobe":
		return link.Kprobe(symbol, p.Programs[name], nil)
	case "kretprobe":
		// The number takes tracefs; without it, it is twice that of the CPUs.
		l, err := link.Kretprobe(symbol, p.Programs[name], &link.KprobeOptions{RetprobeMaxActive: maxKretprobes})
		if err != nil {
			l, err = link.Kretprobe(symbol, p.Programs[name], nil)
		}
		return l, err
	}
	return link.AttachTracing(link.TracingOptions{Program: p.Programs[name]})
}

// findListeners runs the iterator once.
func (p *programs) findListeners() error {
	program := p.Programs[bpf.CaptureProgFindListeners]
	if program == nil {
		return nil
	}
	l, err := link.AttachIter(link.IterOptions{Program: program})
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

// lost counts the events that somebody wanted and that never reached the ring,
// by token.
func (p *programs) lost(yield func(reason string, events uint64)) {
	for i, reason := range p.losses {
		if i := bpf.CaptureLoss(i); i != bpf.CaptureLossLOSS_IGNORED {
			yield(reason, p.count(i))
		}
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

// count is how many events have become of this.
func (p *programs) count(loss bpf.CaptureLoss) (events uint64) {
	perCPU := make([]uint64, ebpf.MustPossibleCPU())
	// Fails only where the map is closed, or has fewer than bpf/event.h counts.
	_ = p.Maps[bpf.CaptureMapLosses].Lookup(uint32(loss), perCPU)
	for _, n := range perCPU {
		events += n
	}
	return events
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

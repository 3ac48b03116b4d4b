//go:build linux && (amd64 || arm64)

package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/cilium/ebpf"

	"github.com/perisco-io/perisco/bpf"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// kernel is the Source of everything that this machine's processes send and
// receive over TCP.
type kernel struct {
	programs *programs
	shards   []*shard
	openings []stream.Opening
	self     uint32 // own process, by its number in the first pid namespace
	backend  string
	refused  Refusals // backends tried before

	mu       sync.RWMutex // held to write while Close takes away what is used under it
	policies *policies
	closed   bool
}

var _ Source = (*kernel)(nil)

var _ Chooser = (*kernel)(nil)

// Open starts capture in the kernel and proves that it works. Events of the
// calling process are left out. What it returns is a Chooser.
func Open(o Options) (Source, error) {
	candidates, err := choose(o.Backend)
	if err != nil {
		return nil, err
	}
	return openFirst(o, candidates)
}

func openFirst(o Options, candidates []backend) (Source, error) {
	// Loading reads the types of the whole kernel, of which nothing is needed
	// afterwards: 10 MB that a quiet collector would keep for minutes.
	defer debug.FreeOSMemory()
	if err := checkPrivileges(); err != nil {
		return nil, err
	}
	types, err := readTypes(o.BTFPath)
	if err != nil {
		return nil, err
	}
	var refused Refusals
	for _, b := range candidates {
		k, err := open(o, b, types)
		if err == nil {
			k.refused = refused
			return k, nil
		}
		if errors.As(err, new(configError)) {
			return nil, err
		}
		refused = append(refused, Refusal{b.name, err})
	}
	return nil, fmt.Errorf("no backend works here: %w", refused)
}

// A configError is one that every backend would return.
type configError struct{ error }

func (e configError) Unwrap() error { return e.error }

// open starts capture with one backend.
func open(o Options, b backend, types types) (_ *kernel, err error) {
	spec, err := bpf.LoadCapture()
	if err != nil {
		return nil, configError{fmt.Errorf("read programs: %w", err)}
	}
	if err := o.settle(); err != nil {
		return nil, configError{err}
	}
	if err := configure(spec, o); err != nil {
		return nil, configError{err}
	}
	if err := b.check(types); err != nil {
		return nil, err
	}
	k := &kernel{backend: b.name, openings: o.Openings}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.Close())
		}
	}()
	if k.programs, err = b.load(spec, types, ebpf.ProgramOptions{}); err != nil {
		return nil, b.explain(err)
	}
	if err := o.Filter.fill(k.programs.Maps); err != nil {
		return nil, err
	}
	if k.policies, err = mapPolicies(k.programs.Maps[bpf.CaptureMapPolicies]); err != nil {
		return nil, err
	}
	for i := range o.Shards {
		ring, err := openRing(k.programs.Maps, uint32(i), o.RingBytes)
		if err != nil {
			return nil, b.explain(fmt.Errorf("open ring: %w", err))
		}
		k.shards = append(k.shards, &shard{
			kernel:   k,
			ring:     ring,
			refusals: refusals{wanted: o.Filter.Process, kernel: k.programs.Maps[bpf.CaptureMapRefusals]},
		})
	}
	// A connection opened before the first of these is old, and its listener
	// found by the second; any other is seen opening.
	if err := k.programs.attach(bpf.CaptureProgState, bpf.CaptureProgDestroy); err != nil {
		return nil, err
	}
	if err := k.programs.findListeners(); err != nil {
		return nil, err
	}
	if err := k.programs.attach(b.hooks...); err != nil {
		return nil, b.explain(err)
	}
	if k.self, err = k.selfTest(); err != nil {
		return nil, fmt.Errorf("self-test: %w", err)
	}
	if err := k.programs.Variables[bpf.CaptureVarExcludeTgid].Set(k.self); err != nil {
		return nil, fmt.Errorf("exclude own process: %w", err)
	}
	return k, nil
}

// configure sets the knobs of bpf/config.h and the number of rings. o is settled.
func configure(spec *ebpf.CollectionSpec, o Options) error {
	if err := o.checkOpenings(); err != nil {
		return err
	}
	spec.Maps[bpf.CaptureMapRings].MaxEntries = uint32(o.Shards)
	spec.Maps[bpf.CaptureMapAlarms].MaxEntries = uint32(o.Shards)
	return errors.Join(
		spec.Variables[bpf.CaptureVarShards].Set(uint32(o.Shards)),
		spec.Variables[bpf.CaptureVarOpenings].Set(openings(o.Openings)),
		spec.Variables[bpf.CaptureVarMaxPayloadBytes].Set(uint32(o.MaxPayloadBytes)),
		o.Filter.configure(spec),
	)
}

// openings are these as the kernel has them.
func openings(from []stream.Opening) (to [maxOpenings]bpf.CaptureOpening) {
	for i, o := range from {
		to[i] = bpf.CaptureOpening{
			First:        binary.NativeEndian.Uint64([]byte(o.Bytes)),
			PrefaceBytes: uint8(len(o.Bytes)),
			HeadBytes:    uint8(o.Frames.HeadBytes),
			LengthAt:     uint8(o.Frames.LengthAt),
			LengthBytes:  uint8(o.Frames.LengthBytes),
			TypeAt:       uint8(o.Frames.TypeAt),
			Skims:        o.Frames.Skims,
			SkimFrom:     uint32(o.Frames.SkimFrom),
			KeptBytes:    uint8(o.Frames.KeptBytes),
		}
	}
	return to
}

func (k *kernel) Shards() []Shard {
	shards := make([]Shard, len(k.shards))
	for i, s := range k.shards {
		shards[i] = s
	}
	return shards
}

func (k *kernel) Losses(yield func(reason string, events uint64)) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.closed {
		return
	}
	k.programs.lost(yield)
	var lost uint64
	for _, s := range k.shards {
		lost += s.early.lost
	}
	yield("self_test", lost)
}

func (k *kernel) Ignored() (events uint64) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.closed {
		return 0
	}
	return k.programs.count(bpf.CaptureLossLOSS_IGNORED)
}

func (k *kernel) Backend() (name string, refused Refusals) { return k.backend, k.refused }

func (k *kernel) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil
	}
	k.closed = true
	var errs []error
	for _, s := range k.shards {
		errs = append(errs, s.ring.close())
	}
	if k.policies != nil {
		errs = append(errs, k.policies.Close())
	}
	if k.programs != nil {
		errs = append(errs, k.programs.Close())
	}
	return errors.Join(errs...)
}

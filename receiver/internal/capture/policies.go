//go:build linux && (amd64 || arm64)

package capture

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/perisco-io/perisco/bpf"
)

// policies is the map of that name (bpf/maps.h), written through a mapping:
// no syscall for a wish. Its words are wishes; each is read at once.
type policies struct {
	mapping []byte
	slots   []bpf.CapturePolicy
	bits    int // of a flow that choose its slot
}

func mapPolicies(m *ebpf.Map) (*policies, error) {
	slots := int(m.MaxEntries())
	size := slots * int(unsafe.Sizeof(bpf.CapturePolicy{}))
	mapping, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map policies: %w", err)
	}
	return &policies{
		mapping: mapping,
		slots:   unsafe.Slice((*bpf.CapturePolicy)(unsafe.Pointer(unsafe.SliceData(mapping))), slots),
		bits:    bits.TrailingZeros(uint(slots)),
	}, nil
}

// frameBegins is POLICY_FRAME in bpf/policy.h.
const frameBegins = 1 << 62

// skip sets what is not wanted. flags are frameBegins or nothing.
func (p *policies) skip(id FlowID, out bool, until uint32, flags uint64) {
	slot := &p.slots[uint64(id)%uint64(len(p.slots))]
	word := &slot.SkipIn
	if out {
		word = &slot.SkipOut
	}
	atomic.StoreUint64(word, p.tag(id)|flags|uint64(until))
}

// records sets how many events a read or write may become, and which of the openings,
// from 1 on, says what may be left out of frames; 0: nothing may.
func (p *policies) records(id FlowID, most, opening uint8) {
	atomic.StoreUint64(&p.slots[uint64(id)%uint64(len(p.slots))].Records, p.tag(id)|uint64(opening)<<8|uint64(most))
}

// tag is the upper half of a word of this flow: policy_tag in bpf/policy.h.
func (p *policies) tag(id FlowID) uint64 {
	return ((uint64(id)>>p.bits ^ uint64(id)>>(64-p.bits) | 1<<31) << 32) &^ frameBegins
}

func (p *policies) Close() error { return unix.Munmap(p.mapping) }

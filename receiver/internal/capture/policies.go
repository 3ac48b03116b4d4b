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

func (p *policies) skip(id FlowID, out bool, until uint32) {
	slot := &p.slots[uint64(id)%uint64(len(p.slots))]
	word := &slot.SkipIn
	if out {
		word = &slot.SkipOut
	}
	atomic.StoreUint64(word, p.tag(id)|uint64(until))
}

// records sets how many events a read or write may become.
func (p *policies) records(id FlowID, most uint32) {
	atomic.StoreUint64(&p.slots[uint64(id)%uint64(len(p.slots))].Records, p.tag(id)|uint64(most))
}

// tag is the upper half of a word of this flow: policy_tag in bpf/policy.h.
func (p *policies) tag(id FlowID) uint64 {
	return (uint64(id)>>p.bits ^ uint64(id)>>(64-p.bits) | 1<<31) << 32
}

func (p *policies) Close() error { return unix.Munmap(p.mapping) }

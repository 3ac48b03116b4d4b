//go:build linux && (amd64 || arm64)

package capture

import (
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"

	"github.com/perisco-io/perisco/bpf"
)

const (
	portsPerWord = 64      // of the map ports
	portWords    = 1 << 10 // of one list
	v4Mapped     = 96      // bits before an IPv4 address
	listBits     = 32      // of a network's key, before its address
)

// networks are the lists of networks by their number in bpf/filter.h.
func (f *Filter) networks() map[bpf.CaptureFilter][]netip.Prefix {
	return map[bpf.CaptureFilter][]netip.Prefix{
		bpf.CaptureFilterFILTER_LOCAL_INCLUDE: f.Include.Local,
		bpf.CaptureFilterFILTER_LOCAL_EXCLUDE: f.Exclude.Local,
		bpf.CaptureFilterFILTER_PEER_INCLUDE:  f.Include.Peer,
		bpf.CaptureFilterFILTER_PEER_EXCLUDE:  f.Exclude.Peer,
	}
}

// configure tells the programs which lists there are, and makes the maps as
// large as they need be.
func (f *Filter) configure(spec *ebpf.CollectionSpec) error {
	var used uint32
	var networks int
	for list, of := range f.networks() {
		if networks += len(of); len(of) > 0 {
			used |= 1 << list
		}
	}
	spec.Maps[bpf.CaptureMapNetworks].MaxEntries = uint32(max(1, networks))
	for list, of := range map[bpf.CaptureFilter][]PortRange{
		bpf.CaptureFilterFILTER_PORT_INCLUDE: f.Include.Ports,
		bpf.CaptureFilterFILTER_PORT_EXCLUDE: f.Exclude.Ports,
	} {
		if len(of) > 0 {
			used |= 1 << list
		}
	}
	if f.Process != nil {
		used |= 1 << bpf.CaptureFilterFILTER_PROCESS
	} else {
		spec.Maps[bpf.CaptureMapRefusals].MaxEntries = 1
	}
	return spec.Variables[bpf.CaptureVarFilters].Set(used)
}

// fill writes the lists into the maps.
func (f *Filter) fill(maps map[string]*ebpf.Map) error {
	for list, of := range f.networks() {
		for _, p := range of {
			if err := maps[bpf.CaptureMapNetworks].Put(networkKey(list, p), uint8(1)); err != nil {
				return fmt.Errorf("filter by network %s: %w", p, err)
			}
		}
	}
	for list, of := range [][]PortRange{f.Include.Ports, f.Exclude.Ports} {
		words := make(map[uint32]uint64)
		for _, r := range of {
			for port := uint32(r.First); port <= uint32(r.Last); port++ {
				words[uint32(list)*portWords+port/portsPerWord] |= 1 << (port % portsPerWord)
			}
		}
		for at, word := range words {
			if err := maps[bpf.CaptureMapPorts].Put(at, word); err != nil {
				return fmt.Errorf("filter by ports: %w", err)
			}
		}
	}
	return nil
}

func networkKey(list bpf.CaptureFilter, p netip.Prefix) bpf.CaptureNetwork {
	key := bpf.CaptureNetwork{Bits: uint32(listBits + p.Bits()), List: list, Addr: p.Addr().As16()}
	if p.Addr().Is4() {
		key.Bits += v4Mapped
		key.V4 = 1
	}
	return key
}

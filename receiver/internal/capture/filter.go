package capture

import (
	"net/netip"
	"slices"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// A Filter says which connections and processes are captured: those that are in
// every list of Include that is not empty, and in none of Exclude. The zero
// value takes all.
type Filter struct {
	Include, Exclude Lists
	// Process reports whether what a process reads and writes is wanted, which is
	// told as in an Event. Asked once by each shard for each program that a process
	// runs, from the goroutines of Next, which may be several. nil: of every process.
	Process func(pid uint32, start uint64, comm [16]byte) bool
}

// Lists are what connections are told by.
type Lists struct {
	Local, Peer []netip.Prefix // of the observed end, and of the other; none IPv4-mapped
	Ports       []PortRange    // of the server
}

// A PortRange is inclusive.
type PortRange struct{ First, Last uint16 }

// Admits reports whether the connection that e tells of is wanted. It is for
// sources that do not look at processes; the kernel decides by itself.
func (f *Filter) Admits(e *Event) bool {
	in, out := &f.Include, &f.Exclude
	return (len(in.Local) == 0 || inNetworks(in.Local, e.Local)) && !inNetworks(out.Local, e.Local) &&
		(len(in.Peer) == 0 || inNetworks(in.Peer, e.Peer)) && !inNetworks(out.Peer, e.Peer) &&
		(len(in.Ports) == 0 || serves(in.Ports, e)) && !serves(out.Ports, e)
}

func inNetworks(networks []netip.Prefix, at netip.AddrPort) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(at.Addr()) })
}

// serves is is_server_port_in of bpf/filter.h. In a packet capture the end that
// is told about is guessed, too.
func serves(ports []PortRange, e *Event) bool {
	server, other := e.Local.Port(), e.Peer.Port()
	if e.Side == stream.Client {
		server, other = other, server
	}
	return slices.ContainsFunc(ports, func(r PortRange) bool { return r.has(server) || !e.Sure && r.has(other) })
}

func (r PortRange) has(port uint16) bool { return r.First <= port && port <= r.Last }

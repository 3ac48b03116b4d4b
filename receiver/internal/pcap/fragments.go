package pcap

import (
	"bytes"
	"container/list"
	"net/netip"
	"slices"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const (
	// maxFragments bounds the bytes of fragments that wait for others, as on
	// Linux (ipfrag_high_thresh). The packet that waits for longest goes first.
	maxFragments = 4 << 20
	// fragmentCost is what a fragment costs beside its bytes, about.
	fragmentCost = 256
	fragmentTime = stream.Time(30 * time.Second) // Linux: ipfrag_time
	maxPayload   = 1<<16 - 1                     // of an IP packet: its length has 16 bits
	fragmentUnit = 8                             // bytes; RFC 791 3.1, RFC 8200 4.5
)

// A packetID tells which fragments belong together (RFC 791 3.2, RFC 8200 4.5).
type packetID struct {
	from, to netip.Addr
	id       uint32
	upper    layers.IPProtocol // 0 for IPv6, where the id suffices
}

// fragments puts IP packets together. gopacket could, but neither bounds what
// it keeps nor, for IPv6, goes by the time of the capture.
type fragments struct {
	packets map[packetID]*list.Element // of waiting
	waiting list.List                  // of *fragmented, the oldest first
	held    int                        // bytes, fragmentCost included
	losses  *losses
}

// fragmented is a packet of which fragments are missing.
type fragmented struct {
	packetID
	protocol layers.IPProtocol // of the payload: in the first fragment
	parts    []part            // by offset, not overlapping
	size     int               // bytes in parts
	end      int               // of the payload; 0 until its last fragment came
	since    stream.Time
}

type part struct {
	offset int
	data   []byte
}

func (p part) end() int { return p.offset + len(p.data) }

func (f *fragments) init(l *losses) {
	f.packets, f.losses = make(map[packetID]*list.Element), l
}

// add takes a fragment, and returns the payload if the packet is whole. It does
// what Linux does: a repeated fragment is ignored, and the packet is dropped
// whose fragments contradict each other.
func (f *fragments) add(id packetID, protocol layers.IPProtocol, p part, more bool, at stream.Time) ([]byte, layers.IPProtocol, bool) {
	f.expire(at)
	if len(p.data) == 0 || p.end() > maxPayload || more && len(p.data)%fragmentUnit != 0 {
		f.losses.add(fragmentDropped)
		return nil, 0, false
	}
	e := f.packets[id]
	if e == nil {
		e = f.waiting.PushBack(&fragmented{packetID: id, since: at})
		f.packets[id] = e
	}
	x := e.Value.(*fragmented)
	i, _ := slices.BinarySearchFunc(x.parts, p, func(a, b part) int { return a.end() - b.offset - 1 })
	switch last := len(x.parts) - 1; {
	case i <= last && x.parts[i].offset <= p.offset && p.end() <= x.parts[i].end():
		return nil, 0, false // repeated
	case i <= last && x.parts[i].offset < p.end(),
		!more && (x.end != 0 && x.end != p.end() || last >= 0 && x.parts[last].end() > p.end()),
		more && x.end != 0 && p.end() > x.end:
		f.drop(e)
		return nil, 0, false
	}
	if p.offset == 0 {
		x.protocol = protocol
	}
	if !more {
		x.end = p.end()
	}
	p.data = bytes.Clone(p.data)
	x.parts = slices.Insert(x.parts, i, p)
	x.size += len(p.data)
	f.held += len(p.data) + fragmentCost
	if x.size != x.end {
		return nil, 0, false
	}
	whole := make([]byte, 0, x.size)
	for _, p := range x.parts {
		whole = append(whole, p.data...)
	}
	f.forget(e)
	return whole, x.protocol, true
}

// expire drops what waited for too long, or is too much.
func (f *fragments) expire(at stream.Time) {
	for e := f.waiting.Front(); e != nil; e = f.waiting.Front() {
		if f.held <= maxFragments && at < e.Value.(*fragmented).since+fragmentTime {
			return
		}
		f.drop(e)
	}
}

func (f *fragments) drop(e *list.Element) {
	f.losses.add(fragmentDropped)
	f.forget(e)
}

func (f *fragments) forget(e *list.Element) {
	x := f.waiting.Remove(e).(*fragmented)
	delete(f.packets, x.packetID)
	f.held -= x.size + fragmentCost*len(x.parts)
}

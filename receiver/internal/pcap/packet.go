package pcap

import (
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// maxLayers bounds the headers of a packet. Two tags, a tunnel and the
// extensions of IPv6 in both of its layers make a dozen.
const maxLayers = 16

// A segment is what one packet says of a TCP connection.
type segment struct {
	from, to      netip.AddrPort
	at            stream.Time
	seq, ack      uint32
	syn, fin, rst bool
	acks          bool // ack says something
	data          []byte
	size          uint32 // bytes sent; data has the first of them
}

// A decoder finds the segment in a packet. Its layers are used again for each.
type decoder struct {
	layers    gopacket.DecodingLayerContainer
	ip4       layers.IPv4
	ip6       layers.IPv6
	fragment6 layers.IPv6Fragment
	tcp       layers.TCP
	fragments fragments
	losses    *losses
}

func (d *decoder) init(l *losses) {
	d.losses = l
	d.fragments.init(l)
	// By frequency: the container is searched from the front. Tunnels are here
	// because on the nodes of a cluster traffic between pods is in one.
	d.layers = gopacket.DecodingLayerArray(nil)
	for _, l := range []gopacket.DecodingLayer{
		&d.ip4, &d.tcp, new(layers.Ethernet), &d.ip6, new(layers.LinuxSLL2), new(layers.LinuxSLL), new(layers.Loopback),
		new(layers.Dot1Q), new(layers.IPv6ExtensionSkipper), new(layers.UDP), new(layers.VXLAN), new(layers.Geneve), new(layers.GRE),
	} {
		d.layers = d.layers.Put(l)
	}
	d.layers = d.layers.Put(&d.fragment6) // after the skipper, which takes it for its own
}

// Link types that gopacket has no names for: raw IP on OpenBSD, and on all
// others before it got a number of its own.
const (
	linkRawBSD     layers.LinkType = 12
	linkRawOpenBSD layers.LinkType = 14
)

// known reports whether packets of such an interface can be decoded.
func known(l layers.LinkType) bool {
	_, ok := outermost(l, nil)
	return ok
}

// outermost is the first layer of a packet.
func outermost(l layers.LinkType, data []byte) (gopacket.LayerType, bool) {
	switch l {
	case layers.LinkTypeEthernet:
		return layers.LayerTypeEthernet, true
	case layers.LinkTypeLinuxSLL:
		return layers.LayerTypeLinuxSLL, true
	case layers.LinkTypeLinuxSLL2:
		return layers.LayerTypeLinuxSLL2, true
	case layers.LinkTypeNull, layers.LinkTypeLoop:
		return layers.LayerTypeLoopback, true
	case layers.LinkTypeIPv4:
		return layers.LayerTypeIPv4, true
	case layers.LinkTypeIPv6:
		return layers.LayerTypeIPv6, true
	case layers.LinkTypeRaw, linkRawBSD, linkRawOpenBSD:
		if len(data) > 0 && data[0]>>4 == 6 {
			return layers.LayerTypeIPv6, true
		}
		return layers.LayerTypeIPv4, true
	}
	return 0, false
}

// decode returns the segment in a packet. Its data is valid as long as that
// of the packet. Packets that are not TCP, and all fragments but the last of
// a packet, have none.
func (d *decoder) decode(r record) (segment, bool) {
	typ, ok := outermost(r.link, r.data)
	if !ok {
		d.losses.add(unknownLink)
		return segment{}, false
	}
	data, cut := r.data, r.size-len(r.data) // cut: bytes that were sent behind data
	var from, to netip.Addr
	for range maxLayers {
		l, ok := d.layers.Decoder(typ)
		if !ok {
			return segment{}, false
		}
		if err := l.DecodeFromBytes(data, gopacket.NilDecodeFeedback); err != nil && !d.jumbo(l, data) {
			break
		}
		sent := len(data) + cut
		data, typ = l.LayerPayload(), l.NextLayerType()
		switch l {
		case &d.ip4:
			from, to = address(d.ip4.SrcIP), address(d.ip4.DstIP)
			cut = d.sent4(sent) - len(data)
		case &d.ip6:
			from, to = address(d.ip6.SrcIP), address(d.ip6.DstIP)
			cut = d.sent6(sent) - len(data)
		case &d.tcp:
			if !from.IsValid() || cut > maxPacket {
				d.losses.add(undecodable)
				return segment{}, false
			}
			t := &d.tcp
			return segment{
				from: netip.AddrPortFrom(from, uint16(t.SrcPort)), to: netip.AddrPortFrom(to, uint16(t.DstPort)),
				at: r.at, seq: t.Seq, ack: t.Ack, syn: t.SYN, fin: t.FIN, rst: t.RST, acks: t.ACK,
				data: data, size: uint32(len(data) + max(cut, 0)),
			}, true
		}
		if typ == gopacket.LayerTypeFragment {
			if data, typ, ok = d.fragment(l, packetID{from: from, to: to}, data, cut, r.at); !ok {
				return segment{}, false
			}
			cut = 0
		}
	}
	d.losses.add(undecodable)
	return segment{}, false
}

// sent4 is how long the payload of ip4 was, of which so many bytes were sent,
// its header included, or more, if the frame was padded.
func (d *decoder) sent4(sent int) int {
	header := len(d.ip4.Contents)
	// A length of 0 is that of a packet too long for the field.
	if length := be16(d.ip4.Contents[2:]); length != 0 {
		sent = length
	}
	return sent - header
}

// sent6 is sent4 for ip6. The options of the first hop belong to its header.
func (d *decoder) sent6(sent int) int {
	n := sent - len(d.ip6.Contents)
	if length := int(d.ip6.Length); length != 0 {
		n = length
	}
	if d.ip6.HopByHop != nil {
		n -= d.ip6.HopByHop.ActualLength
	}
	return n
}

// fragment takes the payload of a fragment, and returns that of the packet if
// it was the last.
func (d *decoder) fragment(l gopacket.DecodingLayer, id packetID, data []byte, cut int, at stream.Time) ([]byte, gopacket.LayerType, bool) {
	if cut > 0 {
		d.losses.add(fragmentDropped)
		return nil, 0, false
	}
	var offset uint16
	var more bool
	var protocol layers.IPProtocol
	switch l {
	case &d.ip4:
		protocol, offset, more = d.ip4.Protocol, d.ip4.FragOffset, d.ip4.Flags&layers.IPv4MoreFragments != 0
		id.id, id.upper = uint32(d.ip4.Id), protocol
	default:
		h := &d.fragment6
		protocol, offset, more = h.NextHeader, h.FragmentOffset, h.MoreFragments
		id.id = h.Identification
	}
	data, protocol, ok := d.fragments.add(id, protocol, part{int(offset) * fragmentUnit, data}, more, at)
	return data, protocol.LayerType(), ok
}

// jumbo reports whether l is an IPv6 packet too long for its length field. On
// Linux such packets are captured without the option that RFC 2675 asks for,
// and gopacket then complains, having decoded everything.
func (d *decoder) jumbo(l gopacket.DecodingLayer, data []byte) bool {
	return l == &d.ip6 && len(data) >= 40 && d.ip6.Length == 0 && d.ip6.NextHeader == layers.IPProtocolTCP
}

func address(ip []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(ip) // 4 or 16 bytes: they were cut from a header
	return a.Unmap()
}

func be16(p []byte) int { return int(p[0])<<8 | int(p[1]) }

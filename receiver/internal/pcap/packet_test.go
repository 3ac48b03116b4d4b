package pcap

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

var plain = []string{`1 opened`, `1 client "ask"`, `1 server "answer"`, `1 client ended`, `1 server ended`, `1 closed`}

func plainTape(client, server netip.AddrPort) *tape {
	t := newTape()
	t.talk(client, server).open().client("ask").server("answer").fin(stream.Client).fin(stream.Server)
	return t
}

func want(t *testing.T, p []byte, want []string, losses string) {
	t.Helper()
	events, lost := play(t, p)
	if !slices.Equal(events, want) || lost != losses {
		t.Errorf("events:\n%s\nlosses = %q, want\n%s\n%q", strings.Join(events, "\n"), lost, strings.Join(want, "\n"), losses)
	}
}

func TestLinkTypes(t *testing.T) {
	for _, link := range []layers.LinkType{
		layers.LinkTypeEthernet, layers.LinkTypeLinuxSLL, layers.LinkTypeLinuxSLL2, layers.LinkTypeNull, layers.LinkTypeLoop,
		layers.LinkTypeRaw, linkRawBSD, linkRawOpenBSD,
	} {
		t.Run(link.String(), func(t *testing.T) {
			want(t, plainTape(clientV4, serverV4).pcap(link), plain, "")
			want(t, plainTape(clientV6, serverV6).pcap(link), plain, "")
		})
	}
	t.Run("IPv4", func(t *testing.T) { want(t, plainTape(clientV4, serverV4).pcap(layers.LinkTypeIPv4), plain, "") })
	t.Run("IPv6", func(t *testing.T) { want(t, plainTape(clientV6, serverV6).pcap(layers.LinkTypeIPv6), plain, "") })
}

// vlan puts tags into the frames of an Ethernet capture.
func vlan(ip []byte, types ...layers.EthernetType) []byte {
	mac := make([]byte, 6)
	next := append(types[1:], layers.EthernetTypeIPv4)
	l := []gopacket.SerializableLayer{&layers.Ethernet{SrcMAC: mac, DstMAC: mac, EthernetType: types[0]}}
	for i, typ := range next {
		l = append(l, &layers.Dot1Q{VLANIdentifier: uint16(7 + i), Type: typ})
	}
	return serialize(append(l, gopacket.Payload(ip))...)
}

func TestEncapsulations(t *testing.T) {
	mac := make([]byte, 6)
	for _, c := range []struct {
		name string
		wrap func(ip []byte) []byte // from IP to an Ethernet frame
	}{
		{"VLAN", func(ip []byte) []byte { return vlan(ip, layers.EthernetTypeDot1Q) }},
		{"QinQ", func(ip []byte) []byte { return vlan(ip, layers.EthernetTypeQinQ, layers.EthernetTypeDot1Q) }},
		{"frames padded to 60 bytes", func(ip []byte) []byte { return append(wrap(layers.LinkTypeEthernet, ip), make([]byte, 20)...) }},
		{"VXLAN between the nodes of a cluster", func(ip []byte) []byte {
			outer := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: []byte{10, 0, 0, 1}, DstIP: []byte{10, 0, 0, 2}}
			udp := &layers.UDP{SrcPort: 50000, DstPort: 4789}
			_ = udp.SetNetworkLayerForChecksum(outer)
			return serialize(&layers.Ethernet{SrcMAC: mac, DstMAC: mac, EthernetType: layers.EthernetTypeIPv4}, outer, udp,
				&layers.VXLAN{ValidIDFlag: true, VNI: 1}, gopacket.Payload(wrap(layers.LinkTypeEthernet, ip)))
		}},
		{"GRE", func(ip []byte) []byte {
			outer := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolGRE, SrcIP: []byte{10, 0, 0, 1}, DstIP: []byte{10, 0, 0, 2}}
			return serialize(&layers.Ethernet{SrcMAC: mac, DstMAC: mac, EthernetType: layers.EthernetTypeIPv4}, outer,
				&layers.GRE{Protocol: layers.EthernetTypeIPv4}, gopacket.Payload(ip))
		}},
		{"a length of 0, as segmentation offload leaves it", func(ip []byte) []byte {
			ip = bytes.Clone(ip)
			ip[2], ip[3] = 0, 0
			return wrap(layers.LinkTypeEthernet, ip)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := plainTape(clientV4, serverV4)
			for i := range x.packets {
				frame := c.wrap(x.packets[i].ip)
				x.packets[i].ip = frame
			}
			// The frame is whole: write it as it is.
			want(t, bare(x), plain, "")
		})
	}
}

func TestPacketsTooLongForTheLengthFieldOfIPv6(t *testing.T) {
	x := plainTape(clientV6, serverV6)
	for i := range x.packets {
		x.packets[i].ip[4], x.packets[i].ip[5] = 0, 0
	}
	want(t, x.pcap(layers.LinkTypeEthernet), plain, "")
}

func TestExtensionsOfIPv6AreSkipped(t *testing.T) {
	x := plainTape(clientV6, serverV6)
	for i, p := range x.packets {
		ip := bytes.Clone(p.ip[:40])
		ip[5] += 16 // length
		ip[6] = byte(layers.IPProtocolIPv6HopByHop)
		ip = append(ip, byte(layers.IPProtocolIPv6Destination), 0, 1, 4, 0, 0, 0, 0) // PadN
		ip = append(ip, byte(layers.IPProtocolTCP), 0, 1, 4, 0, 0, 0, 0)
		x.packets[i].ip = append(ip, p.ip[40:]...)
	}
	want(t, x.pcap(layers.LinkTypeEthernet), plain, "")
}

// bare writes a tape of whole Ethernet frames.
func bare(x *tape) []byte {
	p := x.pcap(layers.LinkTypeRaw)
	p[20] = byte(layers.LinkTypeEthernet)
	return p
}

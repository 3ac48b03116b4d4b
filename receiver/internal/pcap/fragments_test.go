package pcap

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// fragment cuts the IP packets of a tape, those with a payload, into fragments.
func fragment(x *tape, size int) {
	var out []taped
	for n, p := range x.packets {
		header, six := 20, p.ip[0]>>4 == 6
		if six {
			header = 40
		}
		for at, payload := 0, p.ip[header:]; at < len(payload); at += size {
			end := min(at+size, len(payload))
			more := end < len(payload)
			var ip gopacket.SerializableLayer
			if six {
				inner := serialize(&layers.IPv6Fragment{NextHeader: layers.IPProtocolTCP, FragmentOffset: uint16(at / 8), MoreFragments: more, Identification: uint32(n)}, gopacket.Payload(payload[at:end]))
				out = append(out, taped{at: p.at, ip: serialize(
					&layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolIPv6Fragment, SrcIP: p.ip[8:24], DstIP: p.ip[24:40]}, gopacket.Payload(inner))})
				continue
			}
			flags := layers.IPv4Flag(0)
			if more {
				flags = layers.IPv4MoreFragments
			}
			ip = &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, Id: uint16(n), Flags: flags, FragOffset: uint16(at / 8), SrcIP: p.ip[12:16], DstIP: p.ip[16:20]}
			out = append(out, taped{at: p.at, ip: serialize(ip, gopacket.Payload(payload[at:end]))})
		}
	}
	x.packets = out
}

func TestFragments(t *testing.T) {
	answer := strings.Repeat("0123456789", 300)
	events := []string{`1 opened`, `1 client "ask"`, `1 server "` + answer + `"`}
	for _, c := range []struct {
		name   string
		change func(*tape)
		want   []string
		losses string
	}{
		{"in order", func(*tape) {}, events, ""},
		{"in another order", func(x *tape) {
			r := rand.New(rand.NewPCG(1, 2))
			data := x.packets[3:] // after the opening
			r.Shuffle(len(data), func(i, j int) { data[i].ip, data[j].ip = data[j].ip, data[i].ip })
		}, events, ""},
		{"each twice", func(x *tape) {
			var twice []taped
			for _, p := range x.packets {
				twice = append(twice, p, p)
			}
			x.packets = twice
		}, events, ""},
		{"one is missing", func(x *tape) { x.packets = slices.Delete(x.packets, len(x.packets)-2, len(x.packets)-1) }, events[:2], ""},
		{"one was cut off", func(x *tape) { x.packets[len(x.packets)-2].keep = 60 }, events[:2], "fragment_dropped=1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, ends := range [][2]netip.AddrPort{{clientV4, serverV4}, {clientV6, serverV6}} {
				x := newTape()
				x.talk(ends[0], ends[1]).open().client("ask").server(answer)
				fragment(x, 64)
				c.change(x)
				want(t, x.pcap(layers.LinkTypeEthernet), c.want, c.losses)
			}
		})
	}
}

func TestFragmentsThatNeverMakeAPacketAreBounded(t *testing.T) {
	var l losses
	var f fragments
	f.init(&l)
	data := make([]byte, 1024)
	for i := range 20000 {
		f.add(packetID{from: clientV4.Addr(), to: serverV4.Addr(), id: uint32(i)}, layers.IPProtocolTCP, part{0, data}, true, 1)
		if f.held > maxFragments+len(data)+fragmentCost {
			t.Fatalf("%d bytes are held", f.held)
		}
	}
	f.expire(1 + 2*fragmentTime)
	if f.held != 0 || len(f.packets) != 0 || f.waiting.Len() != 0 || l[fragmentDropped].Load() != 20000 {
		t.Errorf("%d bytes of %d packets are held, %d dropped", f.held, len(f.packets), l[fragmentDropped].Load())
	}
}

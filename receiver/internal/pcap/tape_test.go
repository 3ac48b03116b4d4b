package pcap

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/leaktest"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

var (
	clientV4 = netip.MustParseAddrPort("192.0.2.7:40001")
	serverV4 = netip.MustParseAddrPort("192.0.2.1:80")
	clientV6 = netip.MustParseAddrPort("[2001:db8::7]:40001")
	serverV6 = netip.MustParseAddrPort("[2001:db8::1]:80")
	tapeTime = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
)

// A tape is packets as they would be captured: each is an IP packet, what it
// is wrapped in is chosen when the tape is written.
type tape struct {
	packets []taped
	at      time.Time
	step    time.Duration
}

type taped struct {
	at   time.Time
	ip   []byte
	keep int // bytes that the capture kept; 0: all
}

func newTape() *tape { return &tape{at: tapeTime, step: 100 * time.Microsecond} }

func (t *tape) add(ip []byte) {
	t.at = t.at.Add(t.step)
	t.packets = append(t.packets, taped{at: t.at, ip: ip})
}

func serialize(l ...gopacket.SerializableLayer) []byte {
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, l...); err != nil {
		panic(err)
	}
	return bytes.Clone(b.Bytes())
}

func ipPacket(from, to netip.AddrPort, tcp *layers.TCP, payload string) []byte {
	tcp.SrcPort, tcp.DstPort = layers.TCPPort(from.Port()), layers.TCPPort(to.Port())
	tcp.Window = 65535
	var ip interface {
		gopacket.SerializableLayer
		gopacket.NetworkLayer
	}
	if from.Addr().Is4() {
		ip = &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: from.Addr().AsSlice(), DstIP: to.Addr().AsSlice()}
	} else {
		ip = &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: from.Addr().AsSlice(), DstIP: to.Addr().AsSlice()}
	}
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		panic(err)
	}
	return serialize(ip, tcp, gopacket.Payload(payload))
}

// A talk writes the packets of one connection. Numbers of packets are kept, so
// that they can be sent again, moved or left out by hand.
type talk struct {
	*tape
	ends [2]netip.AddrPort // by stream.Side
	seq  [2]uint32
	mute bool // the capture misses what is sent now
}

func (t *tape) talk(client, server netip.AddrPort) *talk {
	return &talk{tape: t, ends: [2]netip.AddrPort{client, server}, seq: [2]uint32{1000, 0xffffffa0}}
}

func (k *talk) send(side stream.Side, tcp layers.TCP, payload string) *talk {
	tcp.Seq = k.seq[side]
	if tcp.ACK {
		tcp.Ack = k.seq[side.Peer()]
	}
	k.seq[side] += uint32(len(payload))
	if tcp.SYN || tcp.FIN {
		k.seq[side]++
	}
	if !k.mute {
		k.add(ipPacket(k.ends[side], k.ends[side.Peer()], &tcp, payload))
	}
	return k
}

func (k *talk) open() *talk {
	k.send(stream.Client, layers.TCP{SYN: true}, "")
	k.send(stream.Server, layers.TCP{SYN: true, ACK: true}, "")
	return k.send(stream.Client, layers.TCP{ACK: true}, "")
}

func (k *talk) client(s string) *talk {
	return k.send(stream.Client, layers.TCP{ACK: true, PSH: true}, s)
}
func (k *talk) server(s string) *talk {
	return k.send(stream.Server, layers.TCP{ACK: true, PSH: true}, s)
}
func (k *talk) ack(side stream.Side) *talk {
	return k.send(side, layers.TCP{ACK: true}, "")
}
func (k *talk) fin(side stream.Side) *talk { return k.send(side, layers.TCP{ACK: true, FIN: true}, "") }
func (k *talk) rst(side stream.Side) *talk { return k.send(side, layers.TCP{ACK: true, RST: true}, "") }

// unseen lets the capture miss what f sends.
func (k *talk) unseen(f func()) *talk {
	k.mute = true
	f()
	k.mute = false
	return k
}

// swap exchanges the latest packet and the one n before it.
func (t *tape) swap(n int) {
	i, j := len(t.packets)-1, len(t.packets)-1-n
	t.packets[i].ip, t.packets[j].ip = t.packets[j].ip, t.packets[i].ip
}

// again sends the packet n before the latest again.
func (t *tape) again(n int) { t.add(t.packets[len(t.packets)-1-n].ip) }

// wrap puts a frame of a link type around an IP packet.
func wrap(link layers.LinkType, ip []byte) []byte {
	typ, family := layers.EthernetTypeIPv4, byte(2)
	if ip[0]>>4 == 6 {
		typ, family = layers.EthernetTypeIPv6, 30
	}
	var b []byte
	switch link {
	case layers.LinkTypeEthernet:
		b = serialize(&layers.Ethernet{SrcMAC: make(net.HardwareAddr, 6), DstMAC: make(net.HardwareAddr, 6), EthernetType: typ})[:14]
	case layers.LinkTypeLinuxSLL:
		b = append(make([]byte, 14), byte(typ>>8), byte(typ))
	case layers.LinkTypeLinuxSLL2:
		b = append([]byte{byte(typ >> 8), byte(typ)}, make([]byte, 18)...)
	case layers.LinkTypeNull:
		b = []byte{family, 0, 0, 0}
	case layers.LinkTypeLoop:
		b = []byte{0, 0, 0, family}
	}
	return append(b, ip...)
}

// pcap writes the tape in the classic format.
func (t *tape) pcap(link layers.LinkType) []byte {
	var b bytes.Buffer
	w := pcapgo.NewWriterNanos(&b)
	_ = w.WriteFileHeader(262144, link)
	for _, p := range t.packets {
		data := wrap(link, p.ip)
		size := len(data)
		if p.keep > 0 {
			data = data[:len(data)-len(p.ip)+p.keep]
		}
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: p.at, CaptureLength: len(data), Length: size}, data); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

// pcapng writes the tape in the newer format, packets in turn from interfaces
// of each link type.
func (t *tape) pcapng(links ...layers.LinkType) []byte {
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriterInterface(&b, pcapgo.NgInterface{LinkType: links[0], SnapLength: 262144, TimestampResolution: 9}, pcapgo.DefaultNgWriterOptions)
	if err != nil {
		panic(err)
	}
	for _, l := range links[1:] {
		if _, err := w.AddInterface(pcapgo.NgInterface{LinkType: l, SnapLength: 262144, TimestampResolution: 9}); err != nil {
			panic(err)
		}
	}
	for i, p := range t.packets {
		data := wrap(links[i%len(links)], p.ip)
		info := gopacket.CaptureInfo{Timestamp: p.at, CaptureLength: len(data), Length: len(data), InterfaceIndex: i % len(links)}
		if err := w.WritePacket(info, data); err != nil {
			panic(err)
		}
	}
	if err := w.Flush(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func zip(p []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(p)
	_ = w.Close()
	return b.Bytes()
}

// microseconds turns a capture in nanoseconds into the older kind, and perhaps
// the byte order into that of another machine.
func microseconds(p []byte, order binary.AppendByteOrder) []byte {
	little := binary.LittleEndian
	b := order.AppendUint32(nil, 0xa1b2c3d4)
	b = order.AppendUint16(order.AppendUint16(b, 2), 4)
	for _, at := range []int{8, 12, 16, 20} {
		b = order.AppendUint32(b, little.Uint32(p[at:]))
	}
	for p = p[24:]; len(p) > 0; {
		n := little.Uint32(p[8:])
		b = order.AppendUint32(b, little.Uint32(p))
		b = order.AppendUint32(b, little.Uint32(p[4:])/1000)
		b = order.AppendUint32(order.AppendUint32(b, n), little.Uint32(p[12:]))
		b = append(b, p[16:16+n]...)
		p = p[16+n:]
	}
	return b
}

func write(t testing.TB, p []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "capture")
	if err := os.WriteFile(name, p, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// play reads a capture and says what events it has, one a line.
func play(t testing.TB, p []byte) (events []string, losses string) {
	t.Helper()
	s, err := Open(Options{File: write(t, p), KeepTime: true})
	if err != nil {
		t.Fatal(err)
	}
	events, err = tell(s)
	if err != nil {
		t.Error(err)
	}
	return events, lost(s)
}

// tell reads a source to its end, checks what holds of all events, and closes it.
func tell(s *Source) (events []string, err error) {
	defer func() { err = errors.Join(err, s.Close()) }()
	at := make(map[capture.FlowID]stream.Time)
	closed := make(map[capture.FlowID]bool)
	next := make(map[[2]uint64]uint32)
	for {
		var e capture.Event
		switch err := s.Next(&e); {
		case errors.Is(err, io.EOF):
			return events, nil
		case err != nil:
			return events, err
		}
		sender := e.Side
		if !e.Out {
			sender = sender.Peer()
		}
		text := fmt.Sprintf("%d ", e.Flow)
		switch e.Kind {
		case capture.Opened:
			text += "opened"
		case capture.Data:
			text += fmt.Sprintf("%s %q", sender, e.Data)
			if n := int(e.Len) - len(e.Data); n > 0 || e.Missing != "" {
				text += fmt.Sprintf(" +%d %s", n, e.Missing)
			}
		case capture.Ended:
			text += sender.String() + " ended"
		case capture.Closed:
			text += "closed"
			if e.Reset {
				text += " reset"
			}
		}
		if !e.Sure {
			text += " ?"
		}
		events = append(events, text)
		key := [2]uint64{uint64(e.Flow), uint64(sender)}
		seq, known := next[key]
		switch {
		case e.Flow == 0, e.Time == 0, !e.Sequenced, e.Side != stream.Server, !e.Local.IsValid() || !e.Peer.IsValid():
			return events, fmt.Errorf("event lacks something: %+v", e)
		case closed[e.Flow]:
			return events, fmt.Errorf("event after the end: %+v", e)
		case e.Time < at[e.Flow]:
			return events, fmt.Errorf("time goes back: %+v", e)
		case len(e.Data) > int(e.Len), (len(e.Data) < int(e.Len)) != (e.Missing != ""):
			return events, fmt.Errorf("length is wrong: %+v", e)
		case e.Kind == capture.Data && known && int32(e.Seq-seq) < 0:
			return events, fmt.Errorf("sequence goes back: %+v", e)
		}
		at[e.Flow], closed[e.Flow] = e.Time, e.Kind == capture.Closed
		if e.Kind == capture.Data {
			next[key] = e.Seq + e.Len
		}
	}
}

func lost(s *Source) string {
	var all []string
	s.Losses(func(why string, n uint64) { all = append(all, fmt.Sprintf("%s=%d", why, n)) })
	return strings.Join(all, " ")
}

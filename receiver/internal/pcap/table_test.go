package pcap

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

func TestWhatIsKeptOfConnectionsIsBounded(t *testing.T) {
	var l losses
	var b table
	b.init(&l)
	data := make([]byte, 1400)
	port := func(i int) netip.AddrPort { return netip.AddrPortFrom(clientV4.Addr().Next(), uint16(i)) }
	drain := func() {
		var e capture.Event
		for b.pop(&e) {
		}
	}
	t.Run("segments of one", func(t *testing.T) {
		b.add(segment{from: port(1), to: serverV4, at: 1, seq: 1, ack: 1, acks: true, data: data, size: 1400})
		for i := range uint32(3 * maxHeld) { // every second is missing
			b.add(segment{from: port(1), to: serverV4, at: 1, seq: 1 + 2800*(i+1), ack: 1, acks: true, data: data, size: 1400})
			drain()
		}
		if n := b.recent.next.count(); n > maxHeld || l[reorderLimit].Load() == 0 {
			t.Errorf("%d segments are held", n)
		}
	})
	t.Run("segments of all", func(t *testing.T) {
		for i := range 60000 {
			for j := range uint32(3) {
				b.add(segment{from: port(i), to: serverV4, at: 1, seq: 1 + 2800*j, ack: 1, acks: true, data: data, size: 1400})
			}
			drain()
		}
		if b.holding > maxHolding {
			t.Errorf("%d bytes are held", b.holding)
		}
	})
	t.Run("connections", func(t *testing.T) {
		for i := range 3 * maxConnections {
			to := serverV4
			if i > maxConnections {
				to = netip.AddrPortFrom(serverV4.Addr(), 81)
			}
			b.add(segment{from: port(i), to: to, at: 1, seq: 1, ack: 1, acks: true, data: data, size: 1400})
			drain()
		}
		if len(b.connections) > maxConnections || len(b.flows) != len(b.connections) || l[connectionEvicted].Load() == 0 {
			t.Errorf("%d connections, %d flows", len(b.connections), len(b.flows))
		}
		for b.flush() {
			drain()
		}
		if b.holding != 0 || len(b.connections) != 0 || len(b.flows) != 0 {
			t.Errorf("after the end: %d bytes, %d connections, %d flows", b.holding, len(b.connections), len(b.flows))
		}
	})
	t.Run("connections that wait for what was acknowledged", func(t *testing.T) {
		for i := range 3 * maxStalled {
			b.add(segment{from: port(i), to: serverV4, at: 1, seq: 1, ack: 1, acks: true, data: data, size: 1400})
			b.add(segment{from: serverV4, to: port(i), at: 1, seq: 1, ack: 5000, acks: true})
			drain()
		}
		if len(b.stalled) > maxStalled {
			t.Errorf("%d wait", len(b.stalled))
		}
	})
}

// The model is the plain stream: however segments are cut, repeated, moved and
// lost, what is handed out of each side is what it sent, with holes where
// nothing was captured, and an answer never comes before what it answers. Of a
// single byte no event may tell that it is missing: it is taken for the end of the
// stream until more comes, and then the engine counts the gap.
func TestReassemblyAgreesWithTheStreams(t *testing.T) {
	for _, seed := range []uint64{
		9875775787670818798, // such a byte
		rand.Uint64(),
	} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { agreesWithTheStreams(t, seed) })
	}
}

func agreesWithTheStreams(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		x := newTape()
		k := x.talk(clientV4, serverV4).open()
		var sent [2][]byte
		lossy := r.IntN(2) == 0
		for turn := range 60 {
			side := stream.Side(turn % 2)
			for range 1 + r.IntN(4) {
				s := make([]byte, 1+r.IntN(40))
				for i := range s {
					s[i] = byte(r.Uint32())
				}
				if r.IntN(6) == 0 { // again, from somewhere before
					back := min(r.IntN(60), len(sent[side]))
					k.seq[side] -= uint32(back)
					s = append(slices.Clone(sent[side][len(sent[side])-back:]), s...)
					sent[side] = sent[side][:len(sent[side])-back]
				}
				k.mute = lossy && r.IntN(15) == 0
				k.send(side, layers.TCP{ACK: true}, string(s))
				k.mute = false
				sent[side] = append(sent[side], s...)
			}
		}
		for i := 3; i+2 < len(x.packets); i += 3 + r.IntN(30) {
			x.packets[i].ip, x.packets[i+2].ip = x.packets[i+2].ip, x.packets[i].ip
		}
		s, err := Open(Options{File: write(t, x.pcap(layers.LinkTypeRaw)), KeepTime: true})
		if err != nil {
			t.Fatal(err)
		}
		first := [2]uint32{1001, 0xffffffa1}
		var passed [2]uint32
		for {
			var e capture.Event
			if err := s.Next(&e); err != nil {
				break
			}
			if e.Kind != capture.Data {
				continue
			}
			side := e.Side
			if !e.Out {
				side = side.Peer()
			}
			at := e.Seq - first[side]
			if lossy && at == passed[side]+1 {
				passed[side] = at
			}
			if at != passed[side] {
				t.Fatalf("%s at %d, want %d: a gap of which no event tells", side, at, passed[side])
			}
			if !bytes.Equal(sent[side][at:][:len(e.Data)], e.Data) {
				t.Fatalf("%s at %d: %x was not sent there", side, at, e.Data)
			}
			if !lossy && e.Missing != "" {
				t.Fatalf("%s at %d: %s", side, at, e.Missing)
			}
			passed[side] += e.Len
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		for side, n := range passed {
			if !lossy && int(n) != len(sent[side]) {
				t.Fatalf("%d of %d bytes came", n, len(sent[side]))
			}
		}
	}
}

package pcap

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

func TestTimesAreShiftedSoThatTheLastPacketIsNow(t *testing.T) {
	x := plainTape(clientV4, serverV4)
	x.at = x.at.Add(time.Hour)
	x.talk(clientV6, serverV6).client("ask")
	before := time.Now()
	s, err := Open(Options{File: write(t, x.pcap(layers.LinkTypeEthernet))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var first, last int64
	for {
		var e capture.Event
		if err := s.Next(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		last = int64(e.Time) + s.Epoch()
		if first == 0 {
			first = last
		}
	}
	if last < before.UnixNano() || last > time.Now().UnixNano() {
		t.Errorf("the last event is of %s", time.Unix(0, last))
	}
	if d := time.Duration(last - first).Round(time.Minute); d != time.Hour {
		t.Errorf("between the first and the last event lies %s, want an hour", d)
	}
	if p := s.Progress(); p.Read != p.Total || p.Total == 0 || p.Packets != int64(len(x.packets)) {
		t.Errorf("progress = %+v", p)
	}
}

func TestALossOfWhichNoEventTellsHasATime(t *testing.T) {
	x := newTape()
	k := x.talk(clientV4, serverV4).open().client("ask")
	x.packets[len(x.packets)-1].keep = 30
	lost := stream.Time(x.at.UnixNano())
	k.server("answer")
	s, err := Open(Options{File: write(t, x.pcap(layers.LinkTypeEthernet)), KeepTime: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var times []stream.Time
	for s.records != nil {
		s.packet()
		times = append(times, s.LostAt())
	}
	if want := []stream.Time{0, lost}; !slices.Equal(slices.Compact(times), want) {
		t.Errorf("something was lost at %v, want %v", times, want)
	}
}

func TestCloseEndsNext(t *testing.T) {
	x := newTape()
	k := x.talk(clientV4, serverV4).open()
	for range 10000 {
		k.client("ask").server("answer")
	}
	s, err := Open(Options{File: write(t, x.pcap(layers.LinkTypeEthernet))})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		var e capture.Event
		for {
			if err := s.Next(&e); err != nil && !errors.Is(err, io.EOF) {
				done <- err
				return
			}
		}
	}()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("err = %v, want os.ErrClosed", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

func TestAnIgnoredFlowHasOnlyItsEnd(t *testing.T) {
	x := newTape()
	k := x.talk(clientV4, serverV4).open().client("ask").server("answer").client("ask")
	k.unseen(func() { k.server("missing") }).server("answer").fin(stream.Client).fin(stream.Server)
	s, err := Open(Options{File: write(t, x.pcap(layers.LinkTypeEthernet)), KeepTime: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var e capture.Event
	for range 2 {
		if err := s.Next(&e); err != nil {
			t.Fatal(err)
		}
	}
	s.Ignore(e.Flow)
	s.Ignore(e.Flow + 1) // unknown
	if err := s.Next(&e); err != nil || e.Kind != capture.Closed {
		t.Errorf("event %+v, %v", e, err)
	}
	if err := s.Next(&e); !errors.Is(err, io.EOF) {
		t.Errorf("event %+v, %v", e, err)
	}
}

func TestALongerCaptureNeedsNoMoreMemory(t *testing.T) {
	read := func(exchanges int) float64 {
		x := newTape()
		k := x.talk(clientV4, serverV4).open()
		for range exchanges {
			k.client("ask").server("one").server("two").ack(stream.Client).client("ask").server("answer")
			x.swap(2)
		}
		file := write(t, x.pcap(layers.LinkTypeEthernet))
		return testing.AllocsPerRun(5, func() {
			s, err := Open(Options{File: file, KeepTime: true})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var e capture.Event
			for err == nil {
				err = s.Next(&e)
			}
		})
	}
	// Segments that are out of order are copied; nothing else is.
	const short, long = 100, 2100
	if few, many := read(short), read(long); many-few > 6*(long-short) {
		t.Errorf("%v allocations for %d exchanges, %v for %d", few, short, many, long)
	}
}

func FuzzSource(f *testing.F) {
	x := plainTape(clientV4, serverV4)
	f.Add(x.pcap(layers.LinkTypeEthernet))
	f.Add(x.pcapng(layers.LinkTypeEthernet, layers.LinkTypeLinuxSLL2))
	f.Add(plainTape(clientV6, serverV6).pcap(layers.LinkTypeRaw))
	f.Add(zip(x.pcap(layers.LinkTypeNull)))
	y := newTape()
	y.talk(clientV4, serverV4).open().client(strings.Repeat("ask", 30)).server(strings.Repeat("answer", 30))
	fragment(y, 64)
	f.Add(y.pcap(layers.LinkTypeEthernet))
	z := newTape()
	k := z.talk(clientV6, serverV6).client("a").server("b")
	k.unseen(func() { k.client("c") }).server("d").client("e").rst(stream.Client)
	z.swap(1)
	f.Add(z.pcap(layers.LinkTypeLinuxSLL))
	recorded, err := filepath.Glob("testdata/*.pcap*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range recorded {
		p, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p)
	}
	file := filepath.Join(f.TempDir(), "capture")
	f.Fuzz(func(t *testing.T, p []byte) {
		// Not over the one before: file systems write that to the disk at once.
		if err := errors.Join(os.RemoveAll(file), os.WriteFile(file, p, 0o600)); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Options{File: file})
		if err != nil {
			return
		}
		if _, err := tell(s); err != nil && !strings.HasPrefix(err.Error(), "pcap: ") {
			t.Fatal(err)
		}
		if b := &s.table; b.holding != 0 || len(b.connections) != 0 {
			t.Fatalf("after the end: %d bytes, %d connections", b.holding, len(b.connections))
		}
	})
}

func TestConnectionsThatAreFilteredOutGiveNoEvents(t *testing.T) {
	x := newTape()
	x.talk(clientV4, serverV4).open().client("ask").server("answer").fin(stream.Client).fin(stream.Server)
	x.talk(clientV6, serverV6).open().client("ask").server("answer").fin(stream.Client).fin(stream.Server)
	s, err := Open(Options{File: write(t, x.pcap(layers.LinkTypeEthernet)), Filter: capture.Filter{
		Exclude: capture.Lists{Peer: []netip.Prefix{netip.PrefixFrom(clientV6.Addr(), 64).Masked()}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	events := 0
	for {
		var e capture.Event
		if err := s.Next(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if events++; e.Peer != clientV4 {
			t.Errorf("an event about %s", e.Peer)
		}
	}
	if events == 0 {
		t.Error("no event about the other connection")
	}
}

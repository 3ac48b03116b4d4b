package pcap

import (
	"encoding/binary"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/leaktest"
)

func TestFileFormats(t *testing.T) {
	nano := plainTape(clientV4, serverV4).pcap(layers.LinkTypeEthernet)
	big := slices.Clone(nano)
	for at := 0; at < len(big); at += 4 { // the header, then those of packets
		switch {
		case at == 4:
			slices.Reverse(big[4:6])
			slices.Reverse(big[6:8])
		case at < 24:
			slices.Reverse(big[at : at+4])
		default:
			n := int(binary.LittleEndian.Uint32(big[at+8:]))
			for i := range 4 {
				slices.Reverse(big[at+4*i:][:4])
			}
			at += 16 + n - 4
		}
	}
	ng := plainTape(clientV4, serverV4).pcapng(layers.LinkTypeEthernet)
	for _, c := range []struct {
		name string
		file []byte
	}{
		{"pcap in nanoseconds", nano},
		{"pcap in nanoseconds, of a big-endian machine", big},
		{"pcap in microseconds", microseconds(nano, binary.LittleEndian)},
		{"pcap in microseconds, of a big-endian machine", microseconds(nano, binary.BigEndian)},
		{"pcapng", ng},
		{"pcapng with interfaces of several kinds", plainTape(clientV4, serverV4).pcapng(layers.LinkTypeEthernet, layers.LinkTypeRaw, layers.LinkTypeLinuxSLL2)},
		{"pcap compressed by gzip", zip(nano)},
		{"pcapng compressed by gzip", zip(ng)},
	} {
		t.Run(c.name, func(t *testing.T) {
			want(t, c.file, plain, "")
			s, err := Open(Options{File: write(t, c.file), KeepTime: true})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var e capture.Event
			if err := s.Next(&e); err != nil {
				t.Fatal(err)
			}
			if at := time.Unix(0, int64(e.Time)+s.Epoch()); at.Sub(tapeTime).Abs() > time.Second {
				t.Errorf("the first event is of %s, want %s", at, tapeTime)
			}
		})
	}
}

func TestFilesThatCannotBeReadSayWhatToDo(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	whole := plainTape(clientV4, serverV4).pcap(layers.LinkTypeEthernet)
	wifi := slices.Clone(whole)
	wifi[20] = byte(layers.LinkTypeIEEE802_11)
	for _, c := range []struct {
		name string
		file string // or
		data []byte
		want string
	}{
		{name: "nothing there", file: filepath.Join(dir, "none"), want: "no such file"},
		{name: "a directory", file: dir, want: "is a directory: name one capture in it"},
		{name: "a fifo", file: fifo, want: "is not a regular file: write the capture to one first"},
		{name: "empty", data: []byte{}, want: "not a packet capture: the file is empty"},
		{name: "text", data: []byte("hello, world\n"), want: "not a packet capture: begins with 68656c6c"},
		{name: "one byte", data: []byte{0xd4}, want: "not a packet capture: begins with d4"},
		{name: "text compressed", data: zip([]byte("hello, world\n")), want: "not a packet capture: begins with 68656c6c"},
		{name: "nothing compressed", data: zip(nil), want: "not a packet capture"},
		{name: "half a gzip header", data: []byte{0x1f, 0x8b, 8}, want: "not a packet capture: begins like gzip"},
		{name: "half a header", data: whole[:10], want: "not a packet capture, though it begins like a pcap"},
		{name: "half a header of a pcapng", data: sectionTag, want: "not a packet capture, though it begins like a pcapng"},
		{name: "a section of 4 GB", data: append(slices.Clone(sectionTag), "\xff\xff\xff\xff\x1a\x2b\x3c\x4d\x00\x01\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"...), want: "not a packet capture"},
		{name: "802.11 frames", data: wifi, want: "packets of link type 105 (802.11) are not understood: capture on"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := leaktest.OpenFiles()
			file := c.file
			if file == "" {
				file = write(t, c.data)
			}
			_, err := Open(Options{File: file})
			if err == nil || !strings.HasPrefix(err.Error(), "pcap: ") || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("err = %v, want %q", err, c.want)
			}
			if after := leaktest.OpenFiles(); after != before {
				t.Errorf("%d files are open, were %d", after, before)
			}
		})
	}
}

func TestATruncatedFileGivesWhatItHas(t *testing.T) {
	nano := plainTape(clientV4, serverV4).pcap(layers.LinkTypeEthernet)
	ng := plainTape(clientV4, serverV4).pcapng(layers.LinkTypeEthernet)
	last := 16 + 14 + 20 + 20 // bytes of the last packet, its header included
	for cut := 1; cut < last; cut++ {
		want(t, nano[:len(nano)-cut], plain[:4], "truncated_file=1")
	}
	want(t, nano[:len(nano)-last], plain[:4], "")
	want(t, ng[:len(ng)-9], plain[:4], "truncated_file=1")
	half := zip(nano)
	s, err := Open(Options{File: write(t, half[:len(half)-12]), KeepTime: true})
	if err != nil {
		t.Fatal(err)
	}
	events, err := tell(s)
	if err != nil || len(events) == 0 || lost(s) != "truncated_file=1" {
		t.Errorf("%d events, %v, losses %q", len(events), err, lost(s))
	}
}

func TestADamagedFileGivesWhatComesBefore(t *testing.T) {
	x := plainTape(clientV4, serverV4)
	whole := x.pcap(layers.LinkTypeEthernet)
	last := len(whole) - (16 + 14 + 20 + 20)
	huge := slices.Clone(whole)
	copy(huge[last+8:], "\xff\xff\xff\xff\xff\xff\xff\xff")
	huge = append(huge, make([]byte, 1<<20)...)
	ng := x.pcapng(layers.LinkTypeEthernet)
	ng = append(ng, "\x06\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"...)
	ng = append(ng, make([]byte, 2*maxStep)...)
	for _, c := range []struct {
		name, err string
		file      []byte
		want      []string
	}{
		{"a packet of 4 GB", "packet 7: capture length exceeds", huge, plain[:4]},
		{"a packet of 4 GB in a pcapng", "packet 8: damaged: more than 16 MiB", ng, plain},
		{"a packet of 4 GB, compressed", "packet 8: damaged: more than 16 MiB", zip(ng), plain},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(Options{File: write(t, c.file), KeepTime: true})
			if err != nil {
				t.Fatal(err)
			}
			events, err := tell(s)
			if err == nil || !strings.Contains(err.Error(), c.err) || !slices.Equal(events, c.want) {
				t.Errorf("err = %v, events:\n%s", err, strings.Join(events, "\n"))
			}
		})
	}
}

//go:build linux && (amd64 || arm64)

package capture

import (
	"net/netip"
	"strings"
	"testing"
	"unsafe"

	"github.com/perisco-io/perisco/bpf"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// sample is a record of a write of 600 bytes, of which the first 100 were passed
// over, as the kernel would have written it.
func sample() ([]byte, bpf.CaptureEvent) {
	const captured = 500
	head := bpf.CaptureEvent{
		Flow: 1 << 20, TimeNs: 2, StartNs: 1, Seq: 107, Ack: 8,
		PassedBytes: 100, LenBytes: captured, CapturedBytes: captured, Tgid: 42, Execs: 3,
		LocalAddr: netip.MustParseAddr("::ffff:10.0.0.1").As16(), LocalPort: 80,
		PeerAddr: netip.MustParseAddr("2001:db8::1").As16(), PeerPort: 50000,
		Comm: [16]int8{'n', 'g', 'i', 'n', 'x'},
		Role: bpf.CaptureRoleROLE_SERVER, Kind: bpf.CaptureKindKIND_DATA,
		Flags: bpf.CaptureFlagFLAG_OUT | bpf.CaptureFlagFLAG_SEQUENCED | bpf.CaptureFlagFLAG_OPENED |
			bpf.CaptureFlagFLAG_TURNED,
		TurnsOut: 3, TurnsIn: 4,
	}
	raw := make([]byte, recordHead+captured)
	copy(raw, unsafe.Slice((*byte)(unsafe.Pointer(&head)), recordHead))
	copy(raw[recordHead:], strings.Repeat("x", captured))
	return raw, head
}

var noReasons = []string{""}

func TestDecodeTakesEveryField(t *testing.T) {
	raw, _ := sample()
	var e Event
	if err := decode(&e, raw, noReasons); err != nil {
		t.Fatal(err)
	}
	if len(e.Data) != 500 || strings.Trim(string(e.Data), "x") != "" {
		t.Errorf("data %q", e.Data)
	}
	e.Data = nil
	want := Event{
		Flow: 1 << 20, Kind: Data, Out: true, Side: stream.Server, Sure: true,
		Time: 2, Seq: 7, Ack: 8, Sequenced: true, Len: 600, Passed: 100,
		Local: netip.MustParseAddrPort("10.0.0.1:80"), Peer: netip.MustParseAddrPort("[2001:db8::1]:50000"),
		PID: 42, Start: 1, Execs: 3, Comm: [16]byte{'n', 'g', 'i', 'n', 'x'}, TurnsOut: 3, TurnsIn: 4, Turned: true,
	}
	if got := e; got.Flow != want.Flow || got.Kind != want.Kind || got.Out != want.Out || got.Side != want.Side ||
		got.Sure != want.Sure || got.Time != want.Time || got.Seq != want.Seq || got.Ack != want.Ack ||
		got.Sequenced != want.Sequenced || got.Len != want.Len || got.Passed != want.Passed || got.Local != want.Local || got.Peer != want.Peer ||
		got.PID != want.PID || got.Start != want.Start || got.Execs != want.Execs || got.Comm != want.Comm ||
		got.TurnsOut != want.TurnsOut || got.TurnsIn != want.TurnsIn || got.Turned != want.Turned {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeRefusesWhatTheProgramsDoNotWrite(t *testing.T) {
	raw, head := sample()
	for name, record := range map[string][]byte{
		"nothing":         nil,
		"half a head":     raw[:recordHead/2],
		"a cut payload":   raw[:len(raw)-1],
		"an unknown kind": with(head, func(h *bpf.CaptureEvent) { h.Kind = 99 }),
		"no such role":    with(head, func(h *bpf.CaptureEvent) { h.Role = 99 }),
		"no such reason":  with(head, func(h *bpf.CaptureEvent) { h.Missing = 1 }),
	} {
		if err := decode(&Event{}, record, noReasons); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func with(head bpf.CaptureEvent, change func(*bpf.CaptureEvent)) []byte {
	head.CapturedBytes = 0
	change(&head)
	raw := make([]byte, recordHead)
	copy(raw, unsafe.Slice((*byte)(unsafe.Pointer(&head)), recordHead))
	return raw
}

func TestBacklogGivesBackWhatItTook(t *testing.T) {
	var b backlog
	first, _ := sample()
	second := first[:recordHead+3]
	b.add(first)
	b.add(second)
	for i, want := range [][]byte{first, second} {
		got := b.next()
		if string(got) != string(want) {
			t.Errorf("record %d differs", i)
		}
		if uintptr(unsafe.Pointer(&got[0]))%unsafe.Alignof(bpf.CaptureEvent{}) != 0 {
			t.Errorf("record %d is not aligned", i)
		}
	}
	if b.next() != nil {
		t.Error("more than was put in")
	}
	b.buf = make([]byte, maxBacklog)
	if b.add(first); b.lost != 1 {
		t.Errorf("%d records lost, want 1", b.lost)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
		want string // error
	}{
		{"defaults", Options{}, ""},
		{"the smallest", Options{RingBytes: 65536, MaxPayloadBytes: 256}, ""},
		{"a ring that is no power of two", Options{RingBytes: 100_000},
			"ring of 100000 bytes: must be a power of two from 65536 to 1073741824"},
		{"a ring too small for large records", Options{RingBytes: 32768},
			"ring of 32768 bytes: must be a power of two from 65536 to 1073741824"},
		{"a payload too small to tell a protocol", Options{MaxPayloadBytes: 255},
			"payload of 255 bytes: must be 256 to 16384"},
		{"a payload too large for the programs", Options{MaxPayloadBytes: 16385},
			"payload of 16385 bytes: must be 256 to 16384"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := tt.o.settle(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestThePayloadIsBoundedByWhatTheProgramsHold(t *testing.T) {
	spec, err := bpf.LoadCapture()
	if err != nil {
		t.Fatal(err)
	}
	var most uint32
	if err := spec.Variables[bpf.CaptureVarMaxPayloadBytes].Get(&most); err != nil || most != MaxPayloadBytes {
		t.Errorf("the programs hold %d bytes, want %d: %v", most, MaxPayloadBytes, err)
	}
}

func TestOpeningsAreChecked(t *testing.T) {
	const eight = "8 bytes!"
	frames := stream.Framing{HeadBytes: 9, LengthBytes: 3, TypeAt: 3, Skims: 1, SkimFrom: 1024, KeptBytes: 6}
	for _, tt := range []struct {
		openings []stream.Opening
		change   func(*stream.Framing) // of an opening with frames, if there are no others
		want     string                // error
	}{
		{openingsOf(eight, "more than 8", "12345678", "abcdefgh"), nil, ""},
		{openingsOf(eight, "7 bytes"), nil, `opening "7 bytes": must have 8 bytes, and 255 at the most`},
		{make([]stream.Opening, 5), nil, "5 openings: must be 4 at the most"},
		{nil, func(*stream.Framing) {}, ""},
		{nil, func(f *stream.Framing) { *f = stream.Framing{} }, ""},
		{nil, func(f *stream.Framing) { f.HeadBytes = 17 }, "no such frames"},
		{nil, func(f *stream.Framing) { f.LengthAt = 7 }, "no such frames"},
		{nil, func(f *stream.Framing) { f.LengthBytes = 5 }, "no such frames"},
		{nil, func(f *stream.Framing) { f.TypeAt = 9 }, "no such frames"},
		{nil, func(f *stream.Framing) { f.KeptBytes = 1024 }, "no such frames"},
	} {
		openings := tt.openings
		if tt.change != nil {
			changed := frames
			tt.change(&changed)
			openings = []stream.Opening{{Bytes: eight, Frames: changed}}
		}
		got := ""
		if err := (&Options{Openings: openings}).checkOpenings(); err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("openings %+v: got %q, want %q", openings, got, tt.want)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	raw, _ := sample()
	var e Event
	b.ReportAllocs()
	for b.Loop() {
		if err := decode(&e, raw, noReasons); err != nil {
			b.Fatal(err)
		}
	}
}

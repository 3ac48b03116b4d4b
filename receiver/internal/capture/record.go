//go:build linux && (amd64 || arm64)

package capture

import (
	"fmt"
	"net/netip"
	"unsafe"

	"github.com/perisco-io/perisco/bpf"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// What the C side calls them, and what we do.
var (
	kinds = [...]Kind{
		bpf.CaptureKindKIND_DATA:   Data,
		bpf.CaptureKindKIND_OPENED: Opened,
		bpf.CaptureKindKIND_ENDED:  Ended,
		bpf.CaptureKindKIND_CLOSED: Closed,
	}
	sides = [...]stream.Side{
		bpf.CaptureRoleROLE_CLIENT: stream.Client,
		bpf.CaptureRoleROLE_SERVER: stream.Server,
	}
)

const recordHead = int(unsafe.Sizeof(bpf.CaptureEvent{}))

// decode makes an event of a record of the ring, which must be 8-byte aligned
// as all memory of that size is. e.Data aliases raw. missing names the reasons
// by their number.
func decode(e *Event, raw []byte, missing []string) error {
	if len(raw) < recordHead {
		return fmt.Errorf("record of %d bytes: shorter than its head", len(raw))
	}
	h := (*bpf.CaptureEvent)(unsafe.Pointer(unsafe.SliceData(raw)))
	// The ring rounds nothing: a record is as long as its program said.
	if len(raw) != recordHead+int(h.CapturedBytes) || int(h.Kind) >= len(kinds) ||
		int(h.Role) >= len(sides) || int(h.Missing) >= len(missing) {
		return fmt.Errorf("record of %d bytes: senseless", len(raw))
	}
	*e = Event{
		Flow:      FlowID(h.Flow),
		Kind:      kinds[h.Kind],
		Out:       h.Flags&bpf.CaptureFlagFLAG_OUT != 0,
		Reset:     h.Flags&bpf.CaptureFlagFLAG_RESET != 0,
		Side:      sides[h.Role],
		Sure:      h.Flags&bpf.CaptureFlagFLAG_OPENED != 0,
		Time:      stream.Time(h.TimeNs),
		Seq:       h.Seq - h.PassedBytes,
		Ack:       h.Ack,
		Sequenced: h.Flags&bpf.CaptureFlagFLAG_SEQUENCED != 0,
		TurnsOut:  h.TurnsOut,
		TurnsIn:   h.TurnsIn,
		Turned:    h.Flags&bpf.CaptureFlagFLAG_TURNED != 0,
		Continued: h.Flags&bpf.CaptureFlagFLAG_CONTINUED != 0,
		Framed:    h.Flags&bpf.CaptureFlagFLAG_FRAMED != 0,
		Len:       h.PassedBytes + h.LenBytes,
		Passed:    h.PassedBytes,
		Data:      raw[recordHead:],
		Missing:   missing[h.Missing],
		Local:     netip.AddrPortFrom(netip.AddrFrom16(h.LocalAddr).Unmap(), h.LocalPort),
		Peer:      netip.AddrPortFrom(netip.AddrFrom16(h.PeerAddr).Unmap(), h.PeerPort),
		PID:       h.Tgid,
		Start:     h.StartNs,
		Execs:     uint32(h.Execs),
		Comm:      *(*[16]byte)(unsafe.Pointer(&h.Comm)),
	}
	return nil
}

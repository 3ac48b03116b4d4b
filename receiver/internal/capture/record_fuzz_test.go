//go:build linux && (amd64 || arm64)

package capture

import (
	"testing"
	"unsafe"
)

// The kernel writes the records, but no mistake of its programs may become one of
// the collector's.
func FuzzDecode(f *testing.F) {
	raw, head := sample()
	f.Add(raw, uint8(1))
	f.Add(raw[:recordHead], uint8(1))
	f.Add(unsafe.Slice((*byte)(unsafe.Pointer(&head)), recordHead-1), uint8(0))
	f.Fuzz(func(t *testing.T, raw []byte, reasons uint8) {
		record := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(make([]uint64, len(raw)/8+1)))), len(raw)) // aligned
		copy(record, raw)
		var e Event
		if err := decode(&e, record, make([]string, reasons)); err != nil {
			return
		}
		if len(e.Data) != len(raw)-recordHead {
			t.Errorf("%d bytes of data in a record of %d", len(e.Data), len(raw))
		}
		if e.Kind > Closed || e.Side > 1 || e.Local.Addr().Is4In6() || e.Peer.Addr().Is4In6() {
			t.Errorf("%+v", e)
		}
	})
}

//go:build linux && (amd64 || arm64)

package capture

import (
	"testing"
	"unsafe"

	"github.com/cilium/ebpf/btf"

	"github.com/perisco-io/perisco/bpf"
)

// What is a #define there cannot be taken over from C.
func TestBoundsAreThoseOfTheKernelSide(t *testing.T) {
	spec, err := bpf.LoadCapture()
	if err != nil {
		t.Fatal(err)
	}
	var payload uint32
	if err := spec.Variables[bpf.CaptureVarMaxPayloadBytes].Get(&payload); err != nil || payload != MaxPayloadBytes {
		t.Errorf("max_payload_bytes is %d by default, %v, want MaxPayloadBytes, %d", payload, err, MaxPayloadBytes)
	}
	size := spec.Variables[bpf.CaptureVarOpenings].Size()
	if want := maxOpenings * uint32(unsafe.Sizeof(bpf.CaptureOpening{})); size != want {
		t.Errorf("openings takes %d bytes, want those of maxOpenings, %d", size, want)
	}
	var frames *btf.Struct
	if err := spec.Types.TypeByName("frames", &frames); err != nil {
		t.Fatal(err)
	}
	head := -1
	for _, m := range frames.Members {
		if array, ok := m.Type.(*btf.Array); ok && m.Name == "head" {
			head = int(array.Nelems)
		}
	}
	if head != maxHead {
		t.Errorf("frames has place for a head of %d bytes, want maxHead, %d", head, maxHead)
	}
}

//go:build linux && (amd64 || arm64)

package capture

import "encoding/binary"

// maxBacklog bounds what the self-test sets aside. It takes some milliseconds;
// the default ring holds as much.
const maxBacklog = 8 << 20

// A backlog is records that were read before Next was called, oldest first.
type backlog struct {
	buf  []byte
	lost uint64
}

// add sets a record aside, or counts it as lost.
func (b *backlog) add(raw []byte) {
	// Padded, so that every record is 8-byte aligned.
	if size := 8 + (len(raw)+7)&^7; len(b.buf)+size > maxBacklog {
		b.lost++
		return
	}
	b.buf = binary.NativeEndian.AppendUint64(b.buf, uint64(len(raw)))
	b.buf = append(b.buf, raw...)
	b.buf = append(b.buf, make([]byte, -len(raw)&7)...)
}

// next returns the oldest record, nil when none is left.
func (b *backlog) next() []byte {
	if len(b.buf) == 0 {
		b.buf = nil
		return nil
	}
	n := int(binary.NativeEndian.Uint64(b.buf))
	raw := b.buf[8 : 8+n : 8+n]
	b.buf = b.buf[8+(n+7)&^7:]
	return raw
}

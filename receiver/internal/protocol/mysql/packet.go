package mysql

import (
	"bytes"
	"encoding/binary"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const (
	headerLen = 4 // page_protocol_basic_packets: three bytes of length, one of sequence
	// maxPayload is the longest payload of a packet. After one that is as long,
	// the next packet goes on with the same message, be it empty.
	maxPayload = 1<<24 - 1
)

// A header is what stands before every payload.
type header struct {
	size int  // of the payload
	seq  byte // counts the packets of an exchange, from the command's 0 on, over both sides
}

// headerOf reads p, which holds one.
func headerOf(p []byte) header {
	_ = p[3]
	return header{int(p[0]) | int(p[1])<<8 | int(p[2])<<16, p[3]}
}

// lenenc reads a length-encoded integer (page_protocol_basic_dt_integers) and
// returns how long it is: 0 if p is cut short or does not begin with one.
func lenenc(p []byte) (v uint64, n int) {
	switch {
	case len(p) == 0:
	case p[0] < 0xfb:
		return uint64(p[0]), 1
	case p[0] == 0xfc && len(p) >= 3:
		return uint64(binary.LittleEndian.Uint16(p[1:])), 3
	case p[0] == 0xfd && len(p) >= 4:
		return uint64(p[1]) | uint64(p[2])<<8 | uint64(p[3])<<16, 4
	case p[0] == 0xfe && len(p) >= 9:
		return binary.LittleEndian.Uint64(p[1:]), 9
	}
	return 0, 0
}

// A fields reads a payload from its front. What is not there is read as zero,
// and cut tells.
type fields struct {
	p   []byte
	cut bool
}

// next returns the next n bytes.
func (f *fields) next(n uint64) []byte {
	if f.cut || n > uint64(len(f.p)) {
		f.cut, f.p = true, nil
		return nil
	}
	v := f.p[:n:n]
	f.p = f.p[n:]
	return v
}

func (f *fields) uint8() byte {
	if v := f.next(1); v != nil {
		return v[0]
	}
	return 0
}

func (f *fields) uint16() uint16 {
	if v := f.next(2); v != nil {
		return binary.LittleEndian.Uint16(v)
	}
	return 0
}

func (f *fields) uint32() uint32 {
	if v := f.next(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

func (f *fields) integer() uint64 {
	v, n := lenenc(f.p)
	if n == 0 {
		f.cut, f.p = true, nil
		return 0
	}
	f.p = f.p[n:]
	return v
}

// text returns a string with its length before it.
func (f *fields) text() []byte { return f.next(f.integer()) }

// terminated returns a string with a NUL behind it. The last one of a payload
// may end with that (MySQL reads it so).
func (f *fields) terminated(last bool) []byte {
	i := bytes.IndexByte(f.p, 0)
	if i < 0 {
		if !last || f.cut {
			f.cut, f.p = true, nil
			return nil
		}
		return f.next(uint64(len(f.p)))
	}
	v := f.next(uint64(i))
	f.next(1)
	return v
}

// payload returns the first bytes of the payload that begins behind the header
// at the front of b: most of them, or fewer if it has fewer or if the rest was
// not captured. It does not consume them.
func payload(b *stream.Buffer, h header, most int) (p []byte, err error) {
	n := headerLen + min(h.size, most)
	p = b.Bytes()
	switch {
	case len(p) >= n:
		return p[headerLen:n:n], nil
	case !b.Truncated():
		return nil, stream.ErrShort
	case len(p) <= headerLen && n > headerLen:
		return nil, stream.ErrHole
	}
	return p[headerLen:], nil
}

// nothing is what to do without bytes where a packet should begin.
func nothing(b *stream.Buffer) error {
	if b.Truncated() {
		return stream.ErrHole
	}
	return stream.ErrShort
}

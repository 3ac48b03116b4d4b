package hpack

import "encoding/binary"

// lengths are those of the codes of RFC 7541 appendix B, by symbol. The code is
// canonical: they say it all. The code of the end of the string, 30 ones, is
// left out: it must not appear (5.2).
var lengths = [256]uint8{
	13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
	28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
	6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
	5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
	13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
	7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
	15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
	6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
	20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
	24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
	22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
	21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
	26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
	19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
	20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
	26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
}

const (
	shortest = 5
	longest  = 30
	// quick is how many bits are looked up at once: letters, digits and most
	// of what else stands in a header have codes of at most 8.
	quick = 9
)

// code is the Huffman code, made for decoding.
var code = func() (c struct {
	// symbols by the next bits: symbol<<8 | length of its code, 0 if longer.
	symbols [1 << quick]uint16
	// Of each longer length: the codes below end, which begin with first (both
	// moved to the top of 32 bits), are those of the symbols from from on.
	long    [longest + 1]struct{ first, end, from uint32 }
	ordered [256]uint8
}) {
	next, n := uint32(0), uint32(0)
	for l := shortest; l <= longest; l++ {
		r := &c.long[l]
		r.first, r.from = next, n
		for s, bits := range lengths {
			if int(bits) != l {
				continue
			}
			c.ordered[n] = uint8(s)
			n++
			if l <= quick {
				for i := next >> (32 - quick); i < (next+1<<(32-l))>>(32-quick); i++ {
					c.symbols[i] = uint16(s)<<8 | uint16(l)
				}
			}
			next += 1 << (32 - l)
		}
		r.end = next
	}
	return c
}()

// unhuffman appends src without its coding to dst. It reports false if it is
// not coded so. RFC 7541 5.2.
func unhuffman(dst, src []byte) ([]byte, bool) {
	if most := len(src) * 8 / shortest; cap(dst)-len(dst) < most {
		dst = append(make([]byte, 0, len(dst)+2*most), dst...)
	}
	bits, n := uint64(0), uint(0) // n of them, at the top
	for len(src) >= 4 {
		bits |= uint64(binary.BigEndian.Uint32(src)) << (32 - n)
		src = src[4:]
		for n += 32; n > 32; { // so that the longest code is there
			s := code.symbols[bits>>(64-quick)]
			if s == 0 {
				if s = longSymbol(uint32(bits >> 32)); s == 0 {
					return dst, false
				}
			}
			dst = append(dst, byte(s>>8))
			bits <<= s & 0xff
			n -= uint(s & 0xff)
		}
	}
	for _, c := range src {
		bits |= uint64(c) << (56 - n)
		n += 8
	}
	for n > 0 {
		s := code.symbols[bits>>(64-quick)]
		if s == 0 {
			s = longSymbol(uint32(bits >> 32))
		}
		l := uint(s & 0xff)
		if l == 0 || l > n {
			// Padding: the beginning of 30 ones, less than a byte.
			return dst, n < 8 && bits>>(64-n) == 1<<n-1
		}
		dst = append(dst, byte(s>>8))
		bits <<= l
		n -= l
	}
	return dst, true
}

// longSymbol returns the symbol whose long code begins bits, as code.symbols
// has it.
func longSymbol(bits uint32) uint16 {
	for l := quick + 1; l <= longest; l++ {
		r := &code.long[l]
		if bits < r.end {
			return uint16(code.ordered[r.from+(bits-r.first)>>(32-l)])<<8 | uint16(l)
		}
	}
	return 0
}

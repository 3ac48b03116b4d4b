// Package hpack reads the compressed header fields of HTTP/2 (RFC 7541) as
// someone does who overhears them: bytes may have been missed, or the
// conversation may have been joined late. What depends on what was missed is
// unknown, never wrong, and what comes after is known again.
package hpack

import (
	"errors"
	"unsafe"
)

var (
	// ErrShort means that a block ends within a field.
	ErrShort = errors.New("hpack: field is cut")
	// ErrInvalid means that a field cannot be what its encoder sent.
	ErrInvalid = errors.New("hpack: not a field")
)

// maxInteger bounds the integers of a block (RFC 7541 5.1 asks for a bound):
// more than any length or table size in use, and far from overflow.
const maxInteger = 1 << 28

// A Field is what one representation stands for. Its slices are valid until
// the next call of Decode.
type Field struct {
	Name, Value []byte
	// Unknown says that the field refers to what was missed: its name is not
	// known, nor is its value unless it is set.
	Unknown bool
}

// Size is the length of f as RFC 7541 4.1 counts it.
func (f *Field) Size() int { return len(f.Name) + len(f.Value) + overhead }

// A Decoder follows the fields that one side sends, in order. The zero value is
// ready for a connection that is seen from its beginning. Not safe for
// concurrent use.
//
// The limit that the receiver of the fields sets (SETTINGS_HEADER_TABLE_SIZE)
// need not be known: the encoder says in its blocks which size it took (6.3).
type Decoder struct {
	table   table
	scratch *scratch // nil while nothing needed it
}

// scratch is memory for the slices of a Field.
type scratch struct {
	name, value []byte // what Huffman coding was taken off of
	moved       []byte // the name of an entry that is inserted, if its own place moves
}

// Blind says that nobody wants the fields up to the next Rest: entries that they
// add to the table are unknown, so that none is copied. Two bytes may stand for
// the longest.
func (d *Decoder) Blind() { d.table.blind = true }

// Rest is to be called behind a block. Of the memory for its fields up to most
// bytes are kept.
func (d *Decoder) Rest(most int) {
	d.table.blind = false
	if d.scratch.weight() > most {
		d.scratch = nil
	}
}

// Forget says that an unknown number of fields was missed. The entries that
// the dynamic table has now are moved away by an unknown number of others
// (2.3.3), so all of them are unknown. Those to come are not.
func (d *Decoder) Forget() { d.table.forget() }

// Weight is how many bytes of memory d takes beside itself.
func (d *Decoder) Weight() int { return d.table.weight() + d.scratch.weight() }

func (s *scratch) weight() int {
	if s == nil {
		return 0
	}
	return int(unsafe.Sizeof(*s)) + cap(s.name) + cap(s.value) + cap(s.moved)
}

// Shrink gives back the memory that is not needed for what is known. A
// decoder that is used again takes it again.
func (d *Decoder) Shrink() {
	d.scratch = nil
	d.table.shrink()
}

// Decode reads the representation that begins p, which must not be empty, and
// returns its length. After a change of the table's size, which is no field, f
// is empty.
func (d *Decoder) Decode(p []byte, f *Field) (n int, err error) {
	b := p[0]
	switch {
	case b&0x80 != 0: // 6.1: indexed
		i := int(b & 0x7f)
		n = 1
		if i == 0x7f {
			if i, n, err = integer(p, 0x7f); err != nil {
				return 0, err
			}
		}
		return n, d.lookup(i, f)
	case b&0x40 != 0: // 6.2.1: literal, to be indexed
		if n, err = d.literal(p, 0x3f, f); err != nil {
			return 0, err
		}
		d.table.insert(f, d.scratch)
		return n, nil
	case b&0x20 != 0: // 6.3: size of the table
		size, n, err := integer(p, 0x1f)
		if err != nil {
			return 0, err
		}
		*f = Field{}
		d.table.resize(size)
		return n, nil
	}
	return d.literal(p, 0x0f, f) // 6.2.2, 6.2.3: literal
}

// lookup finds the field with an index. RFC 7541 2.3.3.
func (d *Decoder) lookup(i int, f *Field) error {
	switch {
	case i == 0:
		return ErrInvalid // 6.1
	case i < len(static):
		*f = static[i]
		return nil
	}
	return d.table.lookup(i-len(static), f)
}

// literal reads a literal whose first byte has the index of its name under mask.
func (d *Decoder) literal(p []byte, mask byte, f *Field) (n int, err error) {
	*f = Field{}
	if d.scratch == nil {
		d.scratch = new(scratch)
	}
	if i := int(p[0] & mask); i == 0 {
		f.Name, n, err = text(p, 1, &d.scratch.name)
	} else {
		n = 1
		if i == int(mask) {
			if i, n, err = integer(p, mask); err != nil {
				return 0, err
			}
		}
		if err = d.lookup(i, f); err != nil {
			return 0, err
		}
	}
	if err != nil {
		return 0, err
	}
	f.Value, n, err = text(p, n, &d.scratch.value)
	return n, err
}

// text reads the string that begins at p[at:], and returns where it ends.
// RFC 7541 5.2.
func text(p []byte, at int, scratch *[]byte) (s []byte, end int, err error) {
	if at >= len(p) {
		return nil, 0, ErrShort
	}
	size, n := int(p[at]&0x7f), 1
	if size == 0x7f {
		if size, n, err = integer(p[at:], 0x7f); err != nil {
			return nil, 0, err
		}
	}
	end = at + n + size
	if end > len(p) {
		return nil, 0, ErrShort
	}
	s = p[at+n : end : end]
	if p[at]&0x80 == 0 {
		return s, end, nil
	}
	var ok bool
	if *scratch, ok = unhuffman((*scratch)[:0], s); !ok {
		return nil, 0, ErrInvalid
	}
	return *scratch, end, nil
}

// integer reads one that has the bits of mask in the first byte of p. RFC 7541 5.1.
func integer(p []byte, mask byte) (i, n int, err error) {
	i = int(p[0] & mask)
	if i < int(mask) {
		return i, 1, nil
	}
	shift := 0
	for n = 1; n < len(p); n++ {
		b := p[n]
		i += int(b&0x7f) << shift
		if i > maxInteger {
			return 0, 0, ErrInvalid
		}
		if b&0x80 == 0 {
			return i, n + 1, nil
		}
		if shift += 7; shift > 28 {
			return 0, 0, ErrInvalid
		}
	}
	return 0, 0, ErrShort
}

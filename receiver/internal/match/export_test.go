package match

import "unsafe"

// Places hands out what is open, and what has expired.
func (t *Table[E]) Places(yield func(E)) {
	for _, e := range t.open[t.head:] {
		if !e.gone {
			yield(e.x)
		}
	}
}

// Room is the memory of the places, in bytes.
func (t *Table[E]) Room() int { return cap(t.open) * int(unsafe.Sizeof(entry[E]{})) }

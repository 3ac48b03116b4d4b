package emit

import "net/netip"

// maxAddresses bounds addresses. Most machines talk to few others.
const maxAddresses = 4096

// addresses holds the text of addresses, which most exchanges share. When it
// is full it starts over. Not safe for concurrent use.
type addresses map[netip.Addr]string

func (t addresses) text(a netip.Addr) string {
	s, ok := t[a]
	if !ok {
		if len(t) >= maxAddresses {
			clear(t)
		}
		s = a.String()
		t[a] = s
	}
	return s
}

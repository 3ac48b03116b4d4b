package exchange

import "net/netip"

// An Address is a netip.AddrPort without a zone, and without a pointer for the
// garbage collector to follow: each connection holds some. The zero value is none.
// Comparable.
type Address struct {
	ip   [16]byte
	port uint16
	bits uint16 // of the IP address: 32 or 128
}

// AddressOf returns a as an Address.
func AddressOf(a netip.AddrPort) Address {
	if !a.IsValid() {
		return Address{}
	}
	return Address{ip: a.Addr().As16(), port: a.Port(), bits: uint16(a.Addr().BitLen())}
}

// AddrPort returns a as a netip.AddrPort.
func (a Address) AddrPort() netip.AddrPort { return netip.AddrPortFrom(a.Addr(), a.port) }

// Addr returns the IP address.
func (a Address) Addr() netip.Addr {
	switch a.bits {
	case 0:
		return netip.Addr{}
	case 32:
		return netip.AddrFrom4([4]byte(a.ip[12:]))
	}
	return netip.AddrFrom16(a.ip)
}

// Port returns the port.
func (a Address) Port() uint16 { return a.port }

// IsValid reports whether there is one.
func (a Address) IsValid() bool { return a.bits != 0 }

func (a Address) String() string { return a.AddrPort().String() }

package receiver

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// A Networks is a list of networks in CIDR notation and of single addresses.
// Those of IPv4 stand for IPv4-mapped ones as well.
type Networks []string

// Validate implements confmap.Validator.
func (n Networks) Validate() error {
	_, err := n.parse()
	return err
}

// parse returns the networks, none of them IPv4-mapped and none within another.
func (n Networks) parse() ([]netip.Prefix, error) {
	var networks []netip.Prefix
	errs := []error{tooMany(len(n))}
	for _, text := range n {
		p, err := parseNetwork(text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		i := slices.IndexFunc(networks, func(q netip.Prefix) bool { return q.Overlaps(p) })
		switch {
		case i < 0:
			networks = append(networks, p)
		case networks[i] == p:
			errs = append(errs, fmt.Errorf("%q is listed twice: remove one", text))
		case networks[i].Bits() < p.Bits():
			errs = append(errs, fmt.Errorf("%q is part of %q: remove one", text, networks[i]))
		default:
			errs = append(errs, fmt.Errorf("%q is part of %q: remove one", networks[i], text))
		}
	}
	return networks, errors.Join(errs...)
}

func parseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%q is no network: write it as 10.0.0.0/8, fd00::/8 or 10.1.2.3", text)
	}
	if p != p.Masked() {
		return p, fmt.Errorf("%q has bits behind its mask: write %s for the network or %s for the address", text, p.Masked(), p.Addr())
	}
	const mapped = 96 // bits before the IPv4 address (RFC 4291 2.5.5.2)
	if p.Addr().Is4In6() && p.Bits() >= mapped {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return p, nil
}

package exchange_test

import (
	"net/netip"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
)

func TestAnAddressIsTheOneThatWasGiven(t *testing.T) {
	seen := make(map[exchange.Address]netip.AddrPort)
	for _, want := range []netip.AddrPort{
		{}, netip.MustParseAddrPort("0.0.0.0:0"), netip.MustParseAddrPort("[::]:0"), netip.MustParseAddrPort("192.0.2.1:80"),
		netip.MustParseAddrPort("192.0.2.1:81"), netip.MustParseAddrPort("[2001:db8::1]:80"), netip.MustParseAddrPort("[::ffff:192.0.2.1]:80"),
	} {
		a := exchange.AddressOf(want)
		if a.AddrPort() != want || a.Addr() != want.Addr() || a.Port() != want.Port() || a.IsValid() != want.IsValid() || a.String() != want.String() {
			t.Errorf("%v, want %v", a, want)
		}
		if other, ok := seen[a]; ok {
			t.Errorf("%v is %v", want, other)
		}
		seen[a] = want
	}
}

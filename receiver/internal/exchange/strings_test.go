package exchange_test

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
)

func TestStringsStayWhatTheyWere(t *testing.T) {
	var s exchange.Strings
	var got, want []string
	p := make([]byte, 0, 300)
	for n := range 300 { // several chunks, and longer than what shares one
		p = append(p[:0], bytes.Repeat([]byte{'a' + byte(n%26)}, n)...)
		got, want = append(got, s.Of(p)), append(want, string(p))
		clear(p)
	}
	if !slices.Equal(got, want) {
		t.Error("a string changed when others were made")
	}
}

func TestStringsShareAllocations(t *testing.T) {
	var s exchange.Strings
	p, addresses := []byte(strings.Repeat("x", 100)), []exchange.Address{
		exchange.AddressOf(netip.MustParseAddrPort("10.0.0.1:80")), exchange.AddressOf(netip.MustParseAddrPort("10.0.0.2:80")),
	}
	n := 0
	if allocations := testing.AllocsPerRun(100, func() {
		s.Of(p)
		s.Valid(p)
		s.Address(addresses[n%2])
		n++
	}); allocations > 0 { // the average is rounded down
		t.Errorf("%v allocations for three strings", allocations)
	}
}

func TestTextThatIsNoUTF8IsMadeSo(t *testing.T) {
	var s exchange.Strings
	for text, want := range map[string]string{"a\xffb": "a\ufffdb", "é": "é", "": ""} {
		if got := s.Valid([]byte(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestTheTextOfAnAddress(t *testing.T) {
	var s exchange.Strings
	for port, want := range []string{"10.0.0.1", "10.0.0.1", "fe80::1", "::1", "::ffff:10.0.0.1", "10.0.0.1"} {
		if got := s.Address(exchange.AddressOf(netip.AddrPortFrom(netip.MustParseAddr(want), uint16(port)))); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

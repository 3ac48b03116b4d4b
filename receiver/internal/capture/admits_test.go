package capture

import (
	"net/netip"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

func TestSourcesWithoutAKernelFilterLikeIt(t *testing.T) {
	at := netip.MustParseAddrPort
	server := Event{Side: stream.Server, Sure: true, Local: at("10.0.0.1:80"), Peer: at("10.1.0.2:40000")}
	client := Event{Side: stream.Client, Sure: true, Local: at("10.1.0.2:40000"), Peer: at("10.0.0.1:80")}
	guess := Event{Side: stream.Server, Local: at("[fd00::1]:40000"), Peer: at("[fd00::2]:80")}
	networks := func(p ...string) (ps []netip.Prefix) {
		for _, p := range p {
			ps = append(ps, netip.MustParsePrefix(p))
		}
		return ps
	}
	for _, tt := range []struct {
		name                  string
		f                     Filter
		server, client, guess bool
	}{
		{"nothing is asked for", Filter{}, true, true, true},
		{"own addresses", Filter{Include: Lists{Local: networks("10.0.0.0/16", "fd00::1/128")}}, true, false, true},
		{"all peers of IPv6", Filter{Exclude: Lists{Peer: networks("::/0")}}, true, true, false},
		{"the server's port", Filter{Include: Lists{Ports: []PortRange{{80, 80}}}}, true, true, true},
		{"the client's port", Filter{Exclude: Lists{Ports: []PortRange{{30000, 50000}}}}, true, true, false},
		{"an address and a port", Filter{Include: Lists{Local: networks("10.0.0.1/32"), Ports: []PortRange{{81, 90}}}}, false, false, false},
	} {
		for name, c := range map[string]struct {
			e    *Event
			want bool
		}{"server": {&server, tt.server}, "client": {&client, tt.client}, "guess": {&guess, tt.guess}} {
			if got := tt.f.Admits(c.e); got != c.want {
				t.Errorf("%s: %s: %t, want %t", tt.name, name, got, c.want)
			}
		}
	}
}

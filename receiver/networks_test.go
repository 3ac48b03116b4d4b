package receiver

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNetworks(t *testing.T) {
	got, err := Networks{"10.0.0.0/8", "192.168.1.7", "::ffff:172.16.0.0/108", "::ffff:1.2.3.4", "fd00::/8", "::1"}.parse()
	require.NoError(t, err)
	var want []netip.Prefix
	for _, p := range []string{"10.0.0.0/8", "192.168.1.7/32", "172.16.0.0/12", "1.2.3.4/32", "fd00::/8", "::1/128"} {
		want = append(want, netip.MustParsePrefix(p))
	}
	require.Equal(t, want, got)
}

func TestNetworkMistakes(t *testing.T) {
	for _, c := range []struct {
		networks Networks
		want     string
	}{
		{Networks{"ten"}, `"ten" is no network: write it as 10.0.0.0/8, fd00::/8 or 10.1.2.3`},
		{Networks{""}, `"" is no network`},
		{Networks{"10.0.0.0/33"}, `"10.0.0.0/33" is no network`},
		{Networks{"fe80::1%eth0"}, `"fe80::1%eth0" is no network`},
		{Networks{"10.1.2.3/8"}, `"10.1.2.3/8" has bits behind its mask: write 10.0.0.0/8 for the network or 10.1.2.3 for the address`},
		{Networks{"10.0.0.0/8", "fd00::/8", "10.0.0.0/8"}, `"10.0.0.0/8" is listed twice: remove one`},
		{Networks{"10.0.0.0/8", "::ffff:10.0.0.0/104"}, `"::ffff:10.0.0.0/104" is listed twice: remove one`},
		{Networks{"10.0.0.0/8", "10.1.0.0/16"}, `"10.1.0.0/16" is part of "10.0.0.0/8": remove one`},
		{Networks{"10.1.2.3", "10.0.0.0/8"}, `"10.1.2.3/32" is part of "10.0.0.0/8": remove one`},
	} {
		require.ErrorContains(t, c.networks.Validate(), c.want)
	}
}

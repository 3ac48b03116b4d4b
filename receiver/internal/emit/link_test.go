package emit

import (
	"math/bits"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03"

func at(text string) exchange.Address { return exchange.AddressOf(netip.MustParseAddrPort(text)) }

// ends are the two ends of one connection: the client knows the server by
// another address than it has.
func ends() (client, server *exchange.Endpoint) {
	return &exchange.Endpoint{Side: stream.Client, Local: at("10.244.1.7:40000"), Peer: at("10.96.0.1:80")},
		&exchange.Endpoint{Side: stream.Server, Local: at("10.244.2.9:8080"), Peer: at("10.244.1.7:40000")}
}

// link returns where another collector puts an exchange, which began at start
// with byte first of the client's.
func linkOf(ep *exchange.Endpoint, first uint64, start stream.Time, header string, clients ...netip.Prefix) link {
	e := newPair(Settings{Traces: consumertest.NewNop(), Clients: clients})
	e.Tick(start, epoch)
	x := newCall(ep)
	x.Start, x.End, x.First = start, start+ms, stream.Sequence{Number: first, Known: first != 0}
	if header != "" {
		x.Trace.SetParent([]byte(header))
	}
	return e.link(&x.Core)
}

var pods = netip.MustParsePrefix("10.244.0.0/16")

func TestTheClientsSpanIsTheParentOfTheServers(t *testing.T) {
	client, server := ends()
	c, s := linkOf(client, 7, 1000*ms, "", pods), linkOf(server, 7, 1001*ms, "", pods)
	assert.Equal(t, c.trace, s.trace)
	assert.Equal(t, c.span, s.parent)
	assert.Empty(t, c.parent)
	assert.NotEqual(t, c.span, s.span)
	assert.EqualValues(t, flagSampled, c.flags, "an id that is not random does not say that it is")
	assert.EqualValues(t, flagSampled|flagHasRemote|flagParentRemote, s.flags)
}

func TestAClientThatIsNotObservedIsNobodysParent(t *testing.T) {
	client, server := ends()
	c, s := linkOf(client, 7, 1000*ms, ""), linkOf(server, 7, 1000*ms, "", netip.MustParsePrefix("10.245.0.0/16"))
	assert.Equal(t, c.trace, s.trace)
	assert.Empty(t, s.parent)
	assert.EqualValues(t, flagSampled, s.flags)
}

func TestAClientOnThisMachineNeedsNoSetting(t *testing.T) {
	client, server := ends()
	server.Met = true
	c, s := linkOf(client, 7, 1000*ms, ""), linkOf(server, 7, 1000*ms, "")
	assert.Equal(t, c.trace, s.trace)
	assert.Equal(t, c.span, s.parent)
}

func TestATraceOfTheRequestGoesThroughTheClientsSpan(t *testing.T) {
	client, server := ends()
	c, s := linkOf(client, 7, 1000*ms, traceparent, pods), linkOf(server, 7, 1000*ms, traceparent, pods)
	assert.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", c.trace.String())
	assert.Equal(t, "00f067aa0ba902b7", c.parent.String())
	assert.EqualValues(t, 3|flagHasRemote, c.flags)
	assert.Equal(t, c.trace, s.trace)
	assert.Equal(t, c.span, s.parent)
	assert.EqualValues(t, 3|flagHasRemote|flagParentRemote, s.flags)

	s = linkOf(server, 7, 1000*ms, traceparent)
	assert.Equal(t, c.trace, s.trace)
	assert.Equal(t, "00f067aa0ba902b7", s.parent.String(), "the client is not observed")
}

func TestWhatTheEndsDoNotShareIsInTracesOfItsOwn(t *testing.T) {
	const hour = stream.Time(time.Hour)
	client, server := ends()
	masqueraded := *server
	masqueraded.Peer = at("10.244.1.1:40000")
	c := linkOf(client, 7, 1000*ms, "")
	for name, s := range map[string]link{
		"another request":                   linkOf(server, 8, 1000*ms, ""),
		"the same numbers, after wrapping":  linkOf(server, 7+1<<32, 1000*ms, ""),
		"the same numbers, an hour later":   linkOf(server, 7, 1000*ms+hour, ""),
		"the client's address is rewritten": linkOf(&masqueraded, 7, 1000*ms, ""),
	} {
		assert.NotEqual(t, c.trace, s.trace, name)
		assert.NotEqual(t, c.span, s.parent, name)
	}
}

func TestWithoutASequenceNumberIDsAreRandom(t *testing.T) {
	_, server := ends()
	unknown := *server
	unknown.Peer = exchange.Address{}
	for _, l := range []link{linkOf(server, 0, 1000*ms, "", pods), linkOf(&unknown, 7, 1000*ms, "", pods)} {
		assert.Empty(t, l.parent)
		assert.EqualValues(t, flagSampled|flagRandom, l.flags)
	}
}

func TestLoopbackMeansAnotherMachineOnEach(t *testing.T) {
	local := at("127.0.0.1:40000")
	a, b := newIDs(1), newIDs(2)
	start := pcommon.Timestamp(epoch)
	first := stream.Sequence{Number: 7, Known: true}
	one, _ := a.common(local, first, start)
	again, _ := a.common(local, first, start)
	other, _ := b.common(local, first, start)
	assert.Equal(t, one, again)
	assert.NotEqual(t, one, other)
}

// Neighbouring requests of neighbouring ports must give ids in whose every bit
// is no order: samplers decide by them.
func TestIDsThatBothEndsFindAreSpreadEvenly(t *testing.T) {
	const ports, requests = 256, 1024
	g := newIDs(1)
	var ones [192]int
	var traces, spans []string
	var last common
	flips := 0
	for port := range uint16(ports) {
		client := exchange.AddressOf(netip.AddrPortFrom(netip.MustParseAddr("10.244.1.7"), 40000+port))
		for i := range uint64(requests) {
			c, ok := g.common(client, stream.Sequence{Number: 1 + i*128, Known: true}, epoch)
			assert.True(t, ok)
			all := append(c.trace[:], c.span[:]...)
			before := append(last.trace[:], last.span[:]...)
			for k, b := range all {
				for bit := range 8 {
					ones[8*k+bit] += int(b >> bit & 1)
				}
				flips += bits.OnesCount8(b ^ before[k])
			}
			traces, spans, last = append(traces, c.trace.String()), append(spans, c.span.String()), c
		}
	}
	const n = ports * requests
	for i, k := range ones {
		assert.InDelta(t, n/2, k, 4*256, "bit %d: four standard deviations", i) // sqrt(n)/2 = 256
	}
	assert.InDelta(t, 96*n, flips, 0.001*96*n)
	for _, ids := range [][]string{traces, spans} {
		slices.Sort(ids)
		assert.Len(t, slices.Compact(ids), n)
	}
}

func BenchmarkLink(b *testing.B) {
	client, _ := ends()
	e := newPair(Settings{Traces: consumertest.NewNop()})
	x := newCall(client)
	x.First = stream.Sequence{Number: 7, Known: true}
	b.ReportAllocs()
	for b.Loop() {
		x.First.Number++
		e.link(&x.Core)
	}
}

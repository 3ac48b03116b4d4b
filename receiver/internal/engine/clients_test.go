package engine_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

func TestAServersEndMeetsItsClientsIfThatIsFollowed(t *testing.T) {
	at := netip.MustParseAddrPort
	client, service, server := at("10.0.0.7:40000"), at("10.96.0.1:80"), at("10.0.0.9:8080") // the service is the server
	for _, test := range []struct {
		name  string
		story func(s *script, server *flow)
		met   string
	}{
		{"the client is elsewhere", func(*script, *flow) {}, "false"},
		{"the client opened", func(s *script, f *flow) {
			c := s.flow(2, stream.Client)
			c.open().between(client, service)
		}, "true"},
		{"another client did", func(s *script, f *flow) {
			c := s.flow(2, stream.Client)
			c.open().between(at("10.0.0.7:40001"), service)
		}, "false"},
		{"it is gone", func(s *script, f *flow) {
			c := s.flow(2, stream.Client)
			c.open().between(client, service).close()
		}, "false"},
		{"it speaks something else", func(s *script, f *flow) {
			c := s.flow(2, stream.Client)
			c.open().between(client, service).send(stream.Client, "HELO\n", 0)
		}, "false"},
		{"it is filtered out", func(s *script, f *flow) {
			c := s.flow(2, stream.Client)
			c.open().between(client, service).event(capture.Refused, stream.Client)
		}, "false"},
		{"its role was guessed wrongly", func(s *script, f *flow) {
			c := s.flow(2, stream.Server)
			c.sure = false
			c.send(stream.Server, "?first\n", 0).between(client, service)
		}, "true"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := new(script)
			f := s.flow(1, stream.Server)
			test.story(s, f)
			f.open().between(server, client).client("?a\n").between(server, client).server("!0\n").between(server, client)
			got := ""
			run(t, s, func(set *engine.Settings) {
				set.Sink = meeting{set.Sink, &got}
			})
			if got != test.met {
				t.Errorf("met: %s, want %s", got, test.met)
			}
		})
	}
}

// between says whose the latest event is.
func (f *flow) between(local, peer netip.AddrPort) *flow {
	f.events[len(f.events)-1].Local, f.events[len(f.events)-1].Peer = local, peer
	return f
}

// meeting notes whether a server's end met its client's.
type meeting struct {
	engine.Sink
	met *string
}

func (m meeting) Emit(x exchange.Exchange) {
	if ep := x.Base().Endpoint; ep.Side == stream.Server {
		*m.met = fmt.Sprint(ep.Met)
	}
	m.Sink.Emit(x)
}

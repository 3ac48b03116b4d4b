package emit

import (
	"context"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/goleak"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/process"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var perisco = component.MustNewType("perisco")

// call is an exchange that looks like one of HTTP: twelve attributes of its
// own, the two of the peer are the emitter's.
type call struct {
	exchange.Core
	method, path, query, host, agent, client string
	status                                   int
	id                                       string // test_id of the contract's checker
}

func (c *call) SpanName(*exchange.Strings) string { return c.method }

func (c *call) Attributes(m pcommon.Map, _ *exchange.Strings) {
	m.PutStr("http.request.method", c.method)
	m.PutStr("url.path", c.path)
	m.PutStr("url.query", c.query)
	m.PutStr("url.scheme", "http")
	m.PutInt("http.response.status_code", int64(c.status))
	m.PutStr("server.address", c.host)
	m.PutInt("server.port", 8080)
	m.PutStr("client.address", c.client)
	m.PutStr("user_agent.original", c.agent)
	m.PutStr("network.protocol.version", "1.1")
	m.PutInt("http.request.body.size", 0)
	m.PutInt("http.response.body.size", 4096)
	if c.id != "" {
		m.PutStr(receivertest.UniqueIDAttrName, c.id)
	}
}

func (c *call) Size() int {
	return len(c.method) + len(c.path) + len(c.query) + len(c.host) + len(c.agent) + len(c.client) + len(c.id)
}

func (c *call) Summary(dst []byte) []byte {
	dst = append(dst, c.method...)
	dst = append(dst, ' ')
	dst = append(dst, c.path...)
	if c.status == 0 {
		return dst
	}
	dst = append(dst, ' ')
	return strconv.AppendInt(dst, int64(c.status), 10)
}

var _ exchange.Exchange = (*call)(nil)

const (
	epoch = 1_700_000_000_000_000_000 // ns
	ms    = stream.Time(time.Millisecond)
)

func proc(pid uint32, comm string) exchange.Process {
	p := exchange.Process{PID: pid, Start: uint64(pid) * 1e9}
	copy(p.Comm[:], comm)
	return p
}

func endpoint(side stream.Side, p exchange.Process) *exchange.Endpoint {
	return &exchange.Endpoint{
		Side:    side,
		Local:   exchange.AddressOf(netip.MustParseAddrPort("10.0.0.1:8080")),
		Peer:    exchange.AddressOf(netip.MustParseAddrPort("10.0.0.2:40000")),
		Process: p,
	}
}

// newCall is GET /books/7 200 that took 3.2 ms.
func newCall(ep *exchange.Endpoint) *call {
	return &call{
		Core:   exchange.Core{Endpoint: ep, Start: 1000 * ms, End: 1000*ms + 3_200_000, Outcome: exchange.Answered},
		method: "GET", path: "/books/7", query: "a=b", host: "shop.example", agent: "curl/8.5.0", client: "10.0.0.2", status: 200,
	}
}

func identify(p exchange.Process) process.Identity {
	id := process.Short(p)
	id.Read = true
	id.ExecutablePath = "/usr/bin/" + id.ExecutableName
	return id
}

func report(t testing.TB, set receiver.Settings) *receiverhelper.ObsReport {
	r, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: set.ID, Transport: "ebpf", LongLivedCtx: true, ReceiverCreateSettings: set,
	})
	require.NoError(t, err)
	return r
}

// A pair is a Sender and its only Emitter.
type pair struct {
	*Emitter
	*Sender
}

func newPair(set Settings) pair {
	s := New(set)
	return pair{s.Emitter(), s}
}

// started returns a pair that runs. Its test shuts it down.
func started(t testing.TB, set Settings) pair {
	set.Report = report(t, receivertest.NewNopSettings(perisco))
	set.Scope, set.Version = "perisco/receiver", "1.2.3"
	if set.Identify == nil {
		set.Identify = identify
	}
	e := newPair(set)
	e.Tick(1000*ms, epoch)
	e.Start()
	return e
}

func (s *Sender) lost() map[string]uint64 {
	m := map[string]uint64{}
	s.Losses(func(reason string, items uint64) {
		if items > 0 {
			m[reason] = items
		}
	})
	return m
}

func shutdown(t testing.TB, e pair) { require.NoError(t, e.Shutdown(context.Background())) }

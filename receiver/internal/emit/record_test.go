package emit

import (
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/ptracetest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/process"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

var update = flag.Bool("update", false, "write the golden files")

// story is a batch with a bit of everything.
func story() []*call {
	nginx, curl, gone := proc(10, "nginx"), proc(20, "curl"), proc(30, "gone")

	answered := newCall(endpoint(stream.Server, nginx))

	traced := newCall(endpoint(stream.Server, nginx))
	traced.Trace.SetParent([]byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
	traced.Trace.AddState([]byte("vendor=value"))

	failed := newCall(endpoint(stream.Client, curl))
	failed.status, failed.ErrorType = 503, "503"
	failed.Trace.SetParent([]byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"))
	failed.Trace.AddState([]byte("vendor=\xff")) // not text: left out

	closed := newCall(endpoint(stream.Server, gone))
	closed.status, closed.Outcome, closed.ErrorType, closed.Truncated = 0, exchange.Closed, "connection_closed", true
	closed.End = closed.Start + 1_250*ms
	closed.Endpoint.Peer = exchange.Address{} // unknown

	six := newCall(endpoint(stream.Client, exchange.Process{})) // a packet capture knows no process
	six.Endpoint.Peer = exchange.AddressOf(netip.MustParseAddrPort("[2001:db8::1]:53"))
	six.Start = 0 // unknown
	return []*call{answered, traced, failed, closed, six}
}

func who(p exchange.Process) process.Identity {
	id := process.Short(p)
	switch p.PID {
	case 10:
		id.Read, id.ExecutablePath, id.ServiceName = true, "/usr/sbin/nginx", ""
		id.ContainerID = "feedfacefeedfacefeedfacefeedfacefeedfacefeedfacefeedfacefeedface"
		id.PodUID = "5f3f7a2e-8a53-4c0e-9d47-0b7f7b3f1c11"
	case 20:
		id.Read, id.ExecutablePath = true, "/usr/bin/curl"
	}
	return id
}

// tell emits the story and returns what the consumers got.
func tell(t *testing.T, withTraces, withLogs bool) (*consumertest.TracesSink, *consumertest.LogsSink) {
	spans, records := new(consumertest.TracesSink), new(consumertest.LogsSink)
	set := Settings{Hostname: "node-1", Identify: who}
	if withTraces {
		set.Traces = spans
	}
	if withLogs {
		set.Logs = records
	}
	e := started(t, set)
	e.ids = ids{random: rand.NewChaCha8([32]byte{})} // the same each time
	for _, x := range story() {
		e.Process(x.Endpoint.Process)
		e.Emit(x)
	}
	shutdown(t, e)
	assert.Empty(t, e.lost())
	return spans, records
}

func compareTraces(t *testing.T, got ptrace.Traces) {
	path := filepath.Join("testdata", "spans.yaml")
	if *update {
		require.NoError(t, golden.WriteTracesToFile(path, got))
	}
	want, err := golden.ReadTraces(path)
	require.NoError(t, err)
	assert.NoError(t, ptracetest.CompareTraces(want, got))
}

func compareLogs(t *testing.T, got plog.Logs) {
	path := filepath.Join("testdata", "records.yaml")
	if *update {
		require.NoError(t, golden.WriteLogsToFile(path, got))
	}
	want, err := golden.ReadLogs(path)
	require.NoError(t, err)
	assert.NoError(t, plogtest.CompareLogs(want, got))
}

func TestTracesOnly(t *testing.T) {
	spans, records := tell(t, true, false)
	require.Len(t, spans.AllTraces(), 1)
	compareTraces(t, spans.AllTraces()[0])
	assert.Empty(t, records.AllLogs())
}

func TestLogsOnly(t *testing.T) {
	spans, records := tell(t, false, true)
	require.Len(t, records.AllLogs(), 1)
	compareLogs(t, records.AllLogs()[0])
	assert.Empty(t, spans.AllTraces())
}

func TestNeitherCostsNothing(t *testing.T) {
	spans, records := tell(t, false, false)
	assert.Empty(t, spans.AllTraces())
	assert.Empty(t, records.AllLogs())
}

func TestBothAreEqualButForTheDuration(t *testing.T) {
	sinkT, sinkL := tell(t, true, true)
	compareTraces(t, sinkT.AllTraces()[0])
	compareLogs(t, sinkL.AllLogs()[0])
	rs, rl := sinkT.AllTraces()[0].ResourceSpans(), sinkL.AllLogs()[0].ResourceLogs()
	require.Equal(t, 4, rs.Len(), "one for each process")
	require.Equal(t, rs.Len(), rl.Len())
	for i := range rs.Len() {
		assert.True(t, rs.At(i).Resource().Attributes().Equal(rl.At(i).Resource().Attributes()))
		ss, sl := rs.At(i).ScopeSpans().At(0), rl.At(i).ScopeLogs().At(0)
		require.Equal(t, ss.Spans().Len(), sl.LogRecords().Len())
		for j := range ss.Spans().Len() {
			s, r := ss.Spans().At(j), sl.LogRecords().At(j)
			assert.Equal(t, s.TraceID(), r.TraceID())
			assert.Equal(t, s.SpanID(), r.SpanID())
			assert.Equal(t, s.Flags()&0xff, uint32(r.Flags()))
			assert.Equal(t, s.EndTimestamp(), r.Timestamp())
			assert.GreaterOrEqual(t, r.ObservedTimestamp(), r.Timestamp())
			d, ok := r.Attributes().Get("perisco.exchange.duration")
			require.True(t, ok)
			assert.EqualValues(t, s.EndTimestamp()-s.StartTimestamp(), d.Int())
			m := pcommon.NewMap()
			r.Attributes().CopyTo(m)
			m.Remove("perisco.exchange.duration")
			assert.Equal(t, s.Attributes().AsRaw(), m.AsRaw())
		}
	}
}

func TestNothingOfAnExchangeIsKept(t *testing.T) {
	sink := new(consumertest.TracesSink)
	e := started(t, Settings{Traces: sink})
	x := story()[1]
	e.Emit(x)
	copy(x.Trace.State, "overwritten!")
	*x.Endpoint = exchange.Endpoint{}
	x.Core = exchange.Core{}
	shutdown(t, e)
	s := sink.AllTraces()[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	assert.Equal(t, "vendor=value", s.TraceState().AsRaw())
	peer, _ := s.Attributes().Get("network.peer.address")
	assert.Equal(t, "10.0.0.2", peer.Str())
}

func TestASpanNeverEndsBeforeItStarts(t *testing.T) {
	sink := new(consumertest.TracesSink)
	e := started(t, Settings{Traces: sink})
	x := newCall(endpoint(stream.Server, proc(1, "a")))
	x.End = x.Start - 1
	e.Emit(x)
	shutdown(t, e)
	s := sink.AllTraces()[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	assert.Equal(t, s.StartTimestamp(), s.EndTimestamp())
}

func TestNoIDComesTwice(t *testing.T) {
	const n = 1_000_000
	g, other := newIDs(1), newIDs(2) // another collector
	spans, traces := []uint64{0}, []uint64{0}
	for range n {
		span, trace := g.span(), g.trace()
		spans = append(spans, binary.LittleEndian.Uint64(span[:]))
		traces = append(traces, binary.LittleEndian.Uint64(trace[:8]))
	}
	span, trace := other.span(), other.trace()
	spans = append(spans, binary.LittleEndian.Uint64(span[:]))
	traces = append(traces, binary.LittleEndian.Uint64(trace[:8]))
	for _, ids := range [][]uint64{spans, traces} {
		slices.Sort(ids)
		assert.Len(t, slices.Compact(ids), 1+n+1)
	}
}

func TestTheSpanIDAfterZeroIsNotZero(t *testing.T) {
	var step uint64 = 0x9e3779b97f4a7c15
	g := ids{spans: -step} // SplitMix64 maps 0 to 0
	assert.False(t, g.span().IsEmpty())
}

func TestDuration(t *testing.T) {
	for ns, want := range map[int64]string{
		0: "0ns", 850: "850ns", 999: "999ns",
		1000: "1µs", 1204: "1.2µs", 1050: "1.05µs", 12_000: "12µs", 12_345: "12.3µs", 123_456: "123µs", 999_999: "999µs",
		3_200_000: "3.2ms", 3_204_999: "3.2ms", 10_050_000: "10ms", 999_999_999: "999ms",
		1_250_000_000: "1.25s", 75_900_000_000: "75.9s", 3_600_000_000_000: "3600s",
	} {
		assert.Equal(t, want, string(appendDuration(nil, ns)), ns)
	}
}

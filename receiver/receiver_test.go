package receiver

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/metadata"
	"github.com/perisco-io/perisco/receiver/internal/metadatatest"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
)

// soon is how long a test waits for what takes milliseconds.
const soon = 10 * time.Second

// host is one signal's view of the collector.
type host struct {
	component.Host
	mu     sync.Mutex
	events []*componentstatus.Event
}

var _ componentstatus.Reporter = (*host)(nil)

func newHost() *host { return &host{Host: componenttest.NewNopHost()} }

func (h *host) Report(e *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// said returns what was reported: statuses, and the errors that they had.
func (h *host) said() (status []componentstatus.Status, errs []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		status = append(status, e.Status())
		if e.Err() != nil {
			errs = append(errs, e.Err().Error())
		}
	}
	return status, errs
}

// A pair is the receiver as both signals' pipelines see it.
type pair struct {
	traces receiver.Traces
	logs   receiver.Logs
	spans  *consumertest.TracesSink
	record *consumertest.LogsSink
	hosts  [2]*host
}

func newPair(t *testing.T, f receiver.Factory, set receiver.Settings, cfg component.Config) *pair {
	t.Helper()
	p := &pair{spans: new(consumertest.TracesSink), record: new(consumertest.LogsSink), hosts: [2]*host{newHost(), newHost()}}
	var err error
	p.traces, err = f.CreateTraces(t.Context(), set, cfg, p.spans)
	require.NoError(t, err)
	p.logs, err = f.CreateLogs(t.Context(), set, cfg, p.record)
	require.NoError(t, err)
	return p
}

// start starts both as the collector does, whose context ends with its start.
func (p *pair) start() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	return errors.Join(p.traces.Start(ctx, p.hosts[0]), p.logs.Start(ctx, p.hosts[1]))
}

func (p *pair) shutdown() error {
	return errors.Join(p.traces.Shutdown(context.Background()), p.logs.Shutdown(context.Background()))
}

func nop() receiver.Settings { return receivertest.NewNopSettings(metadata.Type) }

// newReport returns what an emitter reports to.
func newReport(t testing.TB) *receiverhelper.ObsReport {
	t.Helper()
	r, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{ReceiverID: nop().ID, ReceiverCreateSettings: nop()})
	require.NoError(t, err)
	return r
}

func TestTracesAndLogsShareOneCapture(t *testing.T) {
	tap, opened := newTap(), 0
	f := newFactory(func(*Config) (capture.Source, error) { opened++; return tap, nil })
	p := newPair(t, f, nop(), f.CreateDefaultConfig())
	require.Same(t, p.traces, p.logs)
	require.NoError(t, p.start())
	require.Equal(t, 1, opened)

	tap.get(1, "/books/7")
	require.Eventually(t, func() bool { return p.spans.SpanCount() == 1 && p.record.LogRecordCount() == 1 }, soon, time.Millisecond)
	require.NoError(t, p.shutdown())
	require.True(t, tap.closed())
	require.NoError(t, p.shutdown(), "a second time")
	for _, h := range p.hosts {
		status, _ := h.said()
		require.Empty(t, status)
	}
}

func TestOneSignalIsEnough(t *testing.T) {
	for _, signal := range []string{"traces", "logs"} {
		t.Run(signal, func(t *testing.T) {
			tap := newTap()
			f, n := newFactory(tap.open), 0
			var r component.Component
			var err error
			spans, records := new(consumertest.TracesSink), new(consumertest.LogsSink)
			if signal == "traces" {
				r, err = f.CreateTraces(t.Context(), nop(), f.CreateDefaultConfig(), spans)
			} else {
				r, err = f.CreateLogs(t.Context(), nop(), f.CreateDefaultConfig(), records)
			}
			require.NoError(t, err)
			require.NoError(t, r.Start(t.Context(), newHost()))
			tap.get(1, "/")
			require.Eventually(t, func() bool { n = spans.SpanCount() + records.LogRecordCount(); return n > 0 }, soon, time.Millisecond)
			require.NoError(t, r.Shutdown(t.Context()))
			require.Equal(t, 1, n)
		})
	}
}

func TestWhatIsBatchedAtShutdownArrives(t *testing.T) {
	tap := newTap()
	f := newFactory(tap.open)
	cfg := f.CreateDefaultConfig().(*Config)
	cfg.Batch.Timeout = time.Hour
	p := newPair(t, f, nop(), cfg)
	require.NoError(t, p.start())
	tap.get(1, "/answered")
	tap.talk(2).client(request("/open"))
	require.NoError(t, p.shutdown())
	require.Equal(t, 2, p.spans.SpanCount())
	require.Equal(t, 2, p.record.LogRecordCount())
}

func TestSecondConsumerOfASignalIsRefused(t *testing.T) {
	f := newFactory(failing)
	cfg := f.CreateDefaultConfig()
	p := newPair(t, f, nop(), cfg)
	_, err := f.CreateTraces(t.Context(), nop(), cfg, consumertest.NewNop())
	require.ErrorIs(t, err, errTaken)
	_, err = f.CreateLogs(t.Context(), nop(), cfg, consumertest.NewNop())
	require.ErrorIs(t, err, errTaken)
	require.NoError(t, p.shutdown())
}

func TestSameConfigRunsAgain(t *testing.T) {
	var taps []*tap
	f := newFactory(func(*Config) (capture.Source, error) { taps = append(taps, newTap()); return taps[len(taps)-1], nil })
	cfg := f.CreateDefaultConfig()
	for i := range 3 {
		p := newPair(t, f, nop(), cfg)
		require.NoError(t, p.start())
		taps[i].get(1, "/")
		require.NoError(t, p.shutdown())
		require.Equal(t, 1, p.spans.SpanCount())
		require.ErrorIs(t, p.start(), errStopped)
	}
}

func TestLateShutdownLeavesTheNextInstanceAlone(t *testing.T) {
	f := newFactory(func(*Config) (capture.Source, error) { return newTap(), nil })
	cfg := f.CreateDefaultConfig()
	first := newPair(t, f, nop(), cfg)
	require.NoError(t, first.traces.Shutdown(t.Context()))
	second := newPair(t, f, nop(), cfg)
	require.NotSame(t, first.traces, second.traces)
	require.NoError(t, first.logs.Shutdown(t.Context()))
	require.NoError(t, second.start())
	_, err := f.CreateTraces(t.Context(), nop(), cfg, consumertest.NewNop())
	require.ErrorIs(t, err, errStarted)
	require.NoError(t, second.shutdown())
}

func TestShutdownWithoutStart(t *testing.T) {
	f := newFactory(failing)
	cfg := f.CreateDefaultConfig()
	for range 2 {
		p := newPair(t, f, nop(), cfg)
		require.NoError(t, p.shutdown())
		require.NoError(t, p.shutdown())
	}
}

func TestCaptureThatCannotStartStopsTheCollector(t *testing.T) {
	f := newFactory(failing)
	cfg := f.CreateDefaultConfig()
	p := newPair(t, f, nop(), cfg)
	err := p.traces.Start(t.Context(), p.hosts[0])
	require.EqualError(t, err, "start capture: attach tracepoint sock_send_length: operation not permitted")
	require.ErrorIs(t, err, errDenied)
	require.Equal(t, err, p.logs.Start(t.Context(), p.hosts[1]))
	require.NoError(t, p.shutdown())
}

func TestCaptureThatCannotStartLeavesAnIdleReceiver(t *testing.T) {
	f := newFactory(failing)
	cfg := f.CreateDefaultConfig().(*Config)
	cfg.ErrorMode = IgnoreError
	set := nop()
	core, log := observer.New(zap.InfoLevel)
	set.Logger = zap.New(core)
	p := newPair(t, f, set, cfg)
	require.NoError(t, p.start())
	for _, h := range p.hosts {
		status, errs := h.said()
		require.Equal(t, []componentstatus.Status{componentstatus.StatusPermanentError}, status)
		require.Equal(t, []string{"start capture: " + errDenied.Error()}, errs)
	}
	require.Equal(t, 1, log.FilterLevelExact(zap.ErrorLevel).Len())
	require.NoError(t, p.shutdown())
}

func TestCaptureThatFailsLaterIsReported(t *testing.T) {
	tap := newTap()
	f := newFactory(tap.open)
	p := newPair(t, f, nop(), f.CreateDefaultConfig())
	require.NoError(t, p.start())
	tap.get(1, "/")
	tap.end(errors.New("read ring: input/output error"))
	for _, h := range p.hosts {
		require.Eventually(t, func() bool { status, _ := h.said(); return len(status) > 0 }, soon, time.Millisecond)
		status, errs := h.said()
		require.Equal(t, []componentstatus.Status{componentstatus.StatusPermanentError}, status)
		require.Equal(t, []string{"capture: read ring: input/output error"}, errs)
	}
	require.NoError(t, p.shutdown())
	require.Equal(t, 1, p.spans.SpanCount(), "what came before it is kept")
}

func TestConsumerThatFailsForAWhileIsReportedOnChange(t *testing.T) {
	tap := newTap()
	f := newFactory(tap.open)
	cfg := f.CreateDefaultConfig().(*Config)
	cfg.Batch.Size = 1
	var mu sync.Mutex
	var refuse error
	next, err := consumer.NewLogs(func(context.Context, plog.Logs) error {
		mu.Lock()
		defer mu.Unlock()
		return refuse
	})
	require.NoError(t, err)
	r, err := f.CreateLogs(t.Context(), nop(), cfg, next)
	require.NoError(t, err)
	h := newHost()
	require.NoError(t, r.Start(t.Context(), h))

	id := capture.FlowID(0)
	until := func(want ...componentstatus.Status) {
		t.Helper()
		require.Eventually(t, func() bool {
			id++
			tap.get(id, "/")
			status, _ := h.said()
			return len(status) >= len(want)
		}, soon, 20*time.Millisecond)
		status, _ := h.said()
		require.Equal(t, want, status)
	}
	set := func(err error) { mu.Lock(); refuse = err; mu.Unlock() }

	set(consumererror.NewPermanent(errors.New("queue is full")))
	until(componentstatus.StatusRecoverableError)
	_, errs := h.said()
	require.Contains(t, errs[0], "queue is full")
	set(nil)
	until(componentstatus.StatusRecoverableError, componentstatus.StatusOK)
	for range 10 {
		id++
		tap.get(id, "/")
	}
	require.NoError(t, r.Shutdown(t.Context()))
	status, _ := h.said()
	require.Len(t, status, 2)
}

func TestMetrics(t *testing.T) {
	tap := newTap()
	tap.lose("ring_full", 3)
	tap.ignored.Store(5)
	f := newFactory(tap.open)
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	set := nop()
	set.ID = component.NewIDWithName(metadata.Type, "edge")
	set.TelemetrySettings = tel.NewTelemetrySettings()
	p := newPair(t, f, set, f.CreateDefaultConfig())
	require.NoError(t, p.start())
	tap.get(1, "/")
	tap.talk(2).client(request("/open"))
	tap.talk(3).client("EHLO example.com\r\n")
	require.Eventually(t, func() bool { return p.spans.SpanCount() == 1 }, soon, time.Millisecond)

	own := attribute.NewSet(attribute.String("receiver", "perisco/edge"))
	one := func(n int64) []metricdata.DataPoint[int64] {
		return []metricdata.DataPoint[int64]{{Attributes: own, Value: n}}
	}
	same := metricdatatest.IgnoreTimestamp()
	metadatatest.AssertEqualReceiverPeriscoEvents(t, tel, one(4), same)
	metadatatest.AssertEqualReceiverPeriscoCapturedBytes(t, tel, one(int64(len(request("/")+answer+request("/open")+"EHLO example.com\r\n"))), same)
	metadatatest.AssertEqualReceiverPeriscoConnections(t, tel, one(2), same)
	metadatatest.AssertEqualReceiverPeriscoOpenExchanges(t, tel, one(1), same)
	metadatatest.AssertEqualReceiverPeriscoStateSize(t, tel, one(0), same, metricdatatest.IgnoreValue())
	metadatatest.AssertEqualReceiverPeriscoExchanges(t, tel, []metricdata.DataPoint[int64]{{
		Attributes: attribute.NewSet(attribute.String("receiver", "perisco/edge"), attribute.String("protocol", "http"), attribute.String("outcome", "answered")),
		Value:      1,
	}}, same)
	metadatatest.AssertEqualReceiverPeriscoLosses(t, tel, []metricdata.DataPoint[int64]{{
		Attributes: attribute.NewSet(attribute.String("receiver", "perisco/edge"), attribute.String("reason", "ring_full")),
		Value:      3,
	}}, same)
	metadatatest.AssertEqualReceiverPeriscoIgnoredEvents(t, tel, one(5), same)
	metadatatest.AssertEqualReceiverPeriscoEvictedProcesses(t, tel, one(0), same)
	metadatatest.AssertEqualReceiverPeriscoIgnoredConnections(t, tel, []metricdata.DataPoint[int64]{{
		Attributes: attribute.NewSet(attribute.String("receiver", "perisco/edge"), attribute.String("reason", "unknown_protocol")),
		Value:      1,
	}}, same)
	m, err := tel.GetMetric("otelcol_receiver_accepted_spans")
	require.NoError(t, err)
	require.Equal(t, int64(1), m.Data.(metricdata.Sum[int64]).DataPoints[0].Value)

	require.NoError(t, p.shutdown())
	_, err = tel.GetMetric("otelcol_receiver_perisco_events")
	require.Error(t, err, "callbacks outlive the receiver")
}

func TestLossesAreLoggedOnceAndOnlyIfThereAreAny(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tap := newTap()
		f := newFactory(tap.open)
		set := nop()
		core, log := observer.New(zap.WarnLevel)
		set.Logger = zap.New(core)
		p := newPair(t, f, set, f.CreateDefaultConfig())
		require.NoError(t, p.start())

		time.Sleep(3 * time.Minute)
		require.Zero(t, log.Len())

		tap.ignored.Store(5)
		time.Sleep(3 * time.Minute)
		require.Zero(t, log.Len())

		tap.lose("ring_full", 3)
		tap.lose("iovec", 1)
		time.Sleep(3 * time.Minute)
		require.Equal(t, 1, log.Len())
		require.Equal(t, map[string]any{"ring_full": uint64(3), "iovec": uint64(1)}, log.TakeAll()[0].ContextMap())

		tap.lose("ring_full", 2)
		require.NoError(t, p.shutdown())
		require.Equal(t, 1, log.Len(), "the last minute is not over")
		require.Equal(t, map[string]any{"ring_full": uint64(2)}, log.All()[0].ContextMap())
	})
}

func TestConnectionsOfAProtocolThatIsDisabledAreLeftToTheKernel(t *testing.T) {
	tap := newTap()
	f := newFactory(tap.open)
	cfg := f.CreateDefaultConfig().(*Config)
	cfg.Protocols["http"].(*protocolConfig[httpconv.Options]).Enabled = false
	p := newPair(t, f, nop(), cfg)
	require.NoError(t, p.start())
	tap.get(7, "/")
	require.Eventually(t, func() bool { return tap.unwanted.Load() == 7 }, soon, time.Millisecond)
	require.NoError(t, p.shutdown())
	require.Zero(t, p.spans.SpanCount())
}

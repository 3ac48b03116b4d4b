package receiver

import (
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/perisco-io/perisco/receiver/internal/metadata"
)

// The recording has two exchanges of curl with Python's http.server.
var recording = filepath.Join("internal", "pcap", "testdata", "keepalive.pcap")

func TestAPacketCaptureIsReadToItsEndAndThenIdles(t *testing.T) {
	for _, keep := range []bool{true, false} {
		f := NewFactory()
		cfg := f.CreateDefaultConfig().(*Config)
		cfg.Capture.PCAP = PCAPConfig{File: recording, KeepTime: keep}
		set := receivertest.NewNopSettings(metadata.Type)
		core, log := observer.New(zap.InfoLevel)
		tel := componenttest.NewTelemetry()
		set.TelemetrySettings = tel.NewTelemetrySettings()
		set.Logger = zap.New(core)
		p := newPair(t, f, set, cfg)
		began := time.Now()
		require.NoError(t, p.start())
		require.Eventually(t, func() bool { return p.spans.SpanCount() == 2 && p.record.LogRecordCount() == 2 }, soon, time.Millisecond)
		require.Eventually(t, func() bool {
			return log.FilterMessage("Idle, because the packet capture has been read").Len() == 1
		}, soon, time.Millisecond)
		fields := log.FilterMessageSnippet("Idle").All()[0].ContextMap()
		require.Equal(t, fields["bytes"], fields["bytes_read"])
		require.EqualValues(t, 2, fields["exchanges"])
		accepted, err := tel.GetMetric("otelcol_receiver_accepted_spans")
		require.NoError(t, err)
		transport, _ := accepted.Data.(metricdata.Sum[int64]).DataPoints[0].Attributes.Value("transport")
		require.Equal(t, "pcap", transport.AsString())
		require.NoError(t, p.shutdown())
		require.NoError(t, tel.Shutdown(t.Context()))

		rs := p.spans.AllTraces()[0].ResourceSpans().At(0)
		span := rs.ScopeSpans().At(0).Spans().At(0)
		require.Equal(t, !keep, span.StartTimestamp().AsTime().After(began.Add(-time.Minute)), "started %v", span.StartTimestamp())
		name, _ := rs.Resource().Attributes().Get("service.name")
		require.Contains(t, name.Str(), ":", "the address of the server stands for what is not known")
		_, ok := rs.Resource().Attributes().Get("host.name")
		require.False(t, ok, "the capture may be of any machine")
		status, _ := p.hosts[0].said()
		require.Empty(t, status)
	}
}

func TestTheCollectorIsAskedToEndUntilItDoes(t *testing.T) {
	f := NewFactory()
	cfg := f.CreateDefaultConfig().(*Config)
	cfg.Capture.PCAP = PCAPConfig{File: recording, KeepTime: true, StopAtEnd: true}
	p := newPair(t, f, nop(), cfg)
	require.NoError(t, p.start())
	time.Sleep(10 * time.Millisecond) // as long as a collector needs to listen
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	defer signal.Stop(asked)
	<-asked
	require.NoError(t, p.shutdown())
	require.Equal(t, 2, p.spans.SpanCount())
}

func TestAPacketCaptureThatIsNoneIsAnError(t *testing.T) {
	f := NewFactory()
	cfg := f.CreateDefaultConfig().(*Config)
	for file, want := range map[string]string{
		"config.go":    "config.go: not a packet capture",
		"testdata":     "testdata: is a directory",
		"missing.pcap": "missing.pcap: no such file",
	} {
		cfg.Capture.PCAP.File = file
		p := newPair(t, f, nop(), cfg)
		require.ErrorContains(t, p.start(), want)
		require.NoError(t, p.shutdown())
	}
}

package receiver

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/metadatatest"
)

// taps are a source of several shards.
type taps []*tap

var _ capture.Source = taps(nil)

func newTaps(n int) taps {
	t := make(taps, n)
	for i := range t {
		t[i] = newTap()
	}
	return t
}

func (t taps) open(*Config) (capture.Source, error) { return t, nil }

func (t taps) Shards() (shards []capture.Shard) {
	for _, s := range t {
		shards = append(shards, s)
	}
	return shards
}

// What is lost and spared is that of all, which the first tells.
func (t taps) Losses(yield func(reason string, n uint64)) { t[0].Losses(yield) }
func (t taps) Ignored() uint64                            { return t[0].Ignored() }

func (t taps) Close() error {
	for _, s := range t {
		_ = s.Close() // fails never
	}
	return nil
}

func TestTheEnginesOfAllShardsAreOneReceiver(t *testing.T) {
	const shards = 3
	source := newTaps(shards)
	source[0].lose("ring_full", 3)
	f := newFactory(source.open)
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	set := nop()
	set.TelemetrySettings = tel.NewTelemetrySettings()
	p := newPair(t, f, set, f.CreateDefaultConfig())
	require.NoError(t, p.start())
	for i, s := range source {
		s.talk(capture.FlowID(100 + i)).client(request("/open"))
		for id := range i + 1 {
			s.get(capture.FlowID(1+id), "/") // names that occur in other shards, too
		}
	}
	require.Eventually(t, func() bool { return p.spans.SpanCount() == 1+2+3 }, soon, time.Millisecond)

	receiver := attribute.String("receiver", set.ID.String())
	one := func(n int64, more ...attribute.KeyValue) []metricdata.DataPoint[int64] {
		return []metricdata.DataPoint[int64]{{Attributes: attribute.NewSet(append(more, receiver)...), Value: n}}
	}
	same := metricdatatest.IgnoreTimestamp()
	metadatatest.AssertEqualReceiverPeriscoEvents(t, tel, one(shards+2*(1+2+3)), same)
	metadatatest.AssertEqualReceiverPeriscoConnections(t, tel, one(shards), same)
	metadatatest.AssertEqualReceiverPeriscoOpenExchanges(t, tel, one(shards), same)
	metadatatest.AssertEqualReceiverPeriscoExchanges(t, tel, one(1+2+3, attribute.String("protocol", "http"), attribute.String("outcome", "answered")), same)
	metadatatest.AssertEqualReceiverPeriscoLosses(t, tel, one(3, attribute.String("reason", "ring_full")), same)

	require.NoError(t, p.shutdown())
	require.Equal(t, 1+2+3+shards, p.spans.SpanCount(), "with those that were open")
	require.Equal(t, 1+2+3+shards, p.record.LogRecordCount())
}

func TestAShardThatFailsEndsAll(t *testing.T) {
	source := newTaps(3)
	f := newFactory(source.open)
	p := newPair(t, f, nop(), f.CreateDefaultConfig())
	require.NoError(t, p.start())
	for _, s := range source {
		s.get(1, "/")
	}
	source[1].end(errors.New("read ring: input/output error"))
	for _, h := range p.hosts {
		require.Eventually(t, func() bool { status, _ := h.said(); return len(status) > 0 }, soon, time.Millisecond)
		status, errs := h.said()
		require.Equal(t, []componentstatus.Status{componentstatus.StatusPermanentError}, status)
		require.Equal(t, []string{"capture: read ring: input/output error"}, errs)
	}
	for _, s := range source {
		require.True(t, s.closed())
	}
	require.NoError(t, p.shutdown())
	require.Equal(t, 3, p.spans.SpanCount(), "what came before it is kept")
}

func TestTheBoundsAreThoseOfAllShardsTogether(t *testing.T) {
	const most, shards, opened = 8, 3, 20
	source := newTaps(shards)
	f := newFactory(source.open)
	cfg := f.CreateDefaultConfig().(*Config)
	cfg.MaxConnections = most
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	set := nop()
	set.TelemetrySettings = tel.NewTelemetrySettings()
	p := newPair(t, f, set, cfg)
	require.NoError(t, p.start())
	for _, s := range source {
		for id := range opened {
			s.talk(capture.FlowID(1 + id)).client(request("/open"))
		}
	}
	require.Eventually(t, func() bool { return p.spans.SpanCount() == shards*opened-most }, soon, time.Millisecond)
	metadatatest.AssertEqualReceiverPeriscoConnections(t, tel, []metricdata.DataPoint[int64]{{
		Attributes: attribute.NewSet(attribute.String("receiver", set.ID.String())), Value: most,
	}}, metricdatatest.IgnoreTimestamp())
	require.NoError(t, p.shutdown())
	require.Equal(t, shards*opened, p.spans.SpanCount())
}

func TestPartsOfABoundAddUpToIt(t *testing.T) {
	for _, bound := range []int{1, 2, 63, 64, 65, 1000, 65536} {
		for n := 1; n <= min(bound, capture.MaxShards); n++ {
			sum := 0
			for i := range n {
				p := part(bound, i, n)
				require.Positive(t, p, "part %d of %d of %d", i, n, bound)
				sum += p
			}
			require.Equal(t, bound, sum, "in %d parts", n)
		}
	}
}

package receiver

import (
	"context"
	"errors"
	"maps"
	"slices"

	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/metadata"
)

// observe registers the self-metrics. They are read when somebody asks, from
// counters that are kept anyway.
func (r *running) observe(set receiver.Settings) (*metadata.TelemetryBuilder, error) {
	tb, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	// Without it the collector adds up the receivers of this type.
	id := attribute.String("receiver", set.ID.String())
	own := metric.WithAttributeSet(attribute.NewSet(id))
	single := func(n func() int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(n(), own)
			return nil
		}
	}
	byReason := func(each func(func(string, uint64))) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			each(func(reason string, n uint64) {
				o.Observe(int64(n), metric.WithAttributes(id, attribute.String("reason", reason)))
			})
			return nil
		}
	}
	err = errors.Join(
		tb.RegisterReceiverPeriscoCapturedBytesCallback(single(func() int64 { return int64(r.engines.stats().CapturedBytes) })),
		tb.RegisterReceiverPeriscoConnectionsCallback(single(func() int64 { return r.engines.stats().Connections })),
		tb.RegisterReceiverPeriscoEventsCallback(single(func() int64 { return int64(r.engines.stats().Events) })),
		tb.RegisterReceiverPeriscoOpenExchangesCallback(single(func() int64 { return r.engines.stats().OpenExchanges })),
		tb.RegisterReceiverPeriscoStateSizeCallback(single(func() int64 { return r.engines.stats().State })),
		tb.RegisterReceiverPeriscoExchangesCallback(func(_ context.Context, o metric.Int64Observer) error {
			r.engines.exchanges(func(protocol string, how exchange.Outcome, n uint64) {
				o.Observe(int64(n), metric.WithAttributes(id, attribute.String("protocol", protocol), attribute.Stringer("outcome", how)))
			})
			return nil
		}),
		tb.RegisterReceiverPeriscoTruncatedExchangesCallback(func(_ context.Context, o metric.Int64Observer) error {
			r.engines.truncated(func(protocol string, n uint64) {
				o.Observe(int64(n), metric.WithAttributes(id, attribute.String("protocol", protocol)))
			})
			return nil
		}),
		tb.RegisterReceiverPeriscoLossesCallback(byReason(r.losses)),
		tb.RegisterReceiverPeriscoIgnoredConnectionsCallback(byReason(r.engines.ignored)),
		tb.RegisterReceiverPeriscoIgnoredEventsCallback(single(func() int64 { return int64(r.source.Ignored()) })),
		tb.RegisterReceiverPeriscoEvictedProcessesCallback(single(func() int64 { return int64(r.sender.Evictions()) })),
		tb.RegisterReceiverPeriscoUnidentifiedProcessesCallback(single(func() int64 { return int64(r.sender.Unidentified()) })),
		tb.RegisterReceiverPeriscoDroppedItemsCallback(byReason(r.sender.Losses)),
	)
	if err != nil {
		tb.Shutdown()
		return nil, err
	}
	return tb, nil
}

// losses reports what was lost before it became an exchange.
func (r *running) losses(yield func(reason string, n uint64)) {
	r.source.Losses(yield)
	r.engines.losses(yield)
}

// count returns everything that was lost so far, by reason.
func (r *running) count() map[string]uint64 {
	lost := make(map[string]uint64)
	add := func(reason string, n uint64) { lost[reason] += n }
	r.losses(add)
	r.sender.Losses(add)
	return lost
}

// logLosses logs what is in lost and was not logged before, if anything is.
func (r *running) logLosses(lost map[string]uint64) {
	var fields []zap.Field
	for _, reason := range slices.Sorted(maps.Keys(lost)) {
		if n := lost[reason] - r.lost[reason]; n > 0 {
			fields = append(fields, zap.Uint64(reason, n))
		}
	}
	r.lost = lost
	if len(fields) > 0 {
		r.log.Warn("Some of what happened was lost; the documentation of receiver_perisco_losses says what to do", fields...)
	}
}

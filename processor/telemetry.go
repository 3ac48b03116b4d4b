package processor

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/perisco-io/perisco/processor/internal/directory"
	"github.com/perisco-io/perisco/processor/internal/metadata"
)

// A result of a lookup is what has the address, or that there is none.
const (
	noAddress = int(directory.Kinds)
	results   = noAddress + 1
)

func resultName(r int) string {
	if r == noAddress {
		return "no_address"
	}
	return directory.Kind(r).String()
}

// observe registers the self-metrics, which are read when somebody asks.
func (i *instance) observe() (*metadata.TelemetryBuilder, error) {
	tb, err := metadata.NewTelemetryBuilder(i.set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	id := attribute.String("processor", i.set.ID.String())
	single := func(n func() int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(n(), metric.WithAttributes(id))
			return nil
		}
	}
	err = errors.Join(
		tb.RegisterProcessorPeriscoPeersPodsCallback(single(func() int64 { n, _ := i.directory.Pods(); return n })),
		tb.RegisterProcessorPeriscoPeersDroppedPodsCallback(single(func() int64 { _, n := i.directory.Pods(); return n })),
		tb.RegisterProcessorPeriscoPeersWatchFailuresCallback(single(i.cluster.Failures)),
		tb.RegisterProcessorPeriscoPeersLookupsCallback(func(_ context.Context, o metric.Int64Observer) error {
			for r := range results {
				o.Observe(i.lookups[r].Load(), metric.WithAttributes(id, attribute.String("result", resultName(r))))
			}
			return nil
		}),
	)
	if err != nil {
		tb.Shutdown()
		return nil, err
	}
	return tb, nil
}

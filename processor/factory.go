package processor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processorhelper"
	"k8s.io/client-go/kubernetes"

	"github.com/perisco-io/perisco/processor/internal/cluster"
	"github.com/perisco-io/perisco/processor/internal/metadata"
)

// NewFactory returns the factory of the processor.
func NewFactory() processor.Factory { return newFactory(connect) }

// newFactory returns a factory of processors that watch what connect returns.
func newFactory(connect connector) processor.Factory {
	all := instances{connect: connect}
	mutates := processorhelper.WithCapabilities(consumer.Capabilities{MutatesData: true})
	return processor.NewFactory(
		metadata.Type,
		createDefaultConfig,
		processor.WithTraces(func(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
			u := all.join(set, cfg.(*Config))
			return processorhelper.NewTraces(ctx, set, cfg, next, u.traces, mutates,
				processorhelper.WithStart(u.start), processorhelper.WithShutdown(u.shutdown))
		}, metadata.TracesStability),
		processor.WithLogs(func(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
			u := all.join(set, cfg.(*Config))
			return processorhelper.NewLogs(ctx, set, cfg, next, u.logs, mutates,
				processorhelper.WithStart(u.start), processorhelper.WithShutdown(u.shutdown))
		}, metadata.LogsStability),
	)
}

// connect returns a client as cfg wants it.
func connect(cfg *Config) (kubernetes.Interface, error) {
	if cfg.AuthType == KubeConfig {
		return cluster.ClientOf(cfg.Context)
	}
	return cluster.Client()
}

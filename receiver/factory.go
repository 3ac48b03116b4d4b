package receiver

import (
	"context"
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/metadata"
	"github.com/perisco-io/perisco/receiver/internal/pcap"
	"github.com/perisco-io/perisco/receiver/internal/process"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// NewFactory returns the factory of the receiver.
func NewFactory() receiver.Factory { return newFactory(openSource) }

// newFactory returns a factory of receivers that take their events from what
// open returns.
func newFactory(open opener) receiver.Factory {
	all := instances{open: open}
	return receiver.NewFactory(
		metadata.Type,
		createDefaultConfig,
		receiver.WithTraces(func(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Traces) (receiver.Traces, error) {
			return all.join(set, cfg.(*Config), consumers{traces: next})
		}, metadata.TracesStability),
		receiver.WithLogs(func(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
			return all.join(set, cfg.(*Config), consumers{logs: next})
		}, metadata.LogsStability),
	)
}

// openSource opens the packet capture that cfg names, or else captures what
// this machine's processes send and receive.
func openSource(cfg *Config) (capture.Source, error) {
	filter, err := cfg.Filter.open(process.Resolver{Root: cfg.ProcPath})
	if err != nil {
		return nil, fmt.Errorf("filter: %w", err)
	}
	if c := cfg.Capture.PCAP; c.File != "" {
		return pcap.Open(pcap.Options{File: c.File, KeepTime: c.KeepTime, Filter: filter})
	}
	var openings []stream.Opening
	for _, p := range cfg.Protocols.open() {
		if u, ok := p.(protocol.Unbroken); ok && u.Opening().Bytes != "" {
			openings = append(openings, u.Opening())
		}
	}
	return capture.Open(capture.Options{
		Openings:        openings,
		Shards:          cfg.Capture.Shards,
		RingBytes:       cfg.Capture.RingBufferSize,
		MaxPayloadBytes: cfg.Capture.MaxPayload,
		Backend:         cfg.Capture.Backend,
		BTFPath:         cfg.Capture.BTFPath,
		Filter:          filter,
	})
}

package receiver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"time"

	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/emit"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/metadata"
	"github.com/perisco-io/perisco/receiver/internal/process"
)

// An opener starts a capture.
type opener func(*Config) (capture.Source, error)

// running is what lives from Start to Shutdown.
type running struct {
	log       *zap.Logger
	status    *status
	source    capture.Source
	engines   engines
	sender    *emit.Sender
	telemetry *metadata.TelemetryBuilder

	stopAtEnd bool
	lost      map[string]uint64 // losses that were logged, by reason
	quit      chan struct{}     // closed by stop
	ended     chan struct{}     // closed when the engines have ended
	wg        sync.WaitGroup
}

// start opens the source and runs all that comes behind it.
func start(cfg *Config, set receiver.Settings, next consumers, status *status, open opener) (_ *running, err error) {
	file, transport := cfg.Capture.PCAP, "ebpf"
	if file.File != "" {
		transport = "pcap"
	}
	report, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID:             set.ID,
		Transport:              transport,
		LongLivedCtx:           true,
		ReceiverCreateSettings: set,
	})
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	source, err := open(cfg)
	if err != nil {
		return nil, fmt.Errorf("start capture: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, source.Close())
		}
	}()
	r := &running{log: set.Logger, status: status, source: source, quit: make(chan struct{}), ended: make(chan struct{})}
	version := moduleVersion(set.BuildInfo)
	var host string
	var clients []netip.Prefix
	if file.File == "" { // of a packet capture, which shows one end of each connection, neither is known
		host = hostname(cfg.ProcPath)
		if clients, err = cfg.Link.Clients.parse(); err != nil {
			return nil, fmt.Errorf("link::clients: %w", err)
		}
	}
	r.sender = emit.New(emit.Settings{
		Traces:       next.traces,
		Logs:         next.logs,
		Report:       report,
		Scope:        metadata.ScopeName,
		Version:      version,
		Hostname:     host,
		Clients:      clients,
		Identify:     process.Resolver{Root: cfg.ProcPath}.Resolve,
		BatchSize:    cfg.Batch.Size,
		BatchTimeout: cfg.Batch.Timeout,
		Status:       status.set,
		Wait:         file.File != "",
	})
	shards := source.Shards()
	for i, shard := range shards {
		r.engines = append(r.engines, engine.New(engine.Settings{
			Source:         shard,
			Protocols:      cfg.Protocols.open(),
			Sink:           r.sender.Emitter(),
			RequestTimeout: cfg.RequestTimeout,
			MaxConnections: part(cfg.MaxConnections, i, len(shards)),
			MaxState:       part(cfg.MaxStateSize, i, len(shards)),
		}))
	}
	if r.telemetry, err = r.observe(set); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	r.announce(cfg, next, version)
	r.stopAtEnd = file.StopAtEnd
	r.sender.Start()
	r.wg.Go(r.capture)
	r.wg.Go(r.watch)
	return r, nil
}

// announce logs what is captured, and how.
func (r *running) announce(cfg *Config, next consumers, version string) {
	var protocols []string
	for _, p := range cfg.Protocols.open() {
		protocols = append(protocols, p.Name())
	}
	log := r.log.With(
		zap.String("version", version),
		zap.Strings("protocols", protocols),
		zap.Bool("traces", next.traces != nil),
		zap.Bool("logs", next.logs != nil),
	)
	if file := cfg.Capture.PCAP.File; file != "" {
		log.Info("Reading a packet capture", zap.String("file", file))
		return
	}
	if c, ok := r.source.(capture.Chooser); ok {
		backend, refused := c.Backend()
		log = log.With(zap.String("backend", backend))
		for _, r := range refused {
			log = log.With(zap.NamedError("not_"+r.Backend, r.Err))
		}
	}
	log.Info("Capturing what this machine's processes send and receive over TCP",
		zap.Int("shards", cfg.Capture.Shards),
		zap.Int("ring_buffer_size", cfg.Capture.RingBufferSize),
		zap.Int("max_payload", cfg.Capture.MaxPayload),
	)
}

// capture runs the engines until stop is called, or the source ends or fails.
func (r *running) capture() {
	defer close(r.ended)
	// What one cannot read would be missing in silence, so it ends all; and where
	// nobody reads the kernel need not write.
	if err := r.engines.run(r.source.Close); err != nil {
		err = fmt.Errorf("capture: %w", err)
		r.log.Error("Idle, because capturing has failed", zap.Error(err))
		r.status.fail(err)
		return
	}
	select {
	case <-r.quit:
		return
	default:
	}
	if !r.stopAtEnd {
		r.logProgress("Idle, because the packet capture has been read")
		return
	}
	r.logProgress("Stopping the collector, because the packet capture has been read")
	if err := terminate(r.quit); err != nil {
		r.log.Error("Cannot stop the collector", zap.Error(err))
	}
}

// watch logs what is lost, once a minute and only then, and how far a packet
// capture has been read.
func (r *running) watch() {
	lost, progress := time.NewTicker(time.Minute), time.NewTicker(10*time.Second)
	defer lost.Stop()
	defer progress.Stop()
	ended := r.ended
	for {
		select {
		case <-lost.C:
			r.logLosses(r.count())
		case <-progress.C:
			r.logProgress("Reading the packet capture")
		case <-ended:
			progress.Stop()
			ended = nil
		case <-r.quit:
			return
		}
	}
}

func (r *running) stop(ctx context.Context) error {
	close(r.quit)
	r.sender.Release()
	lost := r.count() // a source that is closed tells no more
	err := r.source.Close()
	r.wg.Wait() // for the exchanges that are still open to reach the sender
	err = errors.Join(err, r.sender.Shutdown(ctx))
	maps.Copy(lost, r.count())
	r.logLosses(lost)
	r.telemetry.Shutdown()
	return err
}

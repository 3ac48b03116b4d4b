package receiver

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/perisco-io/perisco/receiver/internal/capture"
)

// A generator pours requests whose paths are the ids that the contract checker
// looks for. It is the factory of the receivers that get them.
type generator struct {
	receiver.Factory
	tap  *tap
	mu   sync.Mutex // one connection at a time
	next atomic.Int64
}

func newGenerator() *generator {
	g := new(generator)
	g.Factory = newFactory(func(*Config) (capture.Source, error) { g.tap = newTap(); return g.tap, nil })
	return g
}

func (*generator) Start() {}
func (*generator) Stop()  {}

func (g *generator) Generate() []receivertest.UniqueIDAttrVal {
	g.mu.Lock()
	defer g.mu.Unlock()
	id := g.next.Add(1)
	path := fmt.Sprintf("/%d", id)
	g.tap.get(capture.FlowID(id), path)
	return []receivertest.UniqueIDAttrVal{receivertest.UniqueIDAttrVal(path)}
}

func (g *generator) CreateTraces(ctx context.Context, set receiver.Settings, cfg component.Config, next consumer.Traces) (receiver.Traces, error) {
	marked, err := consumer.NewTraces(func(ctx context.Context, td ptrace.Traces) error {
		for _, rs := range td.ResourceSpans().All() {
			for _, s := range rs.ScopeSpans().At(0).Spans().All() {
				path, _ := s.Attributes().Get("url.path")
				s.Attributes().PutStr(receivertest.UniqueIDAttrName, path.Str())
			}
		}
		return next.ConsumeTraces(ctx, td)
	}, consumer.WithCapabilities(consumer.Capabilities{MutatesData: true}))
	if err != nil {
		return nil, err
	}
	return g.Factory.CreateTraces(ctx, set, cfg, marked)
}

func (g *generator) CreateLogs(ctx context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
	marked, err := consumer.NewLogs(func(ctx context.Context, ld plog.Logs) error {
		for _, rl := range ld.ResourceLogs().All() {
			for _, r := range rl.ScopeLogs().At(0).LogRecords().All() {
				path, _ := r.Attributes().Get("url.path")
				r.Attributes().PutStr(receivertest.UniqueIDAttrName, path.Str())
			}
		}
		return next.ConsumeLogs(ctx, ld)
	}, consumer.WithCapabilities(consumer.Capabilities{MutatesData: true}))
	if err != nil {
		return nil, err
	}
	return g.Factory.CreateLogs(ctx, set, cfg, marked)
}

func TestConsumeContract(t *testing.T) {
	for _, signal := range []pipeline.Signal{pipeline.SignalTraces, pipeline.SignalLogs} {
		t.Run(signal.String(), func(t *testing.T) {
			g := newGenerator()
			cfg := g.CreateDefaultConfig().(*Config)
			cfg.Batch = BatchConfig{Size: 10, Timeout: 10 * time.Millisecond}
			receivertest.CheckConsumeContract(receivertest.CheckConsumeContractParams{
				T:             t,
				Factory:       g,
				Signal:        signal,
				Config:        cfg,
				Generator:     g,
				GenerateCount: 100,
			})
		})
	}
}

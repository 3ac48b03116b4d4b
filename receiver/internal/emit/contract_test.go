package emit

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// engine is the least that makes an Emitter a receiver and a generator.
type engine struct {
	t      *testing.T
	mu     sync.Mutex // for what the real engine does in one goroutine
	e      pair
	serial int
	stop   chan struct{}
	done   chan struct{}
}

func (g *engine) start(set Settings) component.Component {
	set.BatchSize = 8
	g.e = started(g.t, set)
	g.stop, g.done = make(chan struct{}), make(chan struct{})
	return g
}

func (g *engine) Start(context.Context, component.Host) error {
	go func() {
		defer close(g.done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for now := 1000 * ms; ; now += 10 * ms {
			select {
			case <-g.stop:
				return
			case <-tick.C:
				g.mu.Lock()
				g.e.Tick(now, epoch)
				g.mu.Unlock()
			}
		}
	}()
	return nil
}

func (g *engine) Shutdown(ctx context.Context) error {
	close(g.stop)
	<-g.done
	return g.e.Shutdown(ctx)
}

type generator struct{ *engine }

func (generator) Start() {}
func (generator) Stop()  {}

func (g generator) Generate() []receivertest.UniqueIDAttrVal {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.serial++
	x := newCall(endpoint(stream.Server, proc(1, "a")))
	x.id = strconv.Itoa(g.serial)
	g.e.Emit(x)
	return []receivertest.UniqueIDAttrVal{receivertest.UniqueIDAttrVal(x.id)}
}

func TestTheContractWithConsumersIsKept(t *testing.T) {
	for _, signal := range []pipeline.Signal{pipeline.SignalTraces, pipeline.SignalLogs} {
		t.Run(signal.String(), func(t *testing.T) {
			g := &engine{t: t}
			receivertest.CheckConsumeContract(receivertest.CheckConsumeContractParams{
				T:         t,
				Signal:    signal,
				Config:    &struct{}{},
				Generator: generator{g},
				// Fits into the queue, as the real engine's would have to.
				GenerateCount: 8 * defaultQueue,
				Factory: receiver.NewFactory(perisco, func() component.Config { return &struct{}{} },
					receiver.WithTraces(func(_ context.Context, _ receiver.Settings, _ component.Config, next consumer.Traces) (receiver.Traces, error) {
						return g.start(Settings{Traces: next}), nil
					}, component.StabilityLevelAlpha),
					receiver.WithLogs(func(_ context.Context, _ receiver.Settings, _ component.Config, next consumer.Logs) (receiver.Logs, error) {
						return g.start(Settings{Logs: next}), nil
					}, component.StabilityLevelAlpha)),
			})
		})
	}
}

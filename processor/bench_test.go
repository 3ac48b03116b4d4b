package processor

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/perisco-io/perisco/processor/internal/metadata"
)

// batch returns 512 spans as the receiver makes them.
func batch(ip string) ptrace.Traces {
	all := ptrace.NewTraces()
	spans := all.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for range 512 {
		one := spanTo(ip, 8080, now)
		s := one.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		for _, k := range []string{"url.path", "url.scheme", "server.address", "client.address", "user_agent.original", "network.protocol.version"} {
			s.Attributes().PutStr(k, "value")
		}
		s.MoveTo(spans.AppendEmpty())
	}
	return all
}

// allocations returns how many a span costs.
func allocations(i *instance, ip string) float64 {
	const runs = 10
	batches := make([]ptrace.Traces, runs+1)
	for b := range batches {
		batches[b] = batch(ip)
	}
	return testing.AllocsPerRun(runs, func() {
		_, _ = i.traces(context.Background(), batches[0])
		batches = batches[1:]
	}) / 512
}

// runningInstance returns an instance that has seen the objects.
func runningInstance(t testing.TB) *instance {
	api := fake.NewClientset(objects()...)
	all := instances{connect: func(*Config) (kubernetes.Interface, error) { return api, nil }}
	u := all.join(processortest.NewNopSettings(metadata.Type), newConfig())
	require.NoError(t, u.start(context.Background(), nil))
	t.Cleanup(func() { assert.NoError(t, u.shutdown(context.Background())) })
	return u.instance
}

func TestASpanCostsOneAllocationForEachAttributeItGets(t *testing.T) {
	i := runningInstance(t)
	assert.Zero(t, allocations(i, "203.0.113.1"), "of a stranger")
	// And one for their place.
	assert.LessOrEqual(t, allocations(i, "10.0.0.1"), float64(len(asServer())+1))
}

func BenchmarkTraces(b *testing.B) {
	i := runningInstance(b)
	for name, ip := range map[string]string{"pod": "10.0.0.1", "stranger": "203.0.113.1"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			from := batch(ip)
			for b.Loop() {
				b.StopTimer()
				to := ptrace.NewTraces()
				from.CopyTo(to)
				b.StartTimer()
				_, _ = i.traces(context.Background(), to)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/512, "ns/span")
		})
	}
}

package processor

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/perisco-io/perisco/processor/internal/metadata"
	"github.com/perisco-io/perisco/processor/internal/metadatatest"
)

var (
	started = time.Now().Add(-time.Hour) // the pod
	now     = time.Now()                 // the exchanges
)

// objects are a Deployment's pod behind a Service.
func objects() []runtime.Object {
	yes, port := true, int32(8080)
	return []runtime.Object{
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: "cart-7d9c6b5f4d-x2x5v", Namespace: "shop", UID: "pod-uid",
				Labels:          map[string]string{"pod-template-hash": "7d9c6b5f4d"},
				OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "cart-7d9c6b5f4d", Controller: &yes}},
			},
			Spec: corev1.PodSpec{NodeName: "node-1"},
			Status: corev1.PodStatus{
				Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}, HostIPs: []corev1.HostIP{{IP: "192.0.2.1"}},
				Conditions: []corev1.PodCondition{{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(started)}},
			},
		},
		&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: "cart-http", Namespace: "shop", UID: "service-uid", CreationTimestamp: metav1.NewTime(started)},
			Spec:       corev1.ServiceSpec{ClusterIPs: []string{"10.96.0.1"}},
		},
		&discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Name: "cart-1", Namespace: "shop", UID: "slice-uid", Labels: map[string]string{discoveryv1.LabelServiceName: "cart-http"}},
			Ports:      []discoveryv1.EndpointPort{{Port: &port}},
			Endpoints:  []discoveryv1.Endpoint{{TargetRef: &corev1.ObjectReference{Kind: "Pod", UID: "pod-uid"}}},
		},
	}
}

func newConfig() *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.WaitForMetadataTimeout = 15 * time.Second
	return cfg
}

func factoryOf(api kubernetes.Interface) processor.Factory {
	return newFactory(func(*Config) (kubernetes.Interface, error) { return api, nil })
}

// startTraces returns a processor of spans that runs as long as the test.
func startTraces(t testing.TB, f processor.Factory, set processor.Settings, cfg *Config, next *consumertest.TracesSink) processor.Traces {
	p, err := f.CreateTraces(context.Background(), set, cfg, next)
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
	t.Cleanup(func() { assert.NoError(t, p.Shutdown(context.Background())) })
	return p
}

// spanTo returns a span with a peer.
func spanTo(ip string, port int64, at time.Time) ptrace.Traces {
	all := ptrace.NewTraces()
	s := all.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(at))
	s.Attributes().PutStr("http.request.method", "GET")
	if ip != "" {
		s.Attributes().PutStr("network.peer.address", ip)
		s.Attributes().PutInt("network.peer.port", port)
	}
	return all
}

func attributesOf(all ptrace.Traces) map[string]any {
	return all.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().AsRaw()
}

// added returns what a processor adds to a span.
func added(t *testing.T, p processor.Traces, next *consumertest.TracesSink, span ptrace.Traces) map[string]any {
	t.Helper()
	next.Reset()
	before := attributesOf(span)
	require.NoError(t, p.ConsumeTraces(context.Background(), span))
	after := attributesOf(next.AllTraces()[0])
	for k, v := range before {
		assert.Equal(t, v, after[k], k)
		delete(after, k)
	}
	return after
}

var (
	asClient = map[string]any{
		"service.peer.name":        "cart",
		"service.peer.namespace":   "shop",
		"k8s.peer.namespace.name":  "shop",
		"k8s.peer.pod.name":        "cart-7d9c6b5f4d-x2x5v",
		"k8s.peer.pod.uid":         "pod-uid",
		"k8s.peer.node.name":       "node-1",
		"k8s.peer.deployment.name": "cart",
	}
	asService = map[string]any{
		"service.peer.name":       "cart-http",
		"service.peer.namespace":  "shop",
		"k8s.peer.namespace.name": "shop",
		"k8s.peer.service.name":   "cart-http",
	}
)

// asServer is the pod as a server.
func asServer() map[string]any {
	m := map[string]any{"k8s.peer.service.name": "cart-http"}
	for k, v := range asClient {
		m[k] = v
	}
	m["service.peer.name"] = "cart-http"
	return m
}

func TestThePeerOfASpanIsNamed(t *testing.T) {
	next := new(consumertest.TracesSink)
	p := startTraces(t, factoryOf(fake.NewClientset(objects()...)), processortest.NewNopSettings(metadata.Type), newConfig(), next)
	for _, c := range []struct {
		name string
		span ptrace.Traces
		want map[string]any
	}{
		{"a client", spanTo("10.0.0.1", 40000, now), asClient},
		{"a server behind a Service", spanTo("10.0.0.1", 8080, now), asServer()},
		{"the address of a Service", spanTo("10.96.0.1", 80, now), asService},
		{"a node", spanTo("192.0.2.1", 30080, now), map[string]any{"k8s.peer.node.name": "node-1"}},
		{"a pod that was not there yet", spanTo("10.0.0.1", 8080, started.Add(-time.Minute)), map[string]any{}},
		{"somebody outside", spanTo("203.0.113.1", 443, now), map[string]any{}},
		{"a Unix socket", spanTo("/run/mysqld/mysqld.sock", 0, now), map[string]any{}},
		{"nobody", spanTo("", 0, now), map[string]any{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, added(t, p, next, c.span))
		})
	}
}

func TestWhatIsThereIsLeft(t *testing.T) {
	next := new(consumertest.TracesSink)
	p := startTraces(t, factoryOf(fake.NewClientset(objects()...)), processortest.NewNopSettings(metadata.Type), newConfig(), next)
	span := spanTo("10.0.0.1", 8080, now)
	m := span.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes()
	m.PutStr("service.peer.name", "mine")
	m.PutStr("k8s.peer.node.name", "")
	want := asServer()
	delete(want, "service.peer.name")
	delete(want, "k8s.peer.node.name")
	assert.Equal(t, want, added(t, p, next, span))
	assert.Empty(t, added(t, p, next, next.AllTraces()[0]), "a second time adds nothing")
}

func TestThePeerOfALogRecordIsNamedAtTheTimeAtWhichItsExchangeBegan(t *testing.T) {
	next := new(consumertest.LogsSink)
	p, err := factoryOf(fake.NewClientset(objects()...)).CreateLogs(context.Background(), processortest.NewNopSettings(metadata.Type), newConfig(), next)
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
	defer func() { assert.NoError(t, p.Shutdown(context.Background())) }()
	record := func(took time.Duration) plog.Logs {
		all := plog.NewLogs()
		r := all.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		r.SetTimestamp(pcommon.NewTimestampFromTime(started.Add(time.Minute)))
		r.Attributes().PutStr("network.peer.address", "10.0.0.1")
		r.Attributes().PutInt(durationKey, int64(took))
		return all
	}
	for took, want := range map[time.Duration]int{time.Second: len(asClient), 2 * time.Minute: 0} {
		next.Reset()
		require.NoError(t, p.ConsumeLogs(context.Background(), record(took)))
		got := next.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().AsRaw()
		assert.Len(t, got, 2+want)
	}
}

func TestTracesAndLogsOfOneConfigurationWatchOnce(t *testing.T) {
	api := fake.NewClientset(objects()...)
	f, cfg, ctx, host := factoryOf(api), newConfig(), context.Background(), componenttest.NewNopHost()
	set := processortest.NewNopSettings(metadata.Type)
	traces, err := f.CreateTraces(ctx, set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	logs, err := f.CreateLogs(ctx, set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, traces.Start(ctx, host))
	require.NoError(t, logs.Start(ctx, host))
	lists := 0
	for _, a := range api.Actions() {
		if a.GetVerb() == "list" && a.GetResource().Resource == "pods" {
			lists++
		}
	}
	assert.Equal(t, 1, lists)
	require.NoError(t, traces.Shutdown(ctx))
	require.NoError(t, logs.ConsumeLogs(ctx, plog.NewLogs()), "the other goes on")
	require.NoError(t, logs.Shutdown(ctx))

	again, err := f.CreateTraces(ctx, set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, again.Start(ctx, host), "the same configuration can run again")
	require.NoError(t, again.Shutdown(ctx))
	never, err := f.CreateTraces(ctx, set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, never.Shutdown(ctx), "one that never ran")
}

func TestAnApiServerThatDoesNotAnswerHoldsNobodyUp(t *testing.T) {
	api := fake.NewClientset()
	api.PrependReactor("list", "services", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("services is forbidden")
	})
	core, logs := observer.New(zap.InfoLevel)
	set := processortest.NewNopSettings(metadata.Type)
	set.Logger = zap.New(core)
	cfg := newConfig()
	cfg.WaitForMetadataTimeout = time.Millisecond
	next := new(consumertest.TracesSink)
	p := startTraces(t, factoryOf(api), set, cfg, next)
	assert.Equal(t, 1, logs.FilterMessageSnippet("was not seen in time").Len())
	assert.Empty(t, added(t, p, next, spanTo("10.0.0.1", 8080, now)))
}

// A host notes what a component reports of itself.
type host struct {
	component.Host
	events chan *componentstatus.Event
}

func newHost() host { return host{componenttest.NewNopHost(), make(chan *componentstatus.Event, 100)} }

func (h host) Report(e *componentstatus.Event) { h.events <- e }

// next returns the next report.
func (h host) next(t *testing.T) *componentstatus.Event {
	t.Helper()
	select {
	case e := <-h.events:
		return e
	case <-time.After(15 * time.Second):
		t.Fatal("nothing is reported")
		return nil
	}
}

func TestAnApiServerThatCannotBeWatchedIsATroubleOfEachPipelineUntilItCan(t *testing.T) {
	var refuses atomic.Bool
	api := fake.NewClientset(objects()...)
	api.PrependReactor("list", "services", func(k8stesting.Action) (bool, runtime.Object, error) {
		return refuses.Load(), nil, errors.New("services is forbidden")
	})
	watches := make(chan *watch.FakeWatcher, 100)
	api.PrependWatchReactor("services", func(k8stesting.Action) (bool, watch.Interface, error) {
		w := watch.NewFake()
		watches <- w
		return true, w, nil
	})
	f, cfg, ctx := factoryOf(api), newConfig(), context.Background()
	set, first, second := processortest.NewNopSettings(metadata.Type), newHost(), newHost()
	traces, err := f.CreateTraces(ctx, set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	logs, err := f.CreateLogs(ctx, set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, traces.Start(ctx, first))
	assert.Empty(t, first.events, "what works is reported by the collector")

	refuses.Store(true)
	expired := metav1.Status{Status: metav1.StatusFailure, Code: http.StatusGone, Reason: metav1.StatusReasonExpired}
	(<-watches).Error(&expired) // makes it list anew
	e := first.next(t)
	assert.Equal(t, componentstatus.StatusRecoverableError, e.Status())
	require.EqualError(t, e.Err(), "watch services: services is forbidden")
	require.NoError(t, logs.Start(ctx, second))
	require.EqualError(t, second.next(t).Err(), "watch services: services is forbidden", "one that starts meanwhile is told")

	require.NoError(t, traces.Shutdown(ctx))

	refuses.Store(false)
	assert.Equal(t, componentstatus.StatusOK, second.next(t).Status(), "who goes on is told when another has ended")
	require.NoError(t, logs.Shutdown(ctx))
	for _, h := range []host{first, second} {
		assert.Empty(t, h.events, "only changes are told, and nothing of what has ended")
	}
}

func TestOutsideOfAClusterItSaysSo(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("KUBECONFIG", "/dev/null")
	cfg := newConfig()
	for auth, want := range map[AuthType]string{
		ServiceAccount: "use the pod's service account: ",
		KubeConfig:     "use the kubeconfig: ",
	} {
		cfg.AuthType = auth
		p, err := NewFactory().CreateTraces(context.Background(), processortest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
		require.NoError(t, err)
		require.ErrorContains(t, p.Start(context.Background(), componenttest.NewNopHost()), want)
		require.NoError(t, p.Shutdown(context.Background()))
	}
}

func TestLookupsAndPodsAreCounted(t *testing.T) {
	tel := componenttest.NewTelemetry()
	defer func() { assert.NoError(t, tel.Shutdown(context.Background())) }()
	set := metadatatest.NewSettings(tel)
	set.ID = component.MustNewIDWithName("perisco_peers", "x")
	next := new(consumertest.TracesSink)
	p := startTraces(t, factoryOf(fake.NewClientset(objects()...)), set, newConfig(), next)
	for _, ip := range []string{"10.0.0.1", "10.0.0.1", "10.96.0.1", "10.9.9.9", ""} {
		require.NoError(t, p.ConsumeTraces(context.Background(), spanTo(ip, 8080, now)))
	}
	lookups, err := tel.GetMetric("otelcol_processor_perisco_peers_lookups")
	require.NoError(t, err)
	got := make(map[string]int64)
	for _, dp := range lookups.Data.(metricdata.Sum[int64]).DataPoints {
		result, _ := dp.Attributes.Value("result")
		id, _ := dp.Attributes.Value("processor")
		assert.Equal(t, "perisco_peers/x", id.AsString())
		got[result.AsString()] = dp.Value
	}
	assert.Equal(t, map[string]int64{"pod": 2, "service": 1, "node": 0, "unknown": 1, "no_address": 1, "not_ready": 0, "stale": 0}, got)
	pods, err := tel.GetMetric("otelcol_processor_perisco_peers_pods")
	require.NoError(t, err)
	assert.Equal(t, int64(1), pods.Data.(metricdata.Gauge[int64]).DataPoints[0].Value)
}

package kubernetes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	frontIP, cartIP, reportIP = "10.244.77.11", "10.244.77.12", "10.244.77.13"
	cartService               = "10.96.77.10"
	port                      = 8080
)

func needCluster(t *testing.T) string {
	t.Helper()
	binaries := os.Getenv(binariesVariable)
	if binaries == "" {
		t.Skip("needs an API server: make k8s-check builds one and runs this test")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make network namespaces and cgroups, and to capture")
	}
	return binaries
}

// startCluster starts an API server that knows the manifests and two namespaces.
func startCluster(t *testing.T) *apiServer {
	t.Helper()
	a := startAPIServer(t, needCluster(t))
	for _, overlay := range overlays {
		a.do(t, "apply", "--validate=strict", "--dry-run=client", "-k", filepath.Join(examples, overlay))
	}
	ctx := context.Background()
	for _, name := range []string{"shop", "batch"} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := a.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// A scene is three pods on a node: front, of a Deployment, and report, of a
// CronJob, ask cart, of a StatefulSet behind a Service.
type scene struct {
	api                 *apiServer
	node                node
	frontNet, reportNet string // network namespaces
	front, cart, report pod
	server              *process // in cart
}

func newScene(t *testing.T, a *apiServer) *scene {
	t.Helper()
	s := &scene{api: a, node: newNode(t)}
	s.frontNet, s.reportNet = s.node.network(t, frontIP), s.node.network(t, reportIP)
	cartNet := s.node.network(t, cartIP)
	s.node.routeService(t, cartService, cartIP)
	s.front = a.pod(t, "shop", "front-6d5f9c7b8-abcde", frontIP, "ReplicaSet", "front-6d5f9c7b8", map[string]string{"pod-template-hash": "6d5f9c7b8"})
	s.cart = a.pod(t, "shop", "cart-0", cartIP, "StatefulSet", "cart", nil)
	job := fmt.Sprintf("report-%d", time.Now().Unix()/60)
	s.report = a.pod(t, "batch", job+"-xyz12", reportIP, "Job", job, nil)
	a.service(t, "cart-http", cartService, s.cart)
	s.server = start(t, in(t, s.cart.cgroup(t), cartNet, "server", fmt.Sprintf(":%d", port)))
	return s
}

// ask has a client ask cart for a URI.
func (s *scene) ask(t *testing.T, cgroup, network, uri string) {
	t.Helper()
	s.server.await(t, uri, func() error {
		if out, err := in(t, cgroup, network, "client", uri).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// attributes are some that a resource, span or log record has, and some that it
// has not (nil).
type attributes = map[string]any

func (s *scene) asFront() attributes {
	return attributes{
		"service.name": "front", "service.namespace": "shop", "k8s.namespace.name": "shop", "k8s.deployment.name": "front",
		"k8s.pod.name": s.front.Name, "k8s.pod.uid": string(s.front.UID), "k8s.node.name": nodeName,
		"container.id": s.front.container, "k8s.container.name": "main",
	}
}

func (s *scene) asCart() attributes {
	return attributes{
		"service.name": "cart", "service.namespace": "shop", "k8s.statefulset.name": "cart",
		"k8s.pod.name": "cart-0", "k8s.pod.uid": string(s.cart.UID), "k8s.node.name": nodeName, "container.id": s.cart.container,
	}
}

func (s *scene) toCart() attributes {
	return attributes{
		"service.peer.name": "cart-http", "service.peer.namespace": "shop", "k8s.peer.service.name": "cart-http",
		"k8s.peer.namespace.name": "shop", "k8s.peer.pod.name": "cart-0", "k8s.peer.pod.uid": string(s.cart.UID),
		"k8s.peer.node.name": nodeName, "k8s.peer.statefulset.name": "cart", "network.peer.address": cartIP,
	}
}

func (s *scene) fromFront() attributes {
	return attributes{
		"service.peer.name": "front", "service.peer.namespace": "shop", "k8s.peer.service.name": nil,
		"k8s.peer.namespace.name": "shop", "k8s.peer.pod.name": s.front.Name, "k8s.peer.pod.uid": string(s.front.UID),
		"k8s.peer.node.name": nodeName, "k8s.peer.deployment.name": "front",
	}
}

const (
	direct  = "http://10.244.77.12:8080" // of the pod
	service = "http://10.96.77.10:8080"
)

func TestBothEndsOfAnExchangeAreNamed(t *testing.T) {
	a := startCluster(t)
	a.do(t, "apply", "--validate=strict", "-k", filepath.Join(examples, "base"))
	s := newScene(t, a)
	m, to := render(t, "base"), newSink(t)
	agent := startCollector(t, a, m, m.templates()["perisco-agent"], to)

	s.ask(t, s.front.cgroup(t), s.frontNet, direct+"/direct")
	s.ask(t, s.front.cgroup(t), s.frontNet, service+"/service")
	s.ask(t, s.report.cgroup(t), s.reportNet, service+"/report")
	s.ask(t, "", string(s.node), direct+"/node")
	s.ask(t, cgroup(t, "system.slice/docker-"+newID()+".scope"), string(s.node), direct+"/container")

	toService := attributes{
		"service.peer.name": "cart-http", "service.peer.namespace": "shop", "k8s.peer.service.name": "cart-http",
		"k8s.peer.namespace.name": "shop", "k8s.peer.pod.name": nil, "network.peer.address": cartService,
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	asHost := attributes{"service.name": filepath.Base(self), "k8s.node.name": nodeName, "k8s.pod.name": nil}
	for _, c := range []struct {
		signal, uri    string
		resource, item attributes
	}{
		{"CLIENT", direct + "/direct", s.asFront(), s.toCart()},
		{"log", direct + "/direct", s.asFront(), s.toCart()},
		{"SERVER", "/direct", s.asCart(), s.fromFront()},
		{"log", "/direct", s.asCart(), s.fromFront()},
		{"CLIENT", service + "/service", s.asFront(), toService},
		{"SERVER", "/service", s.asCart(), s.fromFront()},
		{"CLIENT", service + "/report", attributes{"service.name": "report", "k8s.cronjob.name": "report"}, toService},
		{"SERVER", "/report", s.asCart(), attributes{
			"service.peer.name": "report", "service.peer.namespace": "batch", "k8s.peer.cronjob.name": "report", "k8s.peer.pod.name": s.report.Name,
		}},
		{"CLIENT", direct + "/node", asHost, s.toCart()},
		{"SERVER", "/node", s.asCart(), attributes{"k8s.peer.node.name": nodeName, "k8s.peer.pod.name": nil, "service.peer.name": nil}},
		{"CLIENT", direct + "/container", asHost, s.toCart()},
	} {
		i := to.find(t, c.signal, c.uri)
		expect(t, "resource of "+c.signal+" "+c.uri, i.resource, c.resource)
		expect(t, c.signal+" "+c.uri, i.values, c.item)
	}

	t.Run("a pod that gets the address of another is not taken for it", func(t *testing.T) { s.replaceFront(t, to) })
	everythingHasAName(t, to)
	nothingWasRefused(t, agent)
}

func (s *scene) replaceFront(t *testing.T, to *sink) {
	now := int64(0)
	if err := s.api.CoreV1().Pods("shop").Delete(context.Background(), s.front.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // the times of pods are in seconds
	next := s.api.pod(t, "shop", "other-7f8d9c6b5-fghij", frontIP, "ReplicaSet", "other-7f8d9c6b5", map[string]string{"pod-template-hash": "7f8d9c6b5"})
	time.Sleep(time.Second) // what is told late cannot be known
	s.ask(t, next.cgroup(t), s.frontNet, direct+"/again")
	expect(t, "/again", to.find(t, "SERVER", "/again").values, attributes{
		"service.peer.name": "other", "k8s.peer.pod.name": next.Name, "k8s.peer.pod.uid": string(next.UID),
	})
	expect(t, "resource of /again", to.find(t, "CLIENT", direct+"/again").resource, attributes{"k8s.pod.name": next.Name, "service.name": "other"})
}

// realPod makes a pod of the shipped DaemonSet and returns its size.
func realPod(t *testing.T, a *apiServer, m manifests) int {
	t.Helper()
	p := m.daemonSets["perisco-agent"].Spec.Template
	spec := p.Spec
	spec.NodeName, spec.PriorityClassName = nodeName, ""
	made, err := a.CoreV1().Pods(m.namespace.Name).Create(context.Background(),
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "perisco-agent-x2x5v", Labels: p.Labels}, Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a.runs(t, made, "10.244.77.99")
	return a.podBytes(t)
}

func TestAGatewayNamesPeersAndWhatHasNoName(t *testing.T) {
	a := startCluster(t)
	a.do(t, "apply", "--validate=strict", "-k", filepath.Join(examples, "gateway"))
	cart := a.pod(t, "shop", "cart-0", cartIP, "StatefulSet", "cart", nil)
	a.service(t, "cart-http", cartService, cart)

	m, to, otlp := render(t, "gateway"), newSink(t), freePort(t)
	gateway := startCollector(t, a, m, m.templates()["perisco-gateway"], to,
		fmt.Sprintf(`receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:%d"}}}}`, otlp))

	all := ptrace.NewTraces()
	span := all.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID(pcommon.TraceID{1})
	span.SetSpanID(pcommon.SpanID{1})
	span.SetKind(ptrace.SpanKindClient)
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	span.SetEndTimestamp(span.StartTimestamp())
	span.Status().SetCode(ptrace.StatusCodeError) // so that it is kept
	span.Attributes().PutStr("url.full", "http://cart-http/")
	span.Attributes().PutStr("network.peer.address", cartIP)
	span.Attributes().PutInt("network.peer.port", port)
	conn, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", otlp), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := ptraceotlp.NewGRPCClient(conn).Export(context.Background(), ptraceotlp.NewExportRequestFromTraces(all)); err != nil {
		t.Fatal(err)
	}

	i := to.find(t, "CLIENT", "http://cart-http/")
	expect(t, "resource", i.resource, attributes{"service.name": "unknown_service"})
	expect(t, "span", i.values, attributes{"service.peer.name": "cart-http", "k8s.peer.pod.name": "cart-0", "k8s.peer.statefulset.name": "cart"})
	everythingHasAName(t, to)
	nothingWasRefused(t, gateway)
	t.Logf("a pod of the shipped DaemonSet has %d bytes on the wire", realPod(t, a, m))
}

// The agent of the overlay for large clusters may see less.
func TestTheAgentOfAGatewaySeesThePodsOfItsNode(t *testing.T) {
	a := startCluster(t)
	a.do(t, "apply", "-k", filepath.Join(examples, "gateway"))
	m, to := render(t, "gateway"), newSink(t)
	agent := startCollector(t, a, m, m.templates()["perisco-agent"], to,
		fmt.Sprintf(`exporters: {load_balancing: {resolver: {dns: null, static: {hostnames: [%q]}}}}`, to.address))
	n := newNode(t)
	network := n.network(t, cartIP)
	cart := a.pod(t, "shop", "cart-0", cartIP, "StatefulSet", "cart", nil)
	server := start(t, in(t, cart.cgroup(t), network, "server", fmt.Sprintf(":%d", port)))
	uri := fmt.Sprintf("http://%s:%d/agent", cartIP, port)
	server.await(t, "answer", func() error { return in(t, "", string(n), "client", uri).Run() })
	i := to.find(t, "SERVER", "/agent")
	expect(t, "resource", i.resource, attributes{"service.name": "cart", "k8s.pod.name": "cart-0"})
	expect(t, "span", i.values, attributes{"k8s.peer.node.name": nil})
	everythingHasAName(t, to)
	nothingWasRefused(t, agent)
}

func everythingHasAName(t *testing.T, s *sink) {
	t.Helper()
	for _, i := range s.all() {
		if name, _ := i.resource["service.name"].(string); name == "" {
			t.Errorf("%s %s: its resource has no service.name: %v", i.signal, i.path(), i.resource)
		}
	}
}

func nothingWasRefused(t *testing.T, collector *process) {
	t.Helper()
	for line := range strings.Lines(collector.written()) {
		if strings.Contains(line, "forbidden") || strings.Contains(line, "does not let itself be watched") || strings.Contains(line, "\terror\t") {
			t.Errorf("the collector wrote: %s", line)
		}
	}
}

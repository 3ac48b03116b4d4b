package processor

import (
	"context"
	"net/netip"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/perisco-io/perisco/processor/internal/directory"
)

const durationKey = "perisco.exchange.duration" // ns; of the receiver's log records

// traces names the peers of spans.
func (i *instance) traces(_ context.Context, all ptrace.Traces) (ptrace.Traces, error) {
	n := i.naming()
	defer n.end()
	for r := range all.ResourceSpans().Len() {
		scopes := all.ResourceSpans().At(r).ScopeSpans()
		for s := range scopes.Len() {
			spans := scopes.At(s).Spans()
			for x := range spans.Len() {
				span := spans.At(x)
				n.name(span.Attributes(), int64(span.StartTimestamp()))
			}
		}
	}
	return all, nil
}

// logs names the peers of log records.
func (i *instance) logs(_ context.Context, all plog.Logs) (plog.Logs, error) {
	n := i.naming()
	defer n.end()
	for r := range all.ResourceLogs().Len() {
		scopes := all.ResourceLogs().At(r).ScopeLogs()
		for s := range scopes.Len() {
			records := scopes.At(s).LogRecords()
			for x := range records.Len() {
				record := records.At(x)
				n.name(record.Attributes(), begin(record))
			}
		}
	}
	return all, nil
}

// begin returns when the exchange began that a record tells of: then the
// connection was there, hence the peer.
func begin(r plog.LogRecord) int64 {
	at := int64(r.Timestamp())
	if at == 0 {
		at = int64(r.ObservedTimestamp())
	}
	if took, ok := r.Attributes().Get(durationKey); ok {
		at -= took.Int()
	}
	return at
}

// A naming names the peers of a batch.
type naming struct {
	*instance
	directory.Reader
	results [results]int64
}

func (i *instance) naming() naming { return naming{instance: i, Reader: i.directory.Read()} }

func (n *naming) end() {
	n.Close()
	for r, count := range n.results {
		if count > 0 {
			n.lookups[r].Add(count)
		}
	}
}

// name names the peer that attributes give the address of.
func (n *naming) name(m pcommon.Map, at int64) {
	addr, port, ok := peerOf(m)
	if !ok {
		n.results[noAddress]++
		return
	}
	p := n.Find(addr, port, at)
	n.results[p.Kind]++
	if p.Kind == directory.Pod || p.Kind == directory.Service || p.Kind == directory.Node {
		write(m, &p)
	}
}

// peerOf returns the other end of the connection. client.address and
// server.address are no substitutes: the request says them, and proxies and
// load balancers stand between.
func peerOf(m pcommon.Map) (addr netip.Addr, port uint16, ok bool) {
	text, ok := m.Get(string(semconv.NetworkPeerAddressKey))
	if !ok || text.Type() != pcommon.ValueTypeStr {
		return addr, 0, false
	}
	addr, err := netip.ParseAddr(text.Str())
	if err != nil { // a path: of a Unix socket
		return addr, 0, false
	}
	if v, ok := m.Get(string(semconv.NetworkPeerPortKey)); ok && v.Int() > 0 && v.Int() < 1<<16 {
		port = uint16(v.Int())
	}
	return addr, port, true
}

// Attributes of ours, after those of the resource semantic conventions that
// have no peer in their name.
const (
	peerPrefix       = "k8s.peer."
	peerPodKey       = "k8s.peer.pod.name"
	peerPodUIDKey    = "k8s.peer.pod.uid"
	peerNamespaceKey = "k8s.peer.namespace.name"
	peerNodeKey      = "k8s.peer.node.name"
	peerServiceKey   = "k8s.peer.service.name"
)

// workloadKeys are keyed by what makes pods.
var workloadKeys = [...]string{
	directory.NoWorkload:    "",
	directory.Deployment:    "k8s.peer.deployment.name",
	directory.ReplicaSet:    "k8s.peer.replicaset.name",
	directory.StatefulSet:   "k8s.peer.statefulset.name",
	directory.DaemonSet:     "k8s.peer.daemonset.name",
	directory.Job:           "k8s.peer.job.name",
	directory.CronJob:       "k8s.peer.cronjob.name",
	directory.OtherWorkload: "",
}

// most is how many attributes a peer has at most.
const most = 8

// write adds what is known of a peer to attributes, and leaves what is there.
func write(m pcommon.Map, p *directory.Peer) {
	w := writer{m: m, fresh: !named(m)}
	m.EnsureCapacity(m.Len() + most)
	name := p.Name()
	w.put(string(semconv.ServicePeerNameKey), name)
	if name != "" {
		w.put(string(semconv.ServicePeerNamespaceKey), p.Namespace)
	}
	w.put(peerNamespaceKey, p.Namespace)
	w.put(peerServiceKey, p.Service)
	w.put(peerPodKey, p.Pod)
	w.put(peerPodUIDKey, p.UID)
	w.put(peerNodeKey, p.Node)
	if key := workloadKeys[p.Workload]; key != "" {
		w.put(key, p.Owner)
	}
}

// named says whether somebody named the peer before.
func named(m pcommon.Map) bool {
	for k := range m.All() {
		if strings.HasPrefix(k, peerPrefix) || strings.HasPrefix(k, "service.peer.") {
			return true
		}
	}
	return false
}

// A writer adds attributes that are not there.
type writer struct {
	m     pcommon.Map
	fresh bool // none of them is there
}

func (w writer) put(k, v string) {
	if v == "" {
		return
	}
	if !w.fresh {
		if _, there := w.m.Get(k); there {
			return
		}
	}
	w.m.PutStr(k, v)
}

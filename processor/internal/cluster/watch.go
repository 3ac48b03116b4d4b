// Package cluster keeps a directory up to date with what an API server tells
// of Pods, Services and EndpointSlices.
package cluster

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/perisco-io/perisco/processor/internal/directory"
)

// podSelector leaves pods out that have no address of their own: those on the
// host's network, and those that have ended. One that ends is told of as deleted.
const podSelector = "spec.hostNetwork=false,status.phase!=Failed,status.phase!=Succeeded"

// Options say what of a cluster is watched, and who is told.
type Options struct {
	Client     kubernetes.Interface
	Namespaces []string // empty: all
	Directory  *directory.Directory
	Log        *zap.Logger
	// Status is called with the first error when the API server does not let
	// itself be watched any more, and with nil when all of it can be watched
	// again. May be nil. It must not call the Cluster.
	Status func(error)
}

// A Cluster watches until it is closed.
type Cluster struct {
	set      Options
	stop     context.CancelFunc
	done     sync.WaitGroup
	synced   chan struct{}
	waiting  atomic.Int32 // mirrors that have not seen everything yet
	failures atomic.Int64

	mu      sync.Mutex
	mirrors []*mirror
}

// Watch begins to watch, and does not wait.
func Watch(set Options) *Cluster {
	ctx, stop := context.WithCancel(klog.NewContext(context.Background(), logr.Discard()))
	c := &Cluster{set: set, stop: stop, synced: make(chan struct{})}
	if len(set.Namespaces) == 0 {
		set.Namespaces = []string{metav1.NamespaceAll}
	}
	for _, ns := range set.Namespaces {
		c.mirrors = append(c.mirrors, c.mirrorsOf(ns)...)
	}
	c.waiting.Store(int32(len(c.mirrors)))
	for _, m := range c.mirrors {
		c.done.Add(1)
		go func() {
			defer c.done.Done()
			m.run(ctx)
		}()
	}
	return c
}

// Synced is closed when everything was seen that is there.
func (c *Cluster) Synced() <-chan struct{} { return c.synced }

// Failures returns how often the API server did not answer as it should.
func (c *Cluster) Failures() int64 { return c.failures.Load() }

// Close ends watching.
func (c *Cluster) Close() {
	c.stop()
	c.done.Wait()
}

func (c *Cluster) mirrorsOf(ns string) []*mirror {
	api, d := c.set.Client, c.set.Directory
	pods, services, endpoints := api.CoreV1().Pods(ns), api.CoreV1().Services(ns), api.DiscoveryV1().EndpointSlices(ns)
	return []*mirror{{
		cluster: c, resource: "pods", kind: &corev1.Pod{},
		list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = podSelector
			return pods.List(ctx, o)
		},
		watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = podSelector
			return pods.Watch(ctx, o)
		},
		put:  func(obj any, at int64) { d.PutPod(podEntry(obj.(*corev1.Pod)), at) },
		drop: d.DropPod,
	}, {
		cluster: c, resource: "services", kind: &corev1.Service{},
		list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return services.List(ctx, o)
		},
		watch: services.Watch,
		put:   func(obj any, at int64) { d.PutService(serviceEntry(obj.(*corev1.Service)), at) },
		drop:  d.DropService,
	}, {
		cluster: c, resource: "endpointslices", kind: &discoveryv1.EndpointSlice{},
		list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return endpoints.List(ctx, o)
		},
		watch: endpoints.Watch,
		put:   func(obj any, at int64) { d.PutSlice(sliceEntry(obj.(*discoveryv1.EndpointSlice)), at) },
		drop:  d.DropSlice,
	}}
}

// complete notes that a mirror has seen everything for the first time.
func (c *Cluster) complete() {
	if c.waiting.Add(-1) == 0 {
		c.set.Directory.SetComplete()
		close(c.synced)
	}
}

// contact notes whether the API server answered a mirror. It tells of changes only.
func (c *Cluster) contact(m *mirror, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was, before := m.lost, c.lostSince()
	if err == nil {
		m.lost = 0
	} else {
		c.failures.Add(1)
		if was == 0 {
			m.lost = time.Now().UnixNano()
		}
	}
	switch {
	case was == 0 && m.lost != 0:
		c.set.Log.Warn("The API server does not let itself be watched; peers stay without a name where that lasts",
			zap.String("resource", m.resource), zap.Error(err))
	case was != 0 && m.lost == 0:
		c.set.Log.Info("The API server lets itself be watched again", zap.String("resource", m.resource))
	default:
		return
	}
	since := c.lostSince()
	c.set.Directory.SetLost(since)
	if c.set.Status != nil && (before == 0) != (since == 0) {
		if err != nil {
			err = fmt.Errorf("watch %s: %w", m.resource, err)
		}
		c.set.Status(err)
	}
}

func (c *Cluster) lostSince() int64 {
	var since []int64
	for _, m := range c.mirrors {
		if m.lost != 0 {
			since = append(since, m.lost)
		}
	}
	if len(since) == 0 {
		return 0
	}
	return slices.Min(since)
}

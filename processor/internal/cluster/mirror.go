package cluster

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

var _ cache.TransformingStore = (*mirror)(nil)

// A mirror hands what is told of a resource, in one namespace or in all, to the
// directory. It stands where an informer has its cache, and keeps UIDs only.
type mirror struct {
	cluster  *Cluster
	resource string
	kind     runtime.Object
	list     func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch    func(context.Context, metav1.ListOptions) (watch.Interface, error)
	put      func(obj any, at int64)
	drop     func(uid string, at int64)

	lost  int64               // since when there is no answer; of the cluster's mu
	known map[string]struct{} // UIDs of what is there; of the reflector's goroutine
}

func (m *mirror) run(ctx context.Context) {
	lw := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list, err := m.list(ctx, o)
			m.answered(ctx, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			w, err := m.watch(ctx, o)
			m.answered(ctx, err)
			return w, err
		},
	}, m.cluster.set.Client)
	r := cache.NewReflectorWithOptions(lw, m.kind, m, cache.ReflectorOptions{Name: m.resource})
	r.RunWithContext(ctx)
}

// answered notes how the API server answered, unless it was us who hung up.
func (m *mirror) answered(ctx context.Context, err error) {
	if ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		m.cluster.contact(m, err)
	}
}

// Transformer makes the objects of the first list small before they are kept
// for the time that it takes.
func (m *mirror) Transformer() cache.TransformFunc { return slim }

// Add implements cache.ReflectorStore.
func (m *mirror) Add(obj any) error {
	uid, err := uidOf(obj)
	if err != nil {
		return err
	}
	m.known[uid] = struct{}{}
	m.put(obj, now())
	return nil
}

// Update implements cache.ReflectorStore.
func (m *mirror) Update(obj any) error { return m.Add(obj) }

// Delete implements cache.ReflectorStore.
func (m *mirror) Delete(obj any) error {
	uid, err := uidOf(obj)
	if err != nil {
		return err
	}
	delete(m.known, uid)
	m.drop(uid, now())
	return nil
}

// Replace implements cache.ReflectorStore.
func (m *mirror) Replace(objects []any, _ string) error {
	at, first, before := now(), m.known == nil, m.known
	m.known = make(map[string]struct{}, len(objects))
	for _, obj := range objects {
		uid, err := uidOf(obj)
		if err != nil {
			return err
		}
		m.known[uid] = struct{}{}
	}
	for uid := range before {
		if _, there := m.known[uid]; !there {
			m.drop(uid, at)
		}
	}
	for _, obj := range objects {
		m.put(obj, at)
	}
	if first {
		m.cluster.complete()
	}
	return nil
}

// Resync implements cache.ReflectorStore. There is nobody to tell things again.
func (m *mirror) Resync() error { return nil }

func uidOf(obj any) (string, error) {
	o, err := meta.Accessor(obj)
	if err != nil {
		return "", err
	}
	return string(o.GetUID()), nil
}

func now() int64 { return time.Now().UnixNano() }

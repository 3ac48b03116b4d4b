package cluster

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/perisco-io/perisco/processor/internal/directory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 15 * time.Second

// watched returns what is seen of a cluster of these objects.
func watched(t *testing.T, api *fake.Clientset, namespaces ...string) (*Cluster, *directory.Directory, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	d := directory.New(100)
	c := Watch(Options{Client: api, Namespaces: namespaces, Directory: d, Log: zap.New(core)})
	t.Cleanup(c.Close)
	return c, d, logs
}

func await(t *testing.T, c *Cluster) {
	t.Helper()
	select {
	case <-c.Synced():
	case <-time.After(patience):
		t.Fatal("not synced")
	}
}

func find(d *directory.Directory, ip string, port uint16) directory.Peer {
	r := d.Read()
	defer r.Close()
	return r.Find(netip.MustParseAddr(ip), port, time.Now().UnixNano())
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, patience, time.Millisecond, what)
}

func service(name, ip string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: "service"},
		Spec:       corev1.ServiceSpec{ClusterIPs: []string{ip}},
	}
}

func TestWhatIsThereIsKnownOnceItIsSynced(t *testing.T) {
	p := wire()
	api := fake.NewClientset(p, service("shop", "10.96.0.1"), sliceOf("shop", 8080, string(p.UID)))
	c, d, _ := watched(t, api)
	await(t, c)
	assert.Equal(t, directory.Peer{
		Kind: directory.Pod, Namespace: "default", Pod: p.Name, UID: string(p.UID), Node: "node-1",
		Workload: directory.Deployment, Owner: "shop", Service: "shop",
	}, find(d, "10.0.0.1", 8080))
	assert.Equal(t, "shop", find(d, "10.96.0.1", 80).Service)
	assert.Zero(t, c.Failures())
}

func TestWhatChangesIsFollowed(t *testing.T) {
	api := fake.NewClientset()
	c, d, _ := watched(t, api)
	await(t, c)
	ctx, pods := context.Background(), api.CoreV1().Pods("default")
	p, err := pods.Create(ctx, wire(), metav1.CreateOptions{})
	require.NoError(t, err)
	eventually(t, "a new pod", func() bool { return find(d, "10.0.0.1", 8080).Pod == p.Name })

	_, err = api.DiscoveryV1().EndpointSlices("default").Create(ctx, sliceOf("shop", 8080, string(p.UID)), metav1.CreateOptions{})
	require.NoError(t, err)
	eventually(t, "its Service", func() bool { return find(d, "10.0.0.1", 8080).Service == "shop" })

	p.Status.Phase = corev1.PodFailed
	_, err = pods.UpdateStatus(ctx, p, metav1.UpdateOptions{})
	require.NoError(t, err)
	eventually(t, "its end", func() bool { return find(d, "10.0.0.1", 8080).Kind == directory.Unknown })

	_, err = api.CoreV1().Services("default").Create(ctx, service("shop", "10.96.0.1"), metav1.CreateOptions{})
	require.NoError(t, err)
	eventually(t, "a new Service", func() bool { return find(d, "10.96.0.1", 80).Service == "shop" })
	require.NoError(t, api.CoreV1().Services("default").Delete(ctx, "shop", metav1.DeleteOptions{}))
	eventually(t, "its end", func() bool { return find(d, "10.96.0.1", 80).Kind == directory.Unknown })
	require.NoError(t, pods.Delete(ctx, p.Name, metav1.DeleteOptions{}))
}

func TestOnlyTheNamespacesThatWereAskedForAreSeen(t *testing.T) {
	other := wire()
	other.Namespace, other.UID, other.Status.PodIPs = "other", "other", []corev1.PodIP{{IP: "10.0.0.9"}}
	c, d, _ := watched(t, fake.NewClientset(wire(), other), "default", "third")
	await(t, c)
	assert.Equal(t, directory.Pod, find(d, "10.0.0.1", 80).Kind)
	assert.Equal(t, directory.Unknown, find(d, "10.0.0.9", 80).Kind)
}

func TestTheApiServerIsAskedForPodsWithAnAddressOfTheirOwn(t *testing.T) {
	api := fake.NewClientset()
	c, _, _ := watched(t, api)
	await(t, c)
	asked := 0
	for _, a := range api.Actions() {
		if w, ok := a.(k8stesting.ListActionImpl); ok && a.GetResource().Resource == "pods" {
			asked++
			assert.Equal(t, podSelector, w.GetListRestrictions().Fields.String())
		}
	}
	assert.Positive(t, asked)
}

func TestAnApiServerThatRefusesIsLoggedOnceAndAskedAgain(t *testing.T) {
	api := fake.NewClientset(wire())
	refuse := make(chan struct{})
	api.PrependReactor("list", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
		select {
		case <-refuse:
			return false, nil, nil
		default:
			return true, nil, errors.New("pods is forbidden")
		}
	})
	c, d, logs := watched(t, api)
	eventually(t, "a second try", func() bool { return c.Failures() > 1 })
	assert.Equal(t, directory.NotReady, find(d, "10.0.0.1", 80).Kind)
	warnings := logs.FilterField(zap.String("resource", "pods")).All()
	require.Len(t, warnings, 1)
	assert.Equal(t, "pods is forbidden", warnings[0].ContextMap()["error"])
	close(refuse)
	await(t, c)
	assert.Equal(t, directory.Pod, find(d, "10.0.0.1", 80).Kind)
	assert.Equal(t, 2, logs.FilterField(zap.String("resource", "pods")).Len(), "the end of it is logged, too")
}

func TestPodsThatWentWhileNobodyWatchedAreGone(t *testing.T) {
	api := fake.NewClientset(wire())
	opened := make(chan *watch.FakeWatcher, 10)
	api.PrependWatchReactor("pods", func(k8stesting.Action) (bool, watch.Interface, error) {
		w := watch.NewFake()
		opened <- w
		return true, w, nil
	})
	c, d, _ := watched(t, api)
	await(t, c)
	w := <-opened
	require.Equal(t, directory.Pod, find(d, "10.0.0.1", 80).Kind)
	require.NoError(t, api.CoreV1().Pods("default").Delete(context.Background(), wire().Name, metav1.DeleteOptions{}))
	expired := metav1.Status{Status: metav1.StatusFailure, Code: 410, Reason: metav1.StatusReasonExpired}
	w.Error(&expired) // the server has forgotten what happened since
	eventually(t, "its end", func() bool { return find(d, "10.0.0.1", 80).Kind == directory.Unknown })
}

package cluster

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perisco-io/perisco/processor/internal/directory"
)

func at(seconds int64) metav1.Time { return metav1.Unix(seconds, 0) }

// madeBy returns a pod that a controller owns.
func madeBy(apiVersion, kind, name string) *corev1.Pod {
	yes := true
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		CreationTimestamp: at(28333333*60 + 90),
		OwnerReferences:   []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: name, Controller: &yes}},
	}}
}

func labelled(p *corev1.Pod, hash string) *corev1.Pod {
	p.Labels = map[string]string{"pod-template-hash": hash, "app": "x"}
	return p
}

func TestTheWorkloadOfAPod(t *testing.T) {
	for _, c := range []struct {
		name string
		pod  *corev1.Pod
		kind directory.WorkloadKind
		want string
	}{
		{"nobody's", &corev1.Pod{}, directory.NoWorkload, ""},
		{"a Deployment's", labelled(madeBy("apps/v1", "ReplicaSet", "shop-7d9c6b5f4d"), "7d9c6b5f4d"), directory.Deployment, "shop"},
		{"a ReplicaSet's that nobody made", madeBy("apps/v1", "ReplicaSet", "shop-7d9c6b5f4d"), directory.ReplicaSet, "shop-7d9c6b5f4d"},
		{"a ReplicaSet's of another hash", labelled(madeBy("apps/v1", "ReplicaSet", "shop-7d9c6b5f4d"), "x"), directory.ReplicaSet, "shop-7d9c6b5f4d"},
		{"a ReplicaSet's whose name ends in a dash", madeBy("apps/v1", "ReplicaSet", "shop-"), directory.ReplicaSet, "shop-"},
		{"a StatefulSet's", madeBy("apps/v1", "StatefulSet", "db"), directory.StatefulSet, "db"},
		{"a DaemonSet's", madeBy("apps/v1", "DaemonSet", "proxy"), directory.DaemonSet, "proxy"},
		{"a Job's", madeBy("batch/v1", "Job", "migrate"), directory.Job, "migrate"},
		{"a CronJob's", madeBy("batch/v1", "Job", "backup-28333333"), directory.CronJob, "backup"},
		{"a CronJob's that started late", madeBy("batch/v1", "Job", "backup-28332333"), directory.CronJob, "backup"},
		{"a Job's with a date in its name", madeBy("batch/v1", "Job", "backup-20240101"), directory.Job, "backup-20240101"},
		{"a Job's with a minute to come in its name", madeBy("batch/v1", "Job", "backup-28333335"), directory.Job, "backup-28333335"},
		{"a Job's with another number in its name", madeBy("batch/v1", "Job", "shard-7"), directory.Job, "shard-7"},
		{"a Job's of a huge number", madeBy("batch/v1", "Job", "x-99999999999999"), directory.Job, "x-99999999999999"},
		{"one of somebody's resource", madeBy("argoproj.io/v1alpha1", "Workflow", "train"), directory.OtherWorkload, "train"},
	} {
		t.Run(c.name, func(t *testing.T) {
			kind, name := workload(c.pod)
			assert.Equal(t, c.kind, kind)
			assert.Equal(t, c.want, name)
		})
	}
}

func TestWhenAPodCanHaveBegunToSpeak(t *testing.T) {
	running := func(s int64) corev1.ContainerStatus {
		return corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(s)}}}
	}
	ended := func(s int64) corev1.ContainerStatus {
		return corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{StartedAt: at(s)}}}
	}
	sandbox := func(s int64, ready corev1.ConditionStatus) []corev1.PodCondition {
		return []corev1.PodCondition{{Type: corev1.PodReadyToStartContainers, Status: ready, LastTransitionTime: at(s)}}
	}
	for _, c := range []struct {
		name   string
		status corev1.PodStatus
		want   int64
	}{
		{"nothing is told", corev1.PodStatus{}, 0},
		{"its sandbox is not ready", corev1.PodStatus{Conditions: sandbox(5, corev1.ConditionFalse)}, 0},
		{"its sandbox is ready", corev1.PodStatus{Conditions: sandbox(5, corev1.ConditionTrue)}, 5},
		{"its sandbox was found ready late", corev1.PodStatus{Conditions: sandbox(9, corev1.ConditionTrue), ContainerStatuses: []corev1.ContainerStatus{running(8)}}, 8},
		{"an init container ran first", corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{ended(6)}, ContainerStatuses: []corev1.ContainerStatus{running(8), running(7)}}, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want*int64(time.Second), started(&c.status))
		})
	}
}

// wire returns a pod such as API servers tell of.
func wire() *corev1.Pod {
	p := labelled(madeBy("apps/v1", "ReplicaSet", "shop-7d9c6b5f4d"), "7d9c6b5f4d")
	p.Name, p.Namespace, p.UID = "shop-7d9c6b5f4d-x2x5v", "default", "5f3f7a2e-8a53-4c0e-9d47-0b7f7b3f1c11"
	p.Annotations = map[string]string{"a": "b"}
	p.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet"}}
	p.Spec = corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Name: "shop", Image: "shop:1"}}}
	p.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: "10.0.0.1", HostIP: "192.0.2.1",
		PodIPs:  []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "fd00::1"}},
		HostIPs: []corev1.HostIP{{IP: "192.0.2.1"}},
		ContainerStatuses: []corev1.ContainerStatus{{
			Name: "shop", Image: "shop:1", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(7)}},
		}},
	}
	return p
}

func TestWhatIsDroppedOfAnObjectIsNotWanted(t *testing.T) {
	want := podEntry(wire())
	assert.Equal(t, []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}, want.Addresses)
	assert.Equal(t, "shop", want.Owner)
	less, err := slim(wire())
	require.NoError(t, err)
	p := less.(*corev1.Pod)
	assert.Equal(t, want, podEntry(p))
	assert.Empty(t, p.Spec.Containers)
	assert.Empty(t, p.ManagedFields)
	assert.NotContains(t, p.Labels, "app")

	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", UID: "s", Labels: map[string]string{"app": "x"}},
		Spec:       corev1.ServiceSpec{ClusterIPs: []string{"10.96.0.1"}, Selector: map[string]string{"app": "x"}},
	}
	service := serviceEntry(s)
	less, err = slim(s)
	require.NoError(t, err)
	assert.Equal(t, service, serviceEntry(less.(*corev1.Service)))
	assert.Empty(t, s.Spec.Selector)

	e := sliceOf("shop", 8080, "uid")
	slice := sliceEntry(e)
	less, err = slim(e)
	require.NoError(t, err)
	assert.Equal(t, slice, sliceEntry(less.(*discoveryv1.EndpointSlice)))
}

func sliceOf(service string, port int32, pods ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: service + "-1", UID: "slice", Namespace: "default", Labels: map[string]string{
			discoveryv1.LabelServiceName: service, "endpointslice.kubernetes.io/managed-by": "x",
		}},
		Ports: []discoveryv1.EndpointPort{{Port: &port}},
	}
	for _, uid := range pods {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{TargetRef: &corev1.ObjectReference{Kind: "Pod", UID: types.UID(uid)}})
	}
	return s
}

func TestAPodThatSharesTheAddressOfItsNodeHasNone(t *testing.T) {
	p := wire()
	p.Spec.HostNetwork = true
	assert.Empty(t, podEntry(p).Addresses)
	p = wire()
	p.Status.Phase = corev1.PodSucceeded
	assert.Empty(t, podEntry(p).Addresses, "nor one that has ended")
}

func TestAPodThatIsDeletedMayLiveToTheEndOfItsGracePeriod(t *testing.T) {
	p := wire()
	end := at(99)
	p.DeletionTimestamp = &end
	assert.Equal(t, int64(100*time.Second), podEntry(p).Until)
}

func TestThePortsOfASlice(t *testing.T) {
	udp := corev1.ProtocolUDP
	s := sliceOf("shop", 8080, "a", "b")
	s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{}) // of no pod
	port := int32(53)
	s.Ports = append(s.Ports, discoveryv1.EndpointPort{Port: &port, Protocol: &udp})
	assert.Equal(t, directory.SliceEntry{UID: "slice", Service: "shop", Ports: []uint16{8080}, Pods: []string{"a", "b"}}, sliceEntry(s))
	s.Ports = s.Ports[1:]
	assert.Empty(t, sliceEntry(s).Pods, "UDP only")
	s.Ports = []discoveryv1.EndpointPort{{}}
	assert.Equal(t, directory.SliceEntry{UID: "slice", Service: "shop", Pods: []string{"a", "b"}}, sliceEntry(s), "all ports")
	s.Labels[corev1.IsHeadlessService] = ""
	assert.True(t, sliceEntry(s).Headless)
	delete(s.Labels, discoveryv1.LabelServiceName)
	assert.Empty(t, sliceEntry(s).Pods, "of no Service")
}

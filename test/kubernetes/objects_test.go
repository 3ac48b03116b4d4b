package kubernetes

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A pod is one that the test made: nothing schedules or runs it but the test.
type pod struct {
	*corev1.Pod
	container string
}

// cgroup makes the cgroup of the pod's container, as the kubelet and containerd
// name it where systemd drives cgroups.
func (p pod) cgroup(t *testing.T) string {
	t.Helper()
	uid := strings.ReplaceAll(string(p.UID), "-", "_")
	return cgroup(t, fmt.Sprintf("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod%s.slice/cri-containerd-%s.scope", uid, p.container))
}

// newID returns an identifier such as containers have.
func newID() string {
	id := make([]byte, 32)
	_, _ = rand.Read(id) // never fails
	return hex.EncodeToString(id)
}

// pod makes a pod that a controller owns, and tells that it runs.
func (a *apiServer) pod(t *testing.T, namespace, name, ip, owner, ownerName string, labels map[string]string) pod {
	t.Helper()
	ctx, yes, pods := context.Background(), true, a.CoreV1().Pods(namespace)
	apiVersion := "apps/v1"
	if owner == "Job" {
		apiVersion = "batch/v1"
	}
	made, err := pods.Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: labels,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: apiVersion, Kind: owner, Name: ownerName, UID: "1", Controller: &yes}},
		},
		Spec: corev1.PodSpec{NodeName: nodeName, Containers: []corev1.Container{{Name: "main", Image: "main:1"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return a.runs(t, made, ip)
}

// runs tells that a pod runs, as the kubelet does.
func (a *apiServer) runs(t *testing.T, p *corev1.Pod, ip string) pod {
	t.Helper()
	id, now := newID(), metav1.Now()
	p.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}},
		HostIP: nodeIP, HostIPs: []corev1.HostIP{{IP: nodeIP}}, StartTime: &now,
	}
	for _, c := range []corev1.PodConditionType{
		corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled,
	} {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: c, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	for _, c := range p.Spec.Containers {
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, ContainerID: "containerd://" + id, Image: c.Image, ImageID: c.Image + "@sha256:" + id, Ready: true,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		})
	}
	told, err := a.CoreV1().Pods(p.Namespace).UpdateStatus(context.Background(), p, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod{told, id}
}

// service makes a Service of one pod.
func (a *apiServer) service(t *testing.T, name, ip string, p pod) {
	t.Helper()
	ctx, number := context.Background(), int32(port)
	_, err := a.CoreV1().Services(p.Namespace).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{ClusterIP: ip, Ports: []corev1.ServicePort{{Port: port}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.DiscoveryV1().EndpointSlices(p.Namespace).Create(ctx, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name + "-x2x5v", Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Port: &number}},
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{p.Status.PodIP},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: p.Namespace, Name: p.Name, UID: p.UID},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

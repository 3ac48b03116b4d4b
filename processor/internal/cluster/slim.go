package cluster

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// slim drops from an object, before anything keeps it, what is not read of it:
// of a pod some nine tenths. It changes the object.
func slim(obj any) (any, error) {
	switch o := obj.(type) {
	case *corev1.Pod:
		slimMeta(&o.ObjectMeta, "pod-template-hash")
		o.Spec = corev1.PodSpec{NodeName: o.Spec.NodeName, HostNetwork: o.Spec.HostNetwork}
		s := &o.Status
		o.Status = corev1.PodStatus{
			Phase: s.Phase, PodIP: s.PodIP, PodIPs: s.PodIPs, HostIP: s.HostIP, HostIPs: s.HostIPs,
			Conditions: s.Conditions, ContainerStatuses: slimStatuses(s.ContainerStatuses),
			InitContainerStatuses: slimStatuses(s.InitContainerStatuses),
		}
	case *corev1.Service:
		slimMeta(&o.ObjectMeta)
		o.Spec = corev1.ServiceSpec{ClusterIPs: o.Spec.ClusterIPs}
		o.Status = corev1.ServiceStatus{}
	case *discoveryv1.EndpointSlice:
		slimMeta(&o.ObjectMeta, discoveryv1.LabelServiceName, corev1.IsHeadlessService)
	}
	return obj, nil
}

func slimMeta(m *metav1.ObjectMeta, labels ...string) {
	kept := make(map[string]string, len(labels))
	for _, l := range labels {
		if v, ok := m.Labels[l]; ok {
			kept[l] = v
		}
	}
	m.Labels, m.Annotations, m.ManagedFields, m.Finalizers = kept, nil, nil, nil
}

func slimStatuses(all []corev1.ContainerStatus) []corev1.ContainerStatus {
	for i := range all {
		all[i] = corev1.ContainerStatus{State: all[i].State}
	}
	return all
}

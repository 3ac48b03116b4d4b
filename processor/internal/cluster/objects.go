package cluster

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perisco-io/perisco/processor/internal/directory"
)

// podEntry takes from a pod what a directory wants to know.
func podEntry(p *corev1.Pod) directory.PodEntry {
	e := directory.PodEntry{
		UID: string(p.UID), Name: p.Name, Namespace: p.Namespace, Node: p.Spec.NodeName,
		From: started(&p.Status),
	}
	e.Workload, e.Owner = workload(p)
	if d := p.DeletionTimestamp; d != nil {
		e.Until = d.Add(time.Second).UnixNano() // it is rounded down to seconds
	}
	// On the host's network it has the addresses of the node, like others.
	if p.Spec.HostNetwork || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return e
	}
	for _, ip := range p.Status.PodIPs {
		e.Addresses = appendAddress(e.Addresses, ip.IP)
	}
	if len(p.Status.PodIPs) == 0 {
		e.Addresses = appendAddress(e.Addresses, p.Status.PodIP)
	}
	for _, ip := range p.Status.HostIPs {
		e.Hosts = appendAddress(e.Hosts, ip.IP)
	}
	if len(p.Status.HostIPs) == 0 {
		e.Hosts = appendAddress(e.Hosts, p.Status.HostIP)
	}
	return e
}

// started returns when a pod can have begun to speak: its sandbox was ready, or
// the first container that still runs, or ran last, was started. 0 if neither is
// told.
func started(s *corev1.PodStatus) int64 {
	var first time.Time
	seen := func(t metav1.Time) {
		if !t.IsZero() && (first.IsZero() || t.Time.Before(first)) {
			first = t.Time
		}
	}
	for _, c := range s.Conditions {
		if c.Type == corev1.PodReadyToStartContainers && c.Status == corev1.ConditionTrue {
			seen(c.LastTransitionTime)
		}
	}
	for _, all := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses} {
		for _, c := range all {
			if c.State.Running != nil {
				seen(c.State.Running.StartedAt)
			}
			if c.State.Terminated != nil {
				seen(c.State.Terminated.StartedAt)
			}
		}
	}
	if first.IsZero() {
		return 0
	}
	return first.UnixNano()
}

// workload returns what made a pod. It watches neither ReplicaSets nor Jobs: the
// names that their controllers give them tell who made those.
func workload(p *corev1.Pod) (directory.WorkloadKind, string) {
	owner := metav1.GetControllerOf(p)
	if owner == nil {
		return directory.NoWorkload, ""
	}
	switch owner.APIVersion + " " + owner.Kind {
	case "apps/v1 ReplicaSet":
		// The controller of Deployments names them by the hash that it labels
		// their pods with.
		hash := p.Labels["pod-template-hash"]
		if name, ok := strings.CutSuffix(owner.Name, "-"+hash); ok && hash != "" {
			return directory.Deployment, name
		}
		return directory.ReplicaSet, owner.Name
	case "apps/v1 StatefulSet":
		return directory.StatefulSet, owner.Name
	case "apps/v1 DaemonSet":
		return directory.DaemonSet, owner.Name
	case "batch/v1 Job":
		if name, ok := cronJob(owner.Name, p.CreationTimestamp.Time); ok {
			return directory.CronJob, name
		}
		return directory.Job, owner.Name
	}
	return directory.OtherWorkload, owner.Name
}

// cronJob returns the CronJob that made a Job. Their controller appends the
// minute for which it was scheduled, in minutes since 1970; a name that ends in
// one that is not that of a pod of it is somebody else's.
func cronJob(job string, created time.Time) (string, bool) {
	const late = 25 * time.Hour // a pod of it was made at most that long after
	i := strings.LastIndexByte(job, '-')
	if i <= 0 {
		return "", false
	}
	minutes, err := strconv.ParseInt(job[i+1:], 10, 64)
	if err != nil || minutes < 0 || minutes > 1<<31 {
		return "", false
	}
	after := created.Sub(time.Unix(minutes*60, 0))
	return job[:i], 0 <= after && after < late
}

// serviceEntry takes from a Service what a directory wants to know.
func serviceEntry(s *corev1.Service) directory.ServiceEntry {
	e := directory.ServiceEntry{
		UID: string(s.UID), Name: s.Name, Namespace: s.Namespace, From: s.CreationTimestamp.UnixNano(),
	}
	for _, ip := range s.Spec.ClusterIPs {
		e.Addresses = appendAddress(e.Addresses, ip) // "None" is no address
	}
	return e
}

// sliceEntry takes from an EndpointSlice what a directory wants to know.
func sliceEntry(s *discoveryv1.EndpointSlice) directory.SliceEntry {
	_, headless := s.Labels[corev1.IsHeadlessService]
	e := directory.SliceEntry{UID: string(s.UID), Service: s.Labels[discoveryv1.LabelServiceName], Headless: headless}
	if e.Service == "" {
		return e // of no Service
	}
	for _, p := range s.Ports {
		switch {
		case p.Protocol != nil && *p.Protocol != corev1.ProtocolTCP:
		case p.Port == nil:
			e.Ports = nil // all of them
			return withPods(e, s)
		default:
			e.Ports = append(e.Ports, uint16(*p.Port))
		}
	}
	if len(e.Ports) == 0 {
		return e // a Service without ports is behind none
	}
	return withPods(e, s)
}

func withPods(e directory.SliceEntry, s *discoveryv1.EndpointSlice) directory.SliceEntry {
	for i := range s.Endpoints {
		if t := s.Endpoints[i].TargetRef; t != nil && t.Kind == "Pod" && t.UID != "" {
			e.Pods = append(e.Pods, string(t.UID))
		}
	}
	return e
}

func appendAddress(all []netip.Addr, text string) []netip.Addr {
	if a, err := netip.ParseAddr(text); err == nil {
		all = append(all, a.Unmap())
	}
	return all
}

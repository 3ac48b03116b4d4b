package directory

import (
	"net/netip"
	"slices"
	"unique"
)

// WorkloadKind says what made a pod.
type WorkloadKind uint8

// What makes pods.
const (
	NoWorkload WorkloadKind = iota
	Deployment
	ReplicaSet
	StatefulSet
	DaemonSet
	Job
	CronJob
	OtherWorkload // a resource that is not of Kubernetes itself
)

// A PodEntry is what a directory wants to know of a pod.
type PodEntry struct {
	UID, Name, Namespace, Node string
	Workload                   WorkloadKind
	Owner                      string       // the workload's name
	Addresses                  []netip.Addr // none: it has none yet
	Hosts                      []netip.Addr // those of its node
	// From is when its first container started, or its sandbox was ready; 0:
	// not known. Before that it cannot have spoken.
	From int64
	// Until is when it has to be gone; 0: nothing ends it yet.
	Until int64
}

// PutPod takes in a pod as it is now, at a time.
func (d *Directory) PutPod(e PodEntry, at int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e.From == 0 {
		e.From = at
	}
	if e.Until == 0 {
		e.Until = forever
	}
	h := d.present(e.UID)
	if h != nil && slices.Equal(h.addresses, e.Addresses) {
		// The time of the latest start is told, not of the first.
		h.from, h.until = min(h.from, e.From), e.Until
		return
	}
	if h != nil {
		d.dropPod(h, min(at, e.From))
	}
	if len(e.Addresses) == 0 {
		return
	}
	if len(d.pods) >= d.maxPods && !d.makeRoom() {
		d.dropped++
		d.shadow(e)
		return
	}
	h = &holder{
		kind: Pod, workload: e.Workload, from: e.From, until: e.Until,
		name: e.Name, uid: e.UID, addresses: e.Addresses,
		namespace: unique.Make(e.Namespace), node: unique.Make(e.Node), owner: unique.Make(e.Owner),
	}
	d.pods[e.UID] = h
	d.enter(h)
	d.joinNode(h, e.Hosts)
}

// shadow ends those whose addresses a pod has that is not taken in.
func (d *Directory) shadow(e PodEntry) {
	for _, a := range e.Addresses {
		for _, h := range d.holders[a] {
			h.until = min(h.until, e.From)
		}
	}
}

// DropPod notes that a pod is gone at a time, or has no address any more.
func (d *Directory) DropPod(uid string, at int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h := d.present(uid); h != nil {
		d.dropPod(h, at)
	}
}

// present returns the pod if it is there.
func (d *Directory) present(uid string) *holder {
	if h := d.pods[uid]; h != nil && h.left == 0 {
		return h
	}
	return nil
}

func (d *Directory) dropPod(h *holder, at int64) {
	d.leaveNode(h, at)
	d.leave(h, at)
}

// A node is known by the pods that run on it, so that nobody has to watch
// nodes, whose status changes all the time.
type node struct {
	*holder
	pods int
}

func (d *Directory) joinNode(pod *holder, hosts []netip.Addr) {
	for _, a := range hosts {
		d.nodeAt(a, pod).pods++
	}
	pod.hosts = hosts
}

// nodeAt returns the node that has the address, by the name that a pod gives.
func (d *Directory) nodeAt(a netip.Addr, pod *holder) *node {
	for _, n := range d.nodes[a] {
		if n.node == pod.node {
			n.from = min(n.from, pod.from)
			return n
		}
	}
	h := &holder{kind: Node, from: pod.from, until: forever, node: pod.node, addresses: []netip.Addr{a}}
	n := &node{holder: h}
	d.nodes[a] = append(d.nodes[a], n)
	d.enter(h)
	return n
}

func (d *Directory) leaveNode(pod *holder, at int64) {
	for _, a := range pod.hosts {
		d.nodes[a] = slices.DeleteFunc(d.nodes[a], func(n *node) bool {
			if n.node != pod.node {
				return false
			}
			if n.pods--; n.pods > 0 {
				return false
			}
			d.leave(n.holder, at)
			return true
		})
		if len(d.nodes[a]) == 0 {
			delete(d.nodes, a)
		}
	}
}

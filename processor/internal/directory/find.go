package directory

import "net/netip"

// A Peer is who had an address. Its strings are empty where they do not apply.
type Peer struct {
	Kind      Kind
	Namespace string
	Pod, UID  string
	Node      string
	Workload  WorkloadKind
	Owner     string
	Service   string
}

// Name returns what the peer is called: the Service, the workload, the pod,
// whichever is known first. A node is called nothing, as many are behind it.
func (p *Peer) Name() string {
	switch {
	case p.Service != "":
		return p.Service
	case p.Owner != "":
		return p.Owner
	}
	return p.Pod
}

// A Reader looks addresses up while nothing changes. Close it soon.
type Reader struct{ d *Directory }

// Read returns a reader.
func (d *Directory) Read() Reader {
	d.mu.RLock()
	return Reader{d}
}

// Close lets changes in again.
func (r Reader) Close() { r.d.mu.RUnlock() }

// Find returns who had an address at a time. The port tells a pod's Services
// apart. No socket that connects is given a port that another one of its network
// namespace listens on (net/ipv4/inet_hashtables.c, __inet_hash_connect), so
// that a peer at a Service's port is a server, and one at another is not.
func (r Reader) Find(a netip.Addr, port uint16, at int64) Peer {
	d := r.d
	switch {
	case !d.complete:
		return Peer{Kind: NotReady}
	case d.lost != 0 && at > d.lost+int64(trusted):
		return Peer{Kind: Stale}
	}
	h := pick(d.holders[a.Unmap().WithZone("")], at)
	if h == nil {
		return Peer{}
	}
	switch h.kind {
	case Pod:
		return Peer{
			Kind: Pod, Namespace: h.namespace.Value(), Pod: h.name, UID: h.uid, Node: h.node.Value(),
			Workload: h.workload, Owner: h.owner.Value(), Service: d.serviceOf(h.uid, port, at),
		}
	case Service:
		return Peer{Kind: Service, Namespace: h.namespace.Value(), Service: h.name}
	default:
		return Peer{Kind: Node, Node: h.node.Value()}
	}
}

// pick returns the one who had an address at a time. A later one ends an
// earlier one, even if nobody told yet that it is gone.
func pick(all []*holder, at int64) *holder {
	var last *holder
	for _, h := range all {
		if h.from <= at && (last == nil || h.from > last.from) {
			last = h
		}
	}
	if last == nil || last.until < at {
		return nil
	}
	return last
}

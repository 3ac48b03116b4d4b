package directory

import (
	"net/netip"
	"slices"
	"unique"
)

// A ServiceEntry is what a directory wants to know of a Service.
type ServiceEntry struct {
	UID, Name, Namespace string
	Addresses            []netip.Addr // cluster IPs; none: it is headless
	From                 int64        // when it was made
}

// PutService takes in a Service. Its cluster IPs are its own until it is gone,
// or becomes one without (type ExternalName).
func (d *Directory) PutService(e ServiceEntry, at int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h := d.services[e.UID]; h != nil {
		if slices.Equal(h.addresses, e.Addresses) {
			return
		}
		delete(d.services, e.UID)
		d.leave(h, at)
		e.From = at
	}
	if len(e.Addresses) == 0 {
		return
	}
	h := &holder{
		kind: Service, from: e.From, until: forever,
		name: e.Name, uid: e.UID, addresses: e.Addresses, namespace: unique.Make(e.Namespace),
	}
	d.services[e.UID] = h
	d.enter(h)
}

// DropService notes that a Service is gone at a time.
func (d *Directory) DropService(uid string, at int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h := d.services[uid]; h != nil {
		delete(d.services, uid)
		d.leave(h, at)
	}
}

// A SliceEntry is what a directory wants to know of an EndpointSlice.
type SliceEntry struct {
	UID      string
	Service  string // the name of the Service it belongs to
	Headless bool
	Ports    []uint16 // empty: all
	Pods     []string // UIDs of the pods behind the Service
}

// A member is the place of a pod behind a Service.
type member struct {
	slice    string // UID
	service  unique.Handle[string]
	ports    []uint16 // shared by the members of a slice
	headless bool
	until    int64
}

func (m *member) has(port uint16) bool { return len(m.ports) == 0 || slices.Contains(m.ports, port) }

// PutSlice takes in an EndpointSlice as it is now, at a time.
func (d *Directory) PutSlice(e SliceEntry, at int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.slices[e.UID]
	for _, pod := range before {
		d.endMember(pod, e.UID, at)
	}
	m := member{slice: e.UID, service: unique.Make(e.Service), ports: e.Ports, headless: e.Headless, until: forever}
	for _, pod := range e.Pods {
		all, known := d.members[pod]
		if !known && len(d.members) >= d.maxPods {
			d.dropped++
			continue
		}
		// A pod that was in the slice before is in it as if it had never left.
		d.members[pod] = append(slices.DeleteFunc(all, func(o member) bool {
			return o.slice == e.UID || o.until < at-int64(retention)
		}), m)
	}
	d.slices[e.UID] = e.Pods
	for _, pod := range before {
		d.forgetMember(pod)
	}
}

// DropSlice notes that an EndpointSlice is gone at a time.
func (d *Directory) DropSlice(uid string, at int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, pod := range d.slices[uid] {
		d.endMember(pod, uid, at)
		d.forgetMember(pod)
	}
	delete(d.slices, uid)
}

func (d *Directory) endMember(pod, slice string, at int64) {
	all := d.members[pod]
	for i := range all {
		if all[i].slice == slice {
			all[i].until = min(all[i].until, at)
		}
	}
}

// forgetMember forgets what a pod was behind, unless it still is, or the pod is
// remembered itself.
func (d *Directory) forgetMember(pod string) {
	if d.pods[pod] != nil || slices.ContainsFunc(d.members[pod], func(m member) bool { return m.until == forever }) {
		return
	}
	delete(d.members, pod)
}

// serviceOf returns the Service that a port of a pod is behind, or empty. Of
// several it prefers one that has an address of its own, and then the first by
// name, so that the answer is always the same.
func (d *Directory) serviceOf(pod string, port uint16, at int64) string {
	var best *member
	all := d.members[pod]
	for i := range all {
		m := &all[i]
		if m.until < at || !m.has(port) {
			continue
		}
		if best == nil || best.headless && !m.headless ||
			best.headless == m.headless && m.service.Value() < best.service.Value() {
			best = m
		}
	}
	if best == nil {
		return ""
	}
	return best.service.Value()
}

// Package directory knows who of a cluster had an address, and when. It keeps
// what names a peer and nothing else of the cluster's objects.
package directory

import (
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"
	"unique"
)

const (
	// retention is how long a directory remembers those that are gone. It
	// outlives the receiver's request_timeout and the retries of exporters
	// between an agent and a gateway (5 minutes each).
	retention = 10 * time.Minute
	// trusted is how long a directory answers without the API server: an address
	// may get another owner meanwhile.
	trusted = time.Minute
	forever = math.MaxInt64
)

// A Directory holds the pods, Services and nodes of a cluster by address. Safe
// for concurrent use.
type Directory struct {
	maxPods int

	mu       sync.RWMutex
	holders  map[netip.Addr][]*holder // present and past, removed by forget; mostly one
	pods     map[string]*holder       // by UID, present and past
	services map[string]*holder       // by UID: those that are there
	nodes    map[netip.Addr][]*node   // by address: those that pods run on
	slices   map[string][]string      // UID of a slice -> UIDs of the pods in it
	members  map[string][]member      // UID of a pod -> the Services it is behind
	past     []*holder                // in the order in which they left
	dropped  int64
	complete bool
	lost     int64 // since when the cluster is out of sight; 0: it is not
}

// New returns an empty directory, which holds at most so many pods, and as many
// that are behind Services.
func New(maxPods int) *Directory {
	return &Directory{
		maxPods:  maxPods,
		holders:  make(map[netip.Addr][]*holder),
		pods:     make(map[string]*holder),
		services: make(map[string]*holder),
		nodes:    make(map[netip.Addr][]*node),
		slices:   make(map[string][]string),
		members:  make(map[string][]member),
	}
}

// A holder has addresses for a time: a pod, a Service, or a node.
type holder struct {
	kind      Kind
	workload  WorkloadKind
	from      int64 // ns since 1970
	until     int64 // forever: it is there
	left      int64 // when it was noticed that it is gone; 0: it is there
	name      string
	uid       string
	namespace unique.Handle[string]
	node      unique.Handle[string]
	owner     unique.Handle[string]
	addresses []netip.Addr
	hosts     []netip.Addr // of a pod: its node's
}

// Kind says what has an address.
type Kind uint8

// What has an address, or why that is not known.
const (
	Unknown  Kind = iota // nobody that the directory knows
	NotReady             // the cluster was not seen completely yet
	Stale                // the cluster is out of sight for too long
	Pod
	Service
	Node
	Kinds // how many there are
)

var kindNames = [Kinds]string{"unknown", "not_ready", "stale", "pod", "service", "node"}

// String returns the token that stands for k in a metric.
func (k Kind) String() string { return kindNames[k] }

// SetComplete tells that everything was seen that is there.
func (d *Directory) SetComplete() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.complete = true
}

// SetLost tells since when the cluster is out of sight; 0: it is not.
func (d *Directory) SetLost(since int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lost = since
}

// Pods returns how many pods are known, gone ones included, and how many were
// not taken in for want of room.
func (d *Directory) Pods() (known, dropped int64) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return int64(len(d.pods)), d.dropped
}

// enter makes h known by its addresses.
func (d *Directory) enter(h *holder) {
	for _, a := range h.addresses {
		d.holders[a] = append(d.holders[a], h)
	}
}

// leave notes that h is gone at a time, and forgets it later.
func (d *Directory) leave(h *holder, at int64) {
	h.until, h.left = min(h.until, at), at
	d.past = append(d.past, h)
	d.sweep(at)
}

// sweep forgets what is gone for longer than anybody asks.
func (d *Directory) sweep(at int64) {
	n := 0
	for n < len(d.past) && d.past[n].left < at-int64(retention) {
		d.forget(d.past[n])
		n++
	}
	d.past = slices.Delete(d.past, 0, n)
}

// makeRoom forgets a pod that is gone, if there is one.
func (d *Directory) makeRoom() bool {
	i := slices.IndexFunc(d.past, func(h *holder) bool { return h.kind == Pod })
	if i < 0 {
		return false
	}
	d.forget(d.past[i])
	d.past = slices.Delete(d.past, i, i+1)
	return true
}

func (d *Directory) forget(h *holder) {
	for _, a := range h.addresses {
		all := slices.DeleteFunc(d.holders[a], func(o *holder) bool { return o == h })
		if len(all) == 0 {
			delete(d.holders, a)
		} else {
			d.holders[a] = all
		}
	}
	if d.pods[h.uid] == h { // else it came back with other addresses
		delete(d.pods, h.uid)
		d.forgetMember(h.uid)
	}
}

package directory

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const second = int64(time.Second)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// pod returns an entry of a pod of the Deployment shop.
func pod(name, ip string, from int64) PodEntry {
	return PodEntry{
		UID: "uid-of-" + name, Name: name, Namespace: "default", Node: "node-1",
		Workload: Deployment, Owner: "shop", From: from,
		Addresses: []netip.Addr{addr(ip)}, Hosts: []netip.Addr{addr("192.0.2.1")},
	}
}

func complete(maxPods int) *Directory {
	d := New(maxPods)
	d.SetComplete()
	return d
}

func (d *Directory) find(ip string, port uint16, at int64) Peer {
	r := d.Read()
	defer r.Close()
	return r.Find(addr(ip), port, at)
}

func TestAPodHasItsAddressFromItsFirstContainerOnUntilItIsGone(t *testing.T) {
	d := complete(10)
	d.PutPod(pod("shop-1", "10.0.0.1", 10*second), 12*second)
	assert.Equal(t, Unknown, d.find("10.0.0.1", 80, 9*second).Kind)
	assert.Equal(t, Peer{
		Kind: Pod, Namespace: "default", Pod: "shop-1", UID: "uid-of-shop-1", Node: "node-1", Workload: Deployment, Owner: "shop",
	}, d.find("10.0.0.1", 80, 10*second))
	d.DropPod("uid-of-shop-1", 20*second)
	assert.Equal(t, "shop-1", d.find("10.0.0.1", 80, 20*second).Pod, "late spans tell of earlier times")
	assert.Equal(t, Unknown, d.find("10.0.0.1", 80, 21*second).Kind)
	assert.Equal(t, Unknown, d.find("10.0.0.2", 80, 15*second).Kind)
}

func TestAnAddressThatIsUsedAgainNamesWhoHadItThen(t *testing.T) {
	d := complete(10)
	d.PutPod(pod("old", "10.0.0.1", 10*second), 12*second)
	d.DropPod("uid-of-old", 20*second)
	d.PutPod(pod("new", "10.0.0.1", 25*second), 26*second)
	for at, want := range map[int64]string{9: "", 10: "old", 20: "old", 22: "", 25: "new", 99: "new"} {
		assert.Equal(t, want, d.find("10.0.0.1", 80, at*second).Pod, "at %d s", at)
	}
}

func TestANewPodEndsTheOneOfWhoseEndNobodyTold(t *testing.T) {
	d := complete(10)
	d.PutPod(pod("old", "10.0.0.1", 10*second), 12*second)
	d.PutPod(pod("new", "10.0.0.1", 25*second), 26*second)
	d.PutPod(pod("old", "10.0.0.1", 10*second), 27*second) // a late word of it
	assert.Equal(t, "old", d.find("10.0.0.1", 80, 24*second).Pod)
	assert.Equal(t, "new", d.find("10.0.0.1", 80, 25*second).Pod)
	d.DropPod("uid-of-new", 30*second)
	assert.Equal(t, Unknown, d.find("10.0.0.1", 80, 31*second).Kind, "the old one is not back")
}

func TestAPodThatIsToldToEndIsNotTrustedLonger(t *testing.T) {
	d := complete(10)
	p := pod("shop-1", "10.0.0.1", 10*second)
	d.PutPod(p, 12*second)
	p.Until = 40 * second
	d.PutPod(p, 13*second)
	assert.Equal(t, "shop-1", d.find("10.0.0.1", 80, 40*second).Pod)
	assert.Equal(t, Unknown, d.find("10.0.0.1", 80, 41*second).Kind)
}

func TestAPodWithoutATimeHasItsAddressSinceItWasSeen(t *testing.T) {
	d := complete(10)
	d.PutPod(pod("shop-1", "10.0.0.1", 0), 12*second)
	assert.Equal(t, Unknown, d.find("10.0.0.1", 80, 11*second).Kind)
	d.PutPod(pod("shop-1", "10.0.0.1", 10*second), 13*second)
	assert.Equal(t, "shop-1", d.find("10.0.0.1", 80, 11*second).Pod, "told later, from when on")
	d.PutPod(pod("shop-1", "10.0.0.1", 30*second), 31*second)
	assert.Equal(t, "shop-1", d.find("10.0.0.1", 80, 11*second).Pod, "a container that starts again changes nothing")
}

func TestAPodWhoseSandboxIsMadeAnewHasAnotherAddress(t *testing.T) {
	d := complete(10)
	d.PutPod(pod("shop-1", "10.0.0.1", 10*second), 12*second)
	d.PutPod(pod("shop-1", "10.0.0.2", 20*second), 21*second)
	assert.Equal(t, "shop-1", d.find("10.0.0.1", 80, 19*second).Pod)
	assert.Equal(t, Unknown, d.find("10.0.0.1", 80, 21*second).Kind)
	assert.Equal(t, "shop-1", d.find("10.0.0.2", 80, 21*second).Pod)
	p := pod("shop-1", "10.0.0.2", 20*second)
	p.Addresses = nil // it has ended
	d.PutPod(p, 30*second)
	assert.Equal(t, Unknown, d.find("10.0.0.2", 80, 31*second).Kind)
}

func TestBothAddressesOfAPodNameItHoweverTheyAreWritten(t *testing.T) {
	d := complete(10)
	p := pod("shop-1", "10.0.0.1", second)
	p.Addresses = append(p.Addresses, addr("fd00::1"))
	d.PutPod(p, second)
	for _, ip := range []string{"10.0.0.1", "::ffff:10.0.0.1", "fd00::1", "fd00::1%eth0"} {
		assert.Equal(t, "shop-1", d.find(ip, 80, 2*second).Pod, ip)
	}
}

func TestAServicesAddressNamesIt(t *testing.T) {
	d := complete(10)
	s := ServiceEntry{UID: "s", Name: "shop", Namespace: "default", Addresses: []netip.Addr{addr("10.96.0.1")}, From: 5 * second}
	d.PutService(s, 6*second)
	d.PutService(s, 7*second)
	assert.Equal(t, Peer{Kind: Service, Namespace: "default", Service: "shop"}, d.find("10.96.0.1", 80, 8*second))
	d.DropService("s", 10*second)
	assert.Equal(t, Unknown, d.find("10.96.0.1", 80, 11*second).Kind)
	d.PutService(ServiceEntry{UID: "h", Name: "headless", Namespace: "default"}, 12*second)
	d.DropService("h", 13*second)
	assert.Empty(t, d.services)
}

func TestTheServiceOfAPodIsThatOfThePort(t *testing.T) {
	d := complete(10)
	d.PutPod(pod("db-0", "10.0.0.1", second), second)
	d.PutSlice(SliceEntry{UID: "1", Service: "a-headless", Headless: true, Pods: []string{"uid-of-db-0"}}, second)
	assert.Equal(t, "a-headless", d.find("10.0.0.1", 3306, 2*second).Service, "a slice without ports is of all")
	d.PutSlice(SliceEntry{UID: "2", Service: "db", Ports: []uint16{3306}, Pods: []string{"uid-of-db-0"}}, second)
	d.PutSlice(SliceEntry{UID: "3", Service: "db-read", Ports: []uint16{3306}, Pods: []string{"uid-of-db-0"}}, second)
	d.PutSlice(SliceEntry{UID: "4", Service: "metrics", Ports: []uint16{9104}, Pods: []string{"uid-of-db-0"}}, second)
	assert.Equal(t, "db", d.find("10.0.0.1", 3306, 2*second).Service, "one with an address of its own, the first by name")
	assert.Equal(t, "metrics", d.find("10.0.0.1", 9104, 2*second).Service)
	assert.Equal(t, "a-headless", d.find("10.0.0.1", 40000, 2*second).Service)
	d.DropSlice("1", 10*second)
	assert.Equal(t, "", d.find("10.0.0.1", 40000, 11*second).Service, "it is a client")
	assert.Equal(t, "a-headless", d.find("10.0.0.1", 40000, 9*second).Service, "but was none then")
}

func TestAPodThatIsGoneKeepsItsServiceForLateSpans(t *testing.T) {
	d := complete(10)
	d.PutPod(pod("shop-1", "10.0.0.1", second), second)
	d.PutSlice(SliceEntry{UID: "1", Service: "shop", Pods: []string{"uid-of-shop-1", "uid-of-nobody"}}, second)
	d.PutSlice(SliceEntry{UID: "1", Service: "shop"}, 10*second)
	assert.NotContains(t, d.members, "uid-of-nobody")
	d.DropPod("uid-of-shop-1", 11*second)
	assert.Equal(t, "shop", d.find("10.0.0.1", 80, 10*second).Service)
}

func TestANodeIsKnownByThePodsThatRunOnIt(t *testing.T) {
	d := complete(10)
	d.PutPod(pod("a", "10.0.0.1", 10*second), 10*second)
	d.PutPod(pod("b", "10.0.0.2", 20*second), 20*second)
	assert.Equal(t, Peer{Kind: Node, Node: "node-1"}, d.find("192.0.2.1", 80, 15*second))
	d.DropPod("uid-of-a", 30*second)
	assert.Equal(t, Node, d.find("192.0.2.1", 80, 35*second).Kind)
	d.DropPod("uid-of-b", 40*second)
	assert.Equal(t, Unknown, d.find("192.0.2.1", 80, 45*second).Kind)
	c := pod("c", "10.0.0.3", 50*second)
	c.Node = "node-2"
	d.PutPod(c, 50*second)
	assert.Equal(t, "node-2", d.find("192.0.2.1", 80, 55*second).Node)
	assert.Equal(t, "node-1", d.find("192.0.2.1", 80, 35*second).Node)
}

func TestNothingIsSaidBeforeEverythingWasSeen(t *testing.T) {
	d := New(10)
	d.PutPod(pod("shop-1", "10.0.0.1", second), second)
	assert.Equal(t, NotReady, d.find("10.0.0.1", 80, 2*second).Kind)
	d.SetComplete()
	assert.Equal(t, Pod, d.find("10.0.0.1", 80, 2*second).Kind)
}

func TestNobodyIsNamedLongAfterTheClusterWentOutOfSight(t *testing.T) {
	d := complete(10)
	d.PutPod(pod("shop-1", "10.0.0.1", second), second)
	d.SetLost(100 * second)
	assert.Equal(t, Pod, d.find("10.0.0.1", 80, 160*second).Kind)
	assert.Equal(t, Stale, d.find("10.0.0.1", 80, 161*second).Kind)
	assert.Equal(t, Pod, d.find("10.0.0.1", 80, 50*second).Kind)
	d.SetLost(0)
	assert.Equal(t, Pod, d.find("10.0.0.1", 80, 161*second).Kind)
}

func TestBeyondTheBoundPodsAreCountedAndNobodyElseIsNamedForThem(t *testing.T) {
	d := complete(2)
	d.PutPod(pod("a", "10.0.0.1", second), second)
	d.PutPod(pod("b", "10.0.0.2", second), second)
	d.PutPod(pod("c", "10.0.0.1", 5*second), 5*second)
	assert.Equal(t, "a", d.find("10.0.0.1", 80, 4*second).Pod)
	assert.Equal(t, Unknown, d.find("10.0.0.1", 80, 6*second).Kind, "a had that address before c")
	known, dropped := d.Pods()
	assert.Equal(t, []int64{2, 1}, []int64{known, dropped})

	d.DropPod("uid-of-a", 10*second)
	d.PutPod(pod("d", "10.0.0.4", 11*second), 11*second)
	assert.Equal(t, "d", d.find("10.0.0.4", 80, 12*second).Pod, "it takes the place of one that is gone")
	d.PutSlice(SliceEntry{UID: "1", Service: "s", Pods: []string{"1", "2", "3"}}, second)
	assert.Len(t, d.members, 2)
}

func TestWhatIsGoneIsForgotten(t *testing.T) {
	d := complete(1000)
	for i := range 500 {
		name, at := fmt.Sprint(i), int64(i)*20*second
		d.PutPod(pod(name, fmt.Sprintf("10.0.0.%d", i%100), at), at)
		d.PutSlice(SliceEntry{UID: "1", Service: "s", Pods: []string{"uid-of-" + name}}, at)
		d.PutService(ServiceEntry{UID: name, Addresses: []netip.Addr{addr("10.96.0.1")}, From: at}, at)
		d.DropService(name, at+second)
		d.DropPod("uid-of-"+name, at+10*second)
	}
	const lately = int(retention/(20*time.Second)) + 1
	known, _ := d.Pods()
	assert.LessOrEqual(t, int(known), lately)
	assert.LessOrEqual(t, len(d.members), lately)
	assert.LessOrEqual(t, len(d.past), 3*lately)
	assert.LessOrEqual(t, len(d.holders[addr("10.96.0.1")]), lately)
	d.DropSlice("1", 500*20*second)
	d.sweep(1e6 * second)
	for _, left := range []int{len(d.holders), len(d.pods), len(d.services), len(d.nodes), len(d.slices), len(d.members), len(d.past)} {
		assert.Zero(t, left)
	}
}

// crowd returns a directory of n pods, one in ten behind a Service.
func crowd(n int) *Directory {
	d := complete(n)
	for i := range n {
		ip := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		e := PodEntry{
			UID: fmt.Sprintf("%08d-8a53-4c0e-9d47-0b7f7b3f1c11", i), Name: fmt.Sprintf("checkout-%d-7d9c6b5f4d-x2x%05d", i/10, i),
			Namespace: fmt.Sprintf("team-%d", i/100), Node: fmt.Sprintf("ip-10-0-%d.eu-west-1.compute.internal", i/30),
			Workload: Deployment, Owner: fmt.Sprintf("checkout-%d", i/10), From: second,
			Addresses: []netip.Addr{ip}, Hosts: []netip.Addr{netip.AddrFrom4([4]byte{192, 168, byte(i / 30 >> 8), byte(i / 30)})},
		}
		d.PutPod(e, second)
		d.PutSlice(SliceEntry{UID: e.Owner, Service: e.Owner, Ports: []uint16{8080}, Pods: append(append([]string(nil), d.slices[e.Owner]...), e.UID)}, second)
	}
	return d
}

func TestALookupAllocatesNothing(t *testing.T) {
	d := crowd(1000)
	a := addr("10.0.3.1")
	require.Equal(t, "checkout-76", d.find("10.0.3.1", 8080, 2*second).Service)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		r := d.Read()
		r.Find(a, 8080, 2*second)
		r.Close()
	}))
}

func BenchmarkFind(b *testing.B) {
	d := crowd(10000)
	a := addr("10.0.30.1")
	b.ReportAllocs()
	for b.Loop() {
		r := d.Read()
		r.Find(a, 8080, 2*second)
		r.Close()
	}
}

// BenchmarkMemory reports what 10,000 pods take.
func BenchmarkMemory(b *testing.B) {
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		d := crowd(10000)
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(d)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/10000, "B/pod")
}

//go:build linux && (amd64 || arm64)

package capture

import (
	"bytes"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perisco-io/perisco/bpf"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

func checkProcess(t *testing.T, e *Event, pid uint32) {
	t.Helper()
	if e.PID != pid {
		t.Errorf("by process %d, want %d", e.PID, pid)
	}
	if e.Start == 0 || bytes.IndexByte(e.Comm[:], 0) <= 0 {
		t.Errorf("of a process that began at %d and is called %q", e.Start, e.Comm)
	}
}

var partial = register("writes that the socket takes in part", script{do: func(c, s *end) {
	must(unix.SetNonblock(c.fd, true))
	for {
		n, err := unix.Write(c.fd, c.next(4<<20))
		if err == unix.EAGAIN {
			break
		}
		c.moved(n, err)
	}
	s.drain(c.sent)
	c.close()
	s.close()
}})

func TestPartialWritesCountWhatWasTaken(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		src := openKernel(t, Options{}, b)
		_, w := playWhole(t, src, partial)
		var moved [2]uint32
		for _, e := range w.events {
			if e.Kind == Data {
				moved[e.Side] += e.Len
			}
		}
		if moved[stream.Client] == 0 || moved[stream.Client] != moved[stream.Server] || moved[stream.Client]%(4<<20) == 0 {
			t.Errorf("client sent %d bytes, server got %d", moved[stream.Client], moved[stream.Server])
		}
		if all := strings.Join(w.lines, "\n"); strings.Contains(all, "wrong") || strings.Contains(all, "missed") {
			t.Error(all)
		}
	})
}

func TestAckIsThePositionOfTheOtherDirection(t *testing.T) {
	src := openKernel(t, Options{}, best())
	p := cast(t, lifecycles[2].name) // stops sending in between
	p.play()
	position := map[FlowID]map[bool]uint32{}
	for _, e := range p.see(src, (*watch).over).events {
		if e.Kind == Opened {
			position[e.Flow] = map[bool]uint32{e.Out: e.Seq, !e.Out: e.Ack}
		}
		at := position[e.Flow]
		if e.Seq != at[e.Out] || e.Ack != at[!e.Out] {
			t.Errorf("%+v is at %d, %d; want %d, %d", e, e.Seq, e.Ack, at[e.Out], at[!e.Out])
		}
		at[e.Out] += e.Len
	}
}

func TestOwnDataIsLeftOut(t *testing.T) {
	src := openKernel(t, Options{}, best())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	own, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if _, err := own.Write([]byte("own")); err != nil {
		t.Fatal(err)
	}
	p := cast(t, newHere)
	p.play()
	w := p.see(src, (*watch).over)
	for _, e := range w.strangers {
		if e.Kind == Data && e.PID == uint32(os.Getpid()) {
			t.Errorf("saw %+v", e)
		}
		if e.Side == stream.Client && e.Local == own.LocalAddr().(*net.TCPAddr).AddrPort() {
			t.Errorf("saw an own client: %+v", e)
		}
	}
}

var twins = register("two MPTCP connections to one listener", script{connect: mptcpBoth, do: func(c, s *end) {
	addr, err := unix.Getpeername(c.fd)
	must(err)
	var c2, s2 end
	c2.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)
	must(err)
	must(unix.Connect(c2.fd, addr))
	s2.fd, _, err = unix.Accept(s.listener)
	must(err)
	c.write(10)
	s.read(10)
	c2.write(10)
	s2.read(10)
}})

const rowLength = 50

var row = register("connections one after the other", script{do: func(c, s *end) {
	addr, err := unix.Getpeername(c.fd)
	must(err)
	for range rowLength {
		var c2, s2 end
		c2.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		must(err)
		must(unix.SetsockoptLinger(c2.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})) // goes at once
		must(unix.Connect(c2.fd, addr))
		s2.fd, _, err = unix.Accept(s.listener)
		must(err)
		c2.close()
		s2.close()
	}
}})

const crowdSize = 64 // several times the CPUs

var crowd = register("many threads that wait in a read", script{do: func(c, s *end) {
	addr, err := unix.Getpeername(c.fd)
	must(err)
	var clients []end
	done := make(chan bool)
	for range crowdSize {
		var c2, s2 end
		c2.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		must(err)
		must(unix.Connect(c2.fd, addr))
		s2.fd, _, err = unix.Accept(s.listener)
		must(err)
		clients = append(clients, c2)
		begun := make(chan int)
		go func() {
			runtime.LockOSThread()
			begun <- unix.Gettid()
			s2.read(10)
			done <- true
		}()
		sleeping(<-begun)
	}
	for _, c2 := range clients {
		c2.write(10)
	}
	for range clients {
		<-done
	}
}})

func TestAllThreadsThatAreInACallAreSeen(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		src := openKernel(t, Options{}, b)
		p := cast(t, crowd)
		p.play()
		w := p.see(src, (*watch).over)
		seen := 0
		for _, e := range w.strangers {
			if e.Kind == Data && e.Local == p.serverAddr && len(e.Data) == 10 {
				seen++
			}
		}
		if left := int(losses(src)["recursion"]); seen > crowdSize || seen+left < crowdSize {
			t.Errorf("saw %d reads, want %d but for %d at most, in runs that were left out", seen, crowdSize, left)
		}
	})
}

// Where flows are named by addresses, they must not be by these alone.
func TestNoFlowIsNamedAsOneBeforeIt(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		src := openKernel(t, Options{}, b)
		p, w := playWhole(t, src, row)
		flows, opened := map[FlowID]bool{}, 0
		for _, e := range w.strangers {
			if e.Kind == Opened && (e.Local == p.serverAddr || e.Peer == p.serverAddr) {
				opened++
				flows[e.Flow] = true
			}
		}
		if opened != 2*rowLength || len(flows) < opened-1 { // two of 65,536 generations may be one
			t.Errorf("saw %d connections open, with %d names; want %d", opened, len(flows), 2*rowLength)
		}
	})
}

// Their sockets share the listener's cookie.
func TestMPTCPConnectionsOfOneListenerAreToldApart(t *testing.T) {
	need(t, "MPTCP at both ends")
	b := best()
	if b.calls { // MPTCP has its own functions
		b = backends[3]
	}
	src := openKernel(t, Options{}, b)
	p := cast(t, twins)
	p.play()
	flows := map[FlowID]bool{}
	p.see(src, func(w *watch) bool {
		for _, e := range append(w.events, w.strangers...) {
			if e.Kind == Data && e.PID == p.pid {
				flows[e.Flow] = true
			}
		}
		return len(flows) >= 4
	})
	if len(flows) != 4 {
		t.Errorf("saw %d flows, want 4", len(flows))
	}
}

var handed = register("a socket that another process answers on", script{do: func(c, s *end) {
	c.write(10)
	s.read(10)
	answer := s.next(20)
	pid := fork(s.fd, answer)
	var status unix.WaitStatus
	_, err := unix.Wait4(pid, &status, 0, nil)
	must(err)
	c.read(20)
	c.close()
	s.close()
}})

func TestSocketsHandedToAnotherProcessKeepTheirRole(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		src := openKernel(t, Options{}, b)
		p, w := playWhole(t, src, handed)
		if got, want := w.of(stream.Server), lines("opened", "got 10", "sent 20", "ended", "closed"); got != want {
			t.Errorf("server:\n%s\nwant:\n%s", got, want)
		}
		for _, e := range w.events {
			if e.Kind == Data && e.Side == stream.Server && (e.PID == p.pid) == e.Out {
				t.Errorf("out: %t, by process %d; the first is %d", e.Out, e.PID, p.pid)
			}
		}
	})
}

func TestWhatComesDuringTheSelfTestIsKept(t *testing.T) {
	for _, n := range []int{1, 4} {
		src := openKernel(t, Options{Shards: n}, best())
		p := cast(t, newHere)
		p.play()
		if err := src.programs.Variables[bpf.CaptureVarExcludeTgid].Set(uint32(0)); err != nil {
			t.Fatal(err)
		}
		if _, err := src.selfTest(); err != nil { // with one shard it reads the player's events before its own
			t.Fatal(err)
		}
		if n == 1 && len(src.early.buf) == 0 {
			t.Error("nothing was kept")
		}
		w := p.see(src, (*watch).over)
		if got, want := w.of(stream.Server), lines("opened", "got 100", "sent 10", "ended", "closed"); got != want {
			t.Errorf("%d shards: server:\n%s\nwant:\n%s", n, got, want)
		}
	}
}

func TestEventsAreOnTheClockThatEpochConverts(t *testing.T) {
	src := openKernel(t, Options{}, best())
	p := cast(t, newHere)
	before := time.Now()
	p.play()
	after := time.Now()
	for _, e := range p.see(src, (*watch).over).events {
		at := time.Unix(0, int64(e.Time)+src.Epoch())
		// The clocks are read one after the other.
		if e.Kind == Data && (at.Before(before.Add(-time.Millisecond)) || at.After(after.Add(time.Millisecond))) {
			t.Errorf("event at %v, want %v to %v", at, before, after)
		}
	}
}

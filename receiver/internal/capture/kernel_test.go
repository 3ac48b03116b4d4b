//go:build linux && (amd64 || arm64)

package capture

import (
	"bytes"
	"net"
	"os"
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
	src := openKernel(t, Options{}, socklen)
	p := cast(t, partial)
	p.play()
	w := p.see(src, (*watch).over)
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
}

func TestAckIsThePositionOfTheOtherDirection(t *testing.T) {
	src := openKernel(t, Options{}, socklen)
	p := cast(t, lifecycles[2].name) // stops sending in between
	p.play()
	position := map[FlowID]map[bool]uint32{p.client: {}, p.server: {}}
	for _, e := range p.see(src, (*watch).over).events {
		at := position[e.Flow]
		if e.Kind == Opened {
			at[e.Out], at[!e.Out] = e.Seq, e.Ack
		}
		if e.Seq != at[e.Out] || e.Ack != at[!e.Out] {
			t.Errorf("%+v is at %d, %d; want %d, %d", e, e.Seq, e.Ack, at[e.Out], at[!e.Out])
		}
		at[e.Out] += e.Len
	}
}

func TestOwnDataIsLeftOut(t *testing.T) {
	src := openKernel(t, Options{}, socklen)
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

// Their sockets share the listener's cookie.
func TestMPTCPConnectionsOfOneListenerAreToldApart(t *testing.T) {
	need(t, "MPTCP at both ends")
	src := openKernel(t, Options{}, socklen)
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

func TestWhatComesDuringTheSelfTestIsKept(t *testing.T) {
	src := openKernel(t, Options{}, socklen)
	p := cast(t, newHere)
	p.play()
	k := src.(*kernel)
	if err := k.programs.Variables[bpf.CaptureVarExcludeTgid].Set(uint32(0)); err != nil {
		t.Fatal(err)
	}
	if _, err := k.selfTest(); err != nil { // reads the player's events before its own
		t.Fatal(err)
	}
	if len(k.early.buf) == 0 {
		t.Error("nothing was kept")
	}
	w := p.see(src, (*watch).over)
	if got, want := w.of(stream.Server), lines("opened", "got 100", "sent 10", "ended", "closed"); got != want {
		t.Errorf("server:\n%s\nwant:\n%s", got, want)
	}
}

func TestEventsAreOnTheClockThatEpochConverts(t *testing.T) {
	src := openKernel(t, Options{}, socklen)
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

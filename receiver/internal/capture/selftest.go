//go:build linux && (amd64 || arm64)

package capture

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perisco-io/perisco/bpf"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const (
	selfTestTimeout = time.Second // traffic takes one millisecond; a busy machine, some more
	selfTestPause   = 5 * time.Millisecond
)

// A sighting is an event that the self-test must see.
type sighting struct {
	of    string // what was done, for the error
	flow  FlowID // 0: not known yet
	kind  Kind
	out   bool
	side  stream.Side
	local netip.AddrPort
	peer  netip.AddrPort
	data  []byte
}

// selfTest talks to itself over loopback and compares what was captured: that
// programs load and attach proves nothing. It returns the number of this
// process in the first pid namespace, which nothing else tells a process that
// runs in another. What it reads of others is kept for Next.
func (k *kernel) selfTest() (self uint32, err error) {
	t := trial{from: stream.Time(boottime())}
	if t.want, err = talk(k.exempt); err != nil {
		return 0, fmt.Errorf("talk over loopback: %w", err)
	}
	defer func() { err = errors.Join(err, k.exempt(0)) }()
	t.ends = [2]sighting{t.want[0], t.want[1]}
	for t.end = time.Now().Add(selfTestTimeout); ; time.Sleep(selfTestPause) {
		for _, s := range k.shards {
			if err := s.try(&t); err != nil {
				return 0, err
			}
		}
		if len(t.want) == 0 {
			return t.self, nil
		}
		if time.Now().After(t.end) {
			return 0, errors.New("not seen: " + strings.Join(names(t.want), ", "))
		}
	}
}

// try reads what waits in the shard, until all of the trial was seen.
func (s *shard) try(t *trial) error {
	s.SetDeadline(time.Now())
	defer s.SetDeadline(time.Time{})
	for len(t.want) > 0 && time.Now().Before(t.end) {
		raw, err := s.ring.next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		var e Event
		if err := decode(&e, raw, s.programs.missing); err != nil {
			return err
		}
		own, err := t.see(&e)
		if err != nil {
			return err
		}
		if !own {
			s.early.add(raw)
		}
	}
	return nil
}

// A trial is how far the self-test has come.
type trial struct {
	want []sighting  // not seen yet
	ends [2]sighting // one of each end, and its flow once that is known
	self uint32      // as selfTest returns it; 0: not known yet
	from stream.Time // when it began
	end  time.Time   // when it has taken too long
}

// see compares an event with what must be seen, and reports whether it is of the trial.
func (t *trial) see(e *Event) (own bool, err error) {
	end := slices.IndexFunc(t.ends[:], func(s sighting) bool { return s.at(e) })
	if end < 0 {
		return false, nil
	}
	i := find(t.want, e)
	if i < 0 {
		return true, nil
	}
	of := t.want[i].of
	if flow := t.ends[end].flow; e.Flow == 0 || flow != 0 && e.Flow != flow {
		return true, fmt.Errorf("%s: of flow %d, others at this end of %d", of, e.Flow, flow)
	}
	t.ends[end].flow = e.Flow
	if err := t.want[i].compare(e); err != nil {
		return true, fmt.Errorf("%s: %w", of, err)
	}
	if now := stream.Time(boottime()); e.Time < t.from || e.Time > now {
		return true, fmt.Errorf("%s: at %d ns since boot, not %d to %d", of, e.Time, t.from, now)
	}
	if e.Kind == Data {
		if e.PID == 0 || t.self != 0 && e.PID != t.self {
			return true, fmt.Errorf("%s: by process %d, the one before by %d", of, e.PID, t.self)
		}
		t.self = e.PID
	}
	t.want = slices.Delete(t.want, i, i+1)
	return true, nil
}

// exempt takes the connections of a port from the filters. 0: of none.
func (k *kernel) exempt(port uint16) error {
	return k.programs.Variables[bpf.CaptureVarSelfTestPort].Set(uint32(port))
}

// talk opens a connection to itself, writes, reads and closes it, and returns
// what must be seen of that; the first two of different ends. Before, it
// announces the port.
func talk(announce func(port uint16) error) ([]sighting, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	if err := announce(listener.Addr().(*net.TCPAddr).AddrPort().Port()); err != nil {
		return nil, err
	}
	client, err := net.DialTimeout("tcp4", listener.Addr().String(), selfTestTimeout)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	server, err := listener.Accept()
	if err != nil {
		return nil, err
	}
	defer server.Close()

	marker := []byte("perisco self-test " + rand.Text())
	if err := errors.Join(
		client.SetDeadline(time.Now().Add(selfTestTimeout)),
		server.SetDeadline(time.Now().Add(selfTestTimeout)),
		send(client, marker), receive(server, len(marker)),
		sendSegments(server, marker[:7], marker[7:]), receive(client, len(marker)),
		client.(*net.TCPConn).SetLinger(0), // resets: both ends are closed at once
	); err != nil {
		return nil, err
	}
	c, s := endOf(client, stream.Client), endOf(server, stream.Server)
	return []sighting{
		c.with("connect", Opened, true, nil),
		s.with("accept", Opened, true, nil),
		c.with("write", Data, true, marker),
		s.with("read", Data, false, marker),
		s.with("sendmsg", Data, true, marker),
		c.with("read of the answer", Data, false, marker),
		c.with("close", Closed, true, nil),
		s.with("close by the peer", Closed, true, nil),
	}, client.Close()
}

func send(c net.Conn, p []byte) error {
	_, err := c.Write(p)
	return err
}

func sendSegments(c net.Conn, segments ...[]byte) error {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	var sendErr error
	err = raw.Write(func(fd uintptr) bool {
		_, sendErr = unix.SendmsgBuffers(int(fd), segments, nil, nil, 0)
		return true
	})
	return errors.Join(err, sendErr)
}

// receive reads n bytes, which must come at once.
func receive(c net.Conn, n int) error {
	got, err := c.Read(make([]byte, n))
	if err == nil && got < n {
		return fmt.Errorf("read %d bytes of %d", got, n)
	}
	return err
}

// endOf is what every event of this end of a connection has.
func endOf(c net.Conn, side stream.Side) sighting {
	return sighting{
		side:  side,
		local: c.LocalAddr().(*net.TCPAddr).AddrPort(),
		peer:  c.RemoteAddr().(*net.TCPAddr).AddrPort(),
	}
}

func (s sighting) with(of string, kind Kind, out bool, data []byte) sighting {
	s.of, s.kind, s.out, s.data = of, kind, out, data
	return s
}

// at reports whether e is of the same end. By addresses: what names a flow is
// for the kernel side to choose.
func (s sighting) at(e *Event) bool { return e.Local == s.local && e.Peer == s.peer }

func (s sighting) compare(e *Event) error {
	switch {
	case e.Side != s.side || !e.Sure:
		return fmt.Errorf("seen at the %s's end, sure: %t", e.Side, e.Sure)
	case int(e.Len) != len(s.data):
		return fmt.Errorf("seen with %d bytes, not %d", e.Len, len(s.data))
	case !bytes.Equal(e.Data, s.data):
		return fmt.Errorf("%d bytes captured of %d, or others: %s", len(e.Data), len(s.data), e.Missing)
	}
	return nil
}

func find(want []sighting, e *Event) int {
	for i, s := range want {
		if s.at(e) && s.kind == e.Kind && s.out == e.Out {
			return i
		}
	}
	return -1
}

func names(want []sighting) []string {
	var names []string
	for _, s := range want {
		names = append(names, s.of)
	}
	return names
}

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
	from := k.Now()
	want, err := talk(k.exempt)
	if err != nil {
		return 0, fmt.Errorf("talk over loopback: %w", err)
	}
	defer func() {
		k.SetDeadline(time.Time{})
		err = errors.Join(err, k.exempt(0))
	}()
	ends := [2]sighting{want[0], want[1]}
	for end := time.Now().Add(selfTestTimeout); len(want) > 0; {
		k.SetDeadline(time.Now().Add(selfTestPause))
		raw, err := k.ring.next()
		if errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(end) {
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, errors.New("not seen: " + strings.Join(names(want), ", "))
		}
		if err != nil {
			return 0, err
		}
		var e Event
		if err := decode(&e, raw, k.programs.missing); err != nil {
			return 0, err
		}
		end := slices.IndexFunc(ends[:], func(s sighting) bool { return s.at(&e) })
		if end < 0 {
			k.early.add(raw)
			continue
		}
		i := find(want, &e)
		if i < 0 {
			continue
		}
		if flow := ends[end].flow; e.Flow == 0 || flow != 0 && e.Flow != flow {
			return 0, fmt.Errorf("%s: of flow %d, others at this end of %d", want[i].of, e.Flow, flow)
		}
		ends[end].flow = e.Flow
		if err := want[i].compare(&e); err != nil {
			return 0, fmt.Errorf("%s: %w", want[i].of, err)
		}
		if e.Time < from || e.Time > k.Now() {
			return 0, fmt.Errorf("%s: at %d ns since boot, not after %d", want[i].of, e.Time, from)
		}
		if e.Kind == Data {
			if e.PID == 0 || self != 0 && e.PID != self {
				return 0, fmt.Errorf("%s: by process %d, the one before by %d", want[i].of, e.PID, self)
			}
			self = e.PID
		}
		want = append(want[:i], want[i+1:]...)
	}
	return self, nil
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

//go:build linux && (amd64 || arm64)

package capture

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const (
	fleetSize   = 64
	fleetRounds = 5
)

// fleet makes connections to one listener, all open at a time, moves bytes over each
// once they are, and closes them in several ways.
func fleet(open func()) func(c, s *end) {
	return func(c, s *end) {
		addr, err := unix.Getsockname(s.listener)
		must(err)
		var clients, servers [fleetSize]end
		for i := range fleetSize {
			clients[i].fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			must(err)
			must(unix.Connect(clients[i].fd, addr))
			servers[i].fd, _, err = unix.Accept(s.listener)
			must(err)
		}
		open()
		for range fleetRounds {
			for i := range fleetSize {
				clients[i].write(100 + i)
				servers[i].read(100 + i)
				servers[i].write(300 + i)
				clients[i].read(300 + i)
			}
		}
		for i := range fleetSize {
			c, s := &clients[i], &servers[i]
			switch i % 4 {
			case 0:
				c.close()
				s.expectEnd()
				s.close()
			case 1:
				s.close()
				c.expectEnd()
				c.close()
			case 2:
				must(unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
				c.close()
				s.close()
			case 3: // the peer's port is gone before the socket is
				must(unix.Shutdown(s.fd, unix.SHUT_WR))
				c.expectEnd()
				must(unix.SetsockoptLinger(s.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
				s.close()
				c.close()
			}
		}
	}
}

var (
	newFleet = register("many connections to one listener", script{do: fleet(func() {})})
	oldFleet = register("many connections to one listener, open before", script{do: fleet(pause)})
)

// A course is what was seen of one end of a fleet's connection.
type course struct {
	shard  int
	side   stream.Side
	peer   uint16          // the client's port
	lines  []string        // what happened, as the shard told it
	next   map[bool]uint32 // sequence number, by direction
	begin  map[bool]uint32 // of the first byte
	opened bool
	closed bool
}

// A muster collects the events of a server's connections, by flow.
type muster struct {
	server netip.AddrPort
	flows  map[FlowID]*course
	wrong  []string
}

func (m *muster) add(shard int, e *Event) {
	f, known := m.flows[e.Flow]
	if !known {
		if e.Local != m.server && e.Peer != m.server {
			return
		}
		f = &course{shard: shard, side: e.Side, peer: e.Local.Port(), next: map[bool]uint32{}, begin: map[bool]uint32{}}
		if e.Side == stream.Server {
			f.peer = e.Peer.Port()
		}
		m.flows[e.Flow] = f
	}
	fail := func(format string, args ...any) {
		m.wrong = append(m.wrong, fmt.Sprintf("%s at port %d: ", f.side, f.peer)+fmt.Sprintf(format, args...))
	}
	if f.shard != shard {
		fail("in shards %d and %d", f.shard, shard)
	}
	if f.closed {
		fail("event after the end: %+v", *e)
	}
	switch e.Kind {
	case Opened:
		if f.opened || len(f.lines) > 0 {
			fail("opened after %s", f.lines)
		}
		f.opened = true
		f.next[e.Out], f.next[!e.Out] = e.Seq, e.Ack
		f.begin[e.Out], f.begin[!e.Out] = e.Seq, e.Ack
	case Closed:
		f.closed = true
	case Data:
		if _, ok := f.begin[e.Out]; !ok { // older than the source
			f.begin[e.Out], f.next[e.Out] = e.Seq, e.Seq
		}
		if e.Seq != f.next[e.Out] || len(e.Data) != int(e.Len) {
			fail("%d bytes at %d, %d of them captured; want what is at %d", e.Len, e.Seq, len(e.Data), f.next[e.Out])
		}
		for i, b := range e.Data {
			if b != pattern(int(e.Seq-f.begin[e.Out])+i) {
				fail("wrong from byte %d on", i)
				break
			}
		}
		f.next[e.Out] = e.Seq + e.Len
		verb := "got"
		if e.Out {
			verb = "sent"
		}
		f.lines = append(f.lines, fmt.Sprint(verb, " ", e.Len))
	}
}

// over reports whether all connections of the fleet have ended at both ends.
func (m *muster) over() bool {
	n := 0
	for _, f := range m.flows {
		if f.closed && len(f.lines) > 0 {
			n++
		}
	}
	return n == 2*fleetSize
}

// read takes what waits in all shards, until the fleet is gone.
func (m *muster) read(t *testing.T, shards []*shard) {
	t.Helper()
	for end := time.Now().Add(patience); !m.over(); {
		if time.Now().After(end) {
			t.Error("not all ends were seen")
			return
		}
		for i, s := range shards {
			s.SetDeadline(time.Now().Add(time.Millisecond))
			var e Event
			for err := s.Next(&e); !errors.Is(err, os.ErrDeadlineExceeded); err = s.Next(&e) {
				if err != nil {
					t.Fatal(err)
				}
				m.add(i, &e)
			}
		}
	}
}

func TestEachConnectionIsWholeInOneShard(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		for _, tt := range []struct {
			shards int
			name   string
		}{{1, newFleet}, {2, newFleet}, {2, oldFleet}, {3, oldFleet}, {MaxShards, newFleet}} {
			t.Run(fmt.Sprint(tt.shards, " ", tt.name), func(t *testing.T) {
				p := cast(t, tt.name)
				if tt.name == oldFleet {
					p.play()
				}
				src := openKernel(t, Options{Shards: tt.shards}, b)
				if len(src.Shards()) != tt.shards {
					t.Fatalf("%d shards, want %d", len(src.shards), tt.shards)
				}
				p.play()
				m := muster{server: p.serverAddr, flows: map[FlowID]*course{}}
				m.read(t, src.shards)
				needWhole(t, src)
				if len(m.wrong) > 0 {
					t.Error(strings.Join(m.wrong, "\n"))
				}
				m.check(t, tt.shards, tt.name == newFleet)
			})
		}
	})
}

// An accepted one does not know its peer when it opens.
func TestMPTCPConnectionsAreWholeInOneShardEach(t *testing.T) {
	need(t, "MPTCP at both ends")
	b := best()
	if b.calls { // MPTCP has its own functions
		b = backends[3]
	}
	src := openKernel(t, Options{Shards: MaxShards}, b)
	p := cast(t, twins)
	p.play()
	kinds := map[FlowID]map[Kind]bool{}
	in := map[FlowID]int{}
	done := func() bool {
		n := 0
		for _, seen := range kinds {
			if seen[Opened] && seen[Data] {
				n++
			}
		}
		return n == 4
	}
	for end := time.Now().Add(patience); !done() && time.Now().Before(end); {
		for i, s := range src.shards {
			s.SetDeadline(time.Now())
			for e := (Event{}); s.Next(&e) == nil; {
				if e.Local != p.serverAddr && e.Peer != p.serverAddr {
					continue
				}
				if first, ok := in[e.Flow]; ok && first != i {
					t.Errorf("flow %d is in shards %d and %d", e.Flow, first, i)
				}
				in[e.Flow] = i
				if kinds[e.Flow] == nil {
					kinds[e.Flow] = map[Kind]bool{}
				}
				kinds[e.Flow][e.Kind] = true
			}
		}
		time.Sleep(time.Millisecond)
	}
	if !done() {
		t.Errorf("saw %v, want 4 flows that opened and moved data", kinds)
	}
}

// check checks that both ends of each connection are in one shard, that all was seen
// of them, and that no shard has most.
func (m *muster) check(t *testing.T, n int, opened bool) {
	t.Helper()
	sent := func(first, second string, size int) (lines []string) {
		for range fleetRounds {
			lines = append(lines, fmt.Sprint(first, " ", size), fmt.Sprint(second, " ", size+200))
		}
		return lines
	}
	shards, load := map[uint16]int{}, make([]int, n)
	for _, f := range m.flows {
		if len(f.lines) == 0 {
			continue // the script's own connection
		}
		var size int
		_, _ = fmt.Sscanf(f.lines[0], "sent %d", &size)
		want := sent("sent", "got", size)
		if f.side == stream.Server {
			_, _ = fmt.Sscanf(f.lines[0], "got %d", &size)
			want = sent("got", "sent", size)
		}
		if got := strings.Join(f.lines, ", "); got != strings.Join(want, ", ") || f.opened != opened {
			t.Errorf("%s at port %d: opened %t, %s", f.side, f.peer, f.opened, got)
		}
		if shard, ok := shards[f.peer]; ok && shard != f.shard {
			t.Errorf("the ends of the connection of port %d are in shards %d and %d", f.peer, shard, f.shard)
		}
		shards[f.peer] = f.shard
		load[f.shard]++
	}
	if len(shards) != fleetSize {
		t.Errorf("saw %d connections, want %d", len(shards), fleetSize)
	}
	t.Log("ends by shard:", load)
	for i, ends := range load {
		if fair := 2 * fleetSize / n; n <= 4 && ends < fair/4 {
			t.Errorf("shard %d has %d ends of %d, want %d at the least", i, ends, 2*fleetSize, fair/4)
		}
	}
}

//go:build linux && (amd64 || arm64)

package capture

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// lifecycles are the ways in which connections begin and end, and what each
// end is seen to do.
var lifecycles = []struct {
	name           string
	script         script
	client, server string
}{
	{"the client closes first", script{do: func(c, s *end) {
		c.write(10)
		s.read(10)
		c.close()
		s.expectEnd()
		s.close()
	}},
		lines("opened", "sent 10", "ended", "closed"),
		lines("opened", "got 10", "saw the end", "ended", "closed")},

	{"the server closes first", script{do: func(c, s *end) {
		s.write(10)
		s.close()
		c.read(10)
		c.expectEnd()
		c.expectEnd()
		c.close()
	}},
		lines("opened", "got 10", "saw the end", "ended", "closed"),
		lines("opened", "sent 10", "ended", "closed")},

	{"the client stops sending, and reads on", script{do: func(c, s *end) {
		c.write(10)
		must(unix.Shutdown(c.fd, unix.SHUT_WR))
		s.read(10)
		s.expectEnd()
		s.write(20)
		s.write(30)
		c.read(50)
		s.close()
		c.expectEnd()
		c.close()
	}},
		lines("opened", "sent 10", "ended", "got 50", "saw the end", "closed"),
		lines("opened", "got 10", "saw the end", "sent 20", "sent 30", "ended", "closed")},

	{"the last bytes and the end come in one packet", script{do: func(c, s *end) {
		must(unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_CORK, 1))
		c.write(10)
		c.close()
		s.read(10)
		s.expectEnd()
		s.close()
	}},
		lines("opened", "sent 10", "ended", "closed"),
		lines("opened", "got 10", "saw the end", "ended", "closed")},

	{"the client resets", script{do: func(c, s *end) {
		c.write(10)
		s.read(10)
		must(unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
		c.close()
		s.close()
	}},
		lines("opened", "sent 10", "reset"),
		lines("opened", "got 10", "reset")},

	{"the server closes with bytes unread", script{do: func(c, s *end) {
		c.write(10)
		s.close()
		c.close()
	}},
		lines("opened", "sent 10", "reset"),
		lines("opened", "reset")},

	{"the server closes, and the client writes to it", script{do: func(c, s *end) {
		s.close()
		c.write(10)
		c.close()
	}},
		lines("opened", "sent 10", "reset"),
		// If the acknowledgement of its FIN comes while close() holds the socket, it
		// stays one in TCP_FIN_WAIT2, which data resets (tcp_rcv_state_process);
		// else it is in TCP_TIME_WAIT by then, and gone.
		either(lines("opened", "ended", "closed"), lines("opened", "ended", "reset"))},

	{"a read of nothing is not the end", script{do: func(c, s *end) {
		must(unix.Shutdown(s.fd, unix.SHUT_WR))
		_, err := unix.Read(s.fd, nil)
		must(err)
		c.write(10)
		_, _, err = unix.Recvfrom(s.fd, make([]byte, 0, 1), 0) // waits for bytes, and takes none
		must(err)
		s.read(10)
		c.close()
		s.close()
	}},
		lines("opened", "sent 10", "ended", "closed"),
		lines("opened", "ended", "got 10", "closed")},

	{"MSG_PEEK at the end is not yet the end", script{do: func(c, s *end) {
		c.close()
		n, _, err := unix.Recvfrom(s.fd, make([]byte, 10), unix.MSG_PEEK)
		must(err)
		if n != 0 {
			panic("not at the end of the stream")
		}
		s.close()
	}},
		lines("opened", "ended", "closed"),
		lines("opened", "ended", "closed")},
}

// either is for what the kernel does as its races go.
func either(these ...string) string { return strings.Join(these, alternative) }

const alternative = "\nor\n"

func init() {
	for _, l := range lifecycles {
		register(l.name, l.script)
	}
}

func TestLifecycles(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		src := openKernel(t, Options{}, b)
		for _, l := range lifecycles {
			t.Run(l.name, func(t *testing.T) {
				_, w := playWhole(t, src, l.name)
				for side, want := range map[stream.Side]string{stream.Client: l.client, stream.Server: l.server} {
					if got := w.of(side); !slices.Contains(strings.Split(want, alternative), got) {
						t.Errorf("%s:\n%s\nwant:\n%s", side, got, want)
					}
				}
			})
		}
	})
}

var unheard = register("connections that never were", script{do: func(c, s *end) {
	here := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 77}}
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(err)
	must(unix.Bind(listener, here))
	addr, err := unix.Getsockname(listener)
	must(err)
	must(unix.Listen(listener, 1))
	must(unix.Close(listener))
	client, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(err)
	must(unix.Bind(client, here))
	if err := unix.Connect(client, addr); err != unix.ECONNREFUSED {
		panic(err)
	}
	must(unix.Close(client))
	c.close()
	s.close()
}})

func TestListenersAndRefusedConnectionsAreNoEvents(t *testing.T) {
	src := openKernel(t, Options{}, best())
	p := cast(t, unheard)
	p.play()
	for _, e := range p.see(src, (*watch).over).strangers {
		if e.Local.Addr().String() == "127.0.0.77" {
			t.Errorf("saw %+v", e)
		}
	}
}

var roundTrip = script{do: func(c, s *end) {
	c.write(100)
	s.read(100)
	s.write(10)
	c.read(10)
	c.close()
	s.close()
}}

var (
	oldHere  = register("an old connection", roundTrip)
	oldThere = register("an old connection in another network", script{connect: otherNetwork, do: roundTrip.do})
)

func TestConnectionsOlderThanTheSourceAreGuessedBySnapshot(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		for _, name := range []string{oldHere, oldThere} {
			t.Run(name, func(t *testing.T) {
				p := cast(t, name)
				src := openKernel(t, Options{}, b)
				p.play()
				w := p.see(src, (*watch).over)
				needWhole(t, src)
				if got, want := w.of(stream.Client), lines("client? sent 100", "client? got 10", "client? ended", "client? closed"); got != want {
					t.Errorf("client:\n%s\nwant:\n%s", got, want)
				}
				if got, want := w.of(stream.Server), lines("server? got 100", "server? sent 10", "server? ended", "server? closed"); got != want {
					t.Errorf("server:\n%s\nwant:\n%s", got, want)
				}
			})
		}
	})
}

var newHere = register("a connection", roundTrip)

var newThere = register("a connection in another network", script{connect: otherNetwork, do: roundTrip.do})

func TestOtherNetworkNamespacesAreSeen(t *testing.T) {
	src := openKernel(t, Options{}, best())
	p := cast(t, newThere)
	p.play()
	w := p.see(src, (*watch).over)
	if got, want := w.of(stream.Server), lines("opened", "got 100", "sent 10", "ended", "closed"); got != want {
		t.Errorf("server:\n%s\nwant:\n%s", got, want)
	}
}

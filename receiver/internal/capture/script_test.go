//go:build linux && (amd64 || arm64)

package capture

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// A script is what a child does over one connection, both of whose ends are
// its own. Errors are panics.
type script struct {
	connect func() (c, s end, err error) // over loopback TCP by default
	do      func(c, s *end)
}

// register makes a script known to children, and returns its name.
func register(name string, s script) string {
	children[name] = s.act
	return name
}

// act runs a script. It tells on standard output who talks, and lets do begin
// when the test says so.
func (s script) act() (err error) {
	defer func() {
		if failed := recover(); failed != nil {
			err = fmt.Errorf("%v", failed)
		}
	}()
	if s.connect == nil {
		s.connect = tcp4
	}
	client, server, err := s.connect()
	if err != nil {
		return err
	}
	fmt.Println(client.flow(), server.flow(), client.addr(), server.addr())
	await()
	s.do(&client, &server)
	return nil
}

var commands = bufio.NewReader(os.Stdin)

// await waits for the test's next command.
func await() {
	_, err := commands.ReadString('\n')
	must(err)
}

// pause tells the test how far the script has come, and waits.
func pause() {
	fmt.Println()
	await()
}

// An end is a socket with blocking calls. What it sends is a pattern by the
// position in the stream, so that every byte tells where it belongs.
type end struct {
	fd       int
	listener int // the server's
	sent     int
}

func pattern(pos int) byte { return byte('a' + pos%23 + pos/4096%3) }

// next returns the n bytes that this end sends next.
func (e *end) next(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = pattern(e.sent + i)
	}
	return p
}

// segments cuts what this end sends next.
func (e *end) segments(sizes ...int) [][]byte {
	var segments [][]byte
	pos := 0
	for _, n := range sizes {
		segments = append(segments, (&end{sent: e.sent + pos}).next(n))
		pos += n
	}
	return segments
}

// moved is for the results of calls that send.
func (e *end) moved(n int, err error) int {
	must(err)
	e.sent += n
	return n
}

func (e *end) write(n int) { e.moved(unix.Write(e.fd, e.next(n))) }

// read reads n bytes in one call.
func (e *end) read(n int) {
	got, err := unix.Read(e.fd, make([]byte, n))
	must(err)
	if got != n {
		panic(fmt.Sprintf("read %d bytes of %d", got, n))
	}
}

// drain reads n bytes, in as many calls as it takes.
func (e *end) drain(n int) {
	for p := make([]byte, 64<<10); n > 0; {
		got, err := unix.Read(e.fd, p[:min(n, len(p))])
		must(err)
		if got == 0 {
			panic("end of stream")
		}
		n -= got
	}
}

// expectEnd reads the end of the stream.
func (e *end) expectEnd() {
	n, err := unix.Read(e.fd, make([]byte, 10))
	must(err)
	if n != 0 {
		panic("not at the end of the stream")
	}
}

func (e *end) close() { must(unix.Close(e.fd)) }

func (e *end) flow() string {
	cookie, err := unix.GetsockoptUint64(e.fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	must(err)
	return strconv.FormatUint(cookie, 10)
}

func (e *end) addr() netip.AddrPort {
	addr, err := unix.Getsockname(e.fd)
	must(err)
	switch addr := addr.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(addr.Addr), uint16(addr.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(addr.Addr).Unmap(), uint16(addr.Port))
	}
	panic("no address")
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func tcp4() (c, s end, err error) {
	return connect(unix.AF_INET, unix.IPPROTO_TCP, unix.IPPROTO_TCP, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
}

func tcp6() (c, s end, err error) {
	return connect(unix.AF_INET6, unix.IPPROTO_TCP, unix.IPPROTO_TCP, &unix.SockaddrInet6{Addr: [16]byte{15: 1}})
}

func tcp4in6() (c, s end, err error) {
	return connect(unix.AF_INET6, unix.IPPROTO_TCP, unix.IPPROTO_TCP,
		&unix.SockaddrInet6{Addr: [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}})
}

func mptcpServer() (c, s end, err error) {
	return connect(unix.AF_INET, unix.IPPROTO_TCP, unix.IPPROTO_MPTCP, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
}

func mptcpBoth() (c, s end, err error) {
	return connect(unix.AF_INET, unix.IPPROTO_MPTCP, unix.IPPROTO_MPTCP, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
}

// otherNetwork connects in a network namespace of its own.
func otherNetwork() (c, s end, err error) {
	runtime.LockOSThread() // for good: the thread is not fit for others any more
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return c, s, err
	}
	lo, err := unix.NewIfreq("lo")
	must(err)
	lo.SetUint16(unix.IFF_UP)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	must(err)
	must(unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo))
	return tcp4()
}

// connect leaves the listener open: it is what tells the server's end of an
// old connection.
func connect(family, clientProto, serverProto int, addr unix.Sockaddr) (c, s end, err error) {
	l := end{}
	if l.fd, err = unix.Socket(family, unix.SOCK_STREAM, serverProto); err != nil {
		return c, s, err
	}
	l.flow() // gives it a cookie
	if err := unix.Bind(l.fd, addr); err != nil {
		return c, s, err
	}
	if err := unix.Listen(l.fd, 10); err != nil {
		return c, s, err
	}
	bound, err := unix.Getsockname(l.fd)
	if err != nil {
		return c, s, err
	}
	if c.fd, err = unix.Socket(family, unix.SOCK_STREAM, clientProto); err != nil {
		return c, s, err
	}
	if err := unix.Connect(c.fd, bound); err != nil {
		return c, s, err
	}
	s.fd, _, err = unix.Accept(l.fd)
	s.listener = l.fd
	return c, s, err
}

//go:build linux && (amd64 || arm64)

package capture

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A path is a way in which bytes get into and out of sockets, and what is seen
// of it: the client's events, then the server's. What is not seen shows when
// the end is closed, as missed. A backend that sees more than it should fails as
// one that sees less does: the table is what the documentation promises.
type path struct {
	name   string
	script script
	want   string
	but    []exception // the first that applies stands instead
}

// An exception is for some backends, on kernels before one or on all.
type exception struct {
	backends string
	before   version
	want     string
}

func (p *path) expect(b backend, kernel version) string {
	for _, but := range p.but {
		if slices.Contains(strings.Fields(but.backends), b.name) && (but.before == version{} || kernel.before(but.before)) {
			return but.want
		}
	}
	return p.want
}

var paths = []path{
	{name: "write and read", script: script{do: func(c, s *end) {
		c.write(100)
		s.read(100)
		s.write(200)
		c.read(200)
	}}, want: lines("client sent 100", "client got 200", "server got 100", "server sent 200")},

	{name: "a read for each part of a write", script: script{do: func(c, s *end) {
		c.write(100)
		s.read(10)
		s.read(90)
	}}, want: lines("client sent 100", "server got 10", "server got 90")},

	{name: "sendto and recvfrom", script: script{do: func(c, s *end) {
		must(unix.Send(c.fd, c.next(100), 0))
		_, _, err := unix.Recvfrom(s.fd, make([]byte, 100), 0)
		must(err)
	}}, want: lines("client sent 100", "server got 100")},

	{name: "sendmsg and recvmsg, three segments", script: script{do: func(c, s *end) {
		c.moved(unix.SendmsgBuffers(c.fd, c.segments(7, 30, 63), nil, nil, 0))
		_, _, _, _, err := unix.RecvmsgBuffers(s.fd, s.segments(50, 20, 60), nil, 0)
		must(err)
	}}, want: lines("client sent 100", "server got 100")},

	{name: "writev and readv, three segments", script: script{do: func(c, s *end) {
		c.moved(unix.Writev(c.fd, c.segments(7, 30, 63)))
		_, err := unix.Readv(s.fd, s.segments(50, 20, 60))
		must(err)
	}}, want: lines("client sent 100", "server got 100")},

	{name: "writev and readv, one segment", script: script{do: func(c, s *end) {
		c.moved(unix.Writev(c.fd, c.segments(100)))
		_, err := unix.Readv(s.fd, s.segments(100))
		must(err)
	}}, want: lines("client sent 100", "server got 100")},

	{name: "writev of empty segments between others", script: script{do: func(c, s *end) {
		c.moved(unix.Writev(c.fd, c.segments(0, 40, 0, 60)))
		s.read(100)
	}}, want: lines("client sent 100", "server got 100")},

	{name: "pwritev2 and preadv2", script: script{do: func(c, s *end) {
		c.moved(unix.Pwritev2(c.fd, c.segments(40, 60), -1, 0))
		_, err := unix.Preadv2(s.fd, s.segments(60, 60), -1, 0)
		must(err)
	}}, want: lines("client sent 100", "server got 100")},

	{name: "a payload over the limit", script: script{do: func(c, s *end) {
		c.write(20000)
		s.drain(4000)
		s.drain(16000)
	}}, want: lines("client sent 20000 captured 16384 limit", "server got 4000", "server got 16000")},

	{name: "a payload over the limit in segments", script: script{do: func(c, s *end) {
		c.moved(unix.Writev(c.fd, c.segments(5000, 9000, 6000)))
		_, err := unix.Readv(s.fd, s.segments(100, 12000, 10000))
		must(err)
	}}, want: lines("client sent 20000 captured 16384 limit", "server got 20000 captured 16384 limit")},

	{name: "as many segments as one call takes", script: script{do: func(c, s *end) {
		sizes := slices.Repeat([]int{10}, 1024) // UIO_MAXIOV
		c.moved(unix.Writev(c.fd, c.segments(sizes...)))
		_, err := unix.Readv(s.fd, s.segments(sizes...))
		must(err)
	}}, want: lines("client sent 10240", "server got 10240")},

	{name: "a read that finds nothing", script: script{do: func(c, s *end) {
		must(unix.SetNonblock(s.fd, true))
		if _, err := unix.Read(s.fd, make([]byte, 10)); err != unix.EAGAIN {
			panic(err)
		}
		c.write(10)
		s.read(10)
	}}, want: lines("client sent 10", "server got 10")},

	{name: "a read that began before the write", script: script{do: func(c, s *end) {
		done := make(chan bool)
		go func() {
			s.read(100)
			close(done)
		}()
		c.write(100)
		<-done
	}}, want: lines("client sent 100", "server got 100")},

	{name: "MSG_PEEK, then recv", script: script{do: func(c, s *end) {
		c.write(100)
		_, _, err := unix.Recvfrom(s.fd, make([]byte, 100), unix.MSG_PEEK)
		must(err)
		s.read(100)
	}}, want: lines("client sent 100", "server got 100")},

	{name: "MSG_TRUNC leaves the buffer as it was", script: script{do: func(c, s *end) {
		c.write(100)
		_, _, err := unix.Recvfrom(s.fd, make([]byte, 100), unix.MSG_TRUNC)
		must(err)
	}}, want: lines("client sent 100", "server got 100 captured 0 discarded")},

	{name: "MSG_OOB is not of the stream", script: script{do: func(c, s *end) {
		c.write(10)
		must(unix.Send(c.fd, c.next(1), unix.MSG_OOB))
		s.read(10)
		_, _, err := unix.Recvfrom(s.fd, make([]byte, 1), unix.MSG_OOB)
		must(err)
	}}, want: lines("client sent 10", "client sent 1", "server got 10")},

	{name: "MSG_WAITALL", script: script{do: func(c, s *end) {
		done := make(chan error)
		go func() {
			_, _, err := unix.Recvfrom(s.fd, make([]byte, 200), unix.MSG_WAITALL)
			done <- err
		}()
		c.write(100)
		c.write(100)
		must(<-done)
	}}, want: lines("client sent 100", "client sent 100", "server got 200")},

	{name: "sendfile", script: script{do: func(c, s *end) {
		c.moved(unix.Sendfile(c.fd, file(c.next(100)), new(int64), 100))
		s.read(100)
	}}, want: lines("client sent 100 captured 0 splice", "server got 100"), but: notByPage},

	{name: "splice out of a pipe", script: script{do: func(c, s *end) {
		var pipe [2]int
		must(unix.Pipe(pipe[:]))
		_, err := unix.Write(pipe[1], c.next(100))
		must(err)
		n, err := unix.Splice(pipe[0], nil, c.fd, nil, 100, 0)
		c.moved(int(n), err)
		s.read(100)
	}}, want: lines("client sent 100 captured 0 splice", "server got 100"), but: notByPage},

	{name: "splice into a pipe", script: script{do: func(c, s *end) {
		var pipe [2]int
		must(unix.Pipe(pipe[:]))
		c.write(100)
		_, err := unix.Splice(s.fd, nil, pipe[1], nil, 100, 0)
		must(err)
		c.write(10)
		s.read(10)
	}}, want: lines("client sent 100", "client sent 10", "server missed 100", "server got 10"),
		but: []exception{{backends: "sysexit", want: lines("client sent 100", "client sent 10",
			"server got 100 captured 0 splice", "server got 10")}}},

	{name: "sendmmsg and recvmmsg", script: script{do: func(c, s *end) {
		mmsg(unix.SYS_SENDMMSG, c.fd, c.segments(30, 70))
		mmsg(unix.SYS_RECVMMSG, s.fd, s.segments(40, 60))
	}}, want: lines("client sent 30 captured 0 mmsg", "client sent 70 captured 0 mmsg",
		"server got 40 captured 0 mmsg", "server got 60 captured 0 mmsg"),
		but: []exception{
			{backends: "fexit kprobe", want: lines("client sent 30", "client sent 70", "server got 40", "server got 60")},
			{backends: "sysexit", want: lines("client sent 100 captured 0 mmsg", "server got 100 captured 0 mmsg")},
		}},

	{name: "io_uring", script: script{do: func(c, s *end) {
		ring := newURing()
		ring.do(opSend, c.fd, c.next(100))
		ring.do(opRecv, s.fd, make([]byte, 100))
	}}, want: lines("client sent 100 captured 0 async", "server got 100 captured 0 async"),
		but: []exception{
			{backends: "fexit kprobe", want: lines("client sent 100", "server got 100")},
			{backends: "sysexit", want: lines("client missed 100", "server missed 100")},
		}},

	{name: "a buffer that the program never touched", script: script{do: func(c, s *end) {
		p, err := unix.Mmap(file(c.next(10000)), 0, 10000, unix.PROT_READ, unix.MAP_SHARED)
		must(err)
		_, err = unix.Write(c.fd, p)
		must(err)
		s.drain(10000)
	}}, want: lines("client sent 10000", "server got 10000")},

	{name: "a buffer that is unmapped before it is full", script: script{do: func(c, s *end) {
		page := os.Getpagesize()
		p, err := unix.MmapPtr(-1, 0, nil, uintptr(2*page), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		must(err)
		begun, done := make(chan int), make(chan int)
		go func() {
			runtime.LockOSThread()
			begun <- unix.Gettid()
			n, _, _ := unix.Syscall6(unix.SYS_RECVFROM, uintptr(s.fd), uintptr(p), uintptr(page+100), unix.MSG_WAITALL, 0, 0)
			done <- int(n)
		}()
		reader := <-begun
		c.write(page)
		for unread := 1; unread > 0; {
			unread, err = unix.IoctlGetInt(s.fd, unix.TIOCINQ)
			must(err)
		}
		sleeping(reader)
		must(unix.MunmapPtr(p, uintptr(page)))
		c.write(100)
		if n := <-done; n != page+100 {
			panic(n)
		}
	}}, want: lines("client sent 4096", "client sent 100", "server got 4196 captured 0 fault")},

	{name: "a 32-bit task", script: script{do: func(c, s *end) {
		write32(c.fd)
		s.read(len(written32))
	}}, want: lines("client sent 5 captured 0 compat_task", "server got 5"),
		but: []exception{
			{backends: "fexit kprobe", want: lines("client sent 5", "server got 5")},
			{backends: "sysexit", want: lines("client missed 5", "server got 5")},
		}},

	{name: "MSG_ZEROCOPY", script: script{do: func(c, s *end) {
		must(unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ZEROCOPY, 1))
		must(unix.Send(c.fd, c.next(10000), unix.MSG_ZEROCOPY))
		s.drain(10000)
	}}, want: lines("client sent 10000", "server got 10000")},

	{name: "TCP_ZEROCOPY_RECEIVE", script: script{do: func(c, s *end) {
		var pipe [2]int
		must(unix.Pipe(pipe[:]))
		_, err := unix.Write(pipe[1], make([]byte, 4096)) // a whole page
		must(err)
		_, err = unix.Splice(pipe[0], nil, c.fd, nil, 4096, 0)
		must(err)
		s.receiveMapped(4096)
	}}, want: lines("client sent 4096 captured 0 splice", "server missed 4096"),
		but: []exception{{backends: "fexit kprobe", before: version{6, 5}, want: lines("client missed 4096", "server missed 4096")}}},

	{name: "kernel TLS", script: script{do: func(c, s *end) {
		must(c.encrypt(tlsTX))
		must(s.encrypt(tlsRX))
		c.write(100)
		s.read(100)
	}}, want: lines("client sent 100 captured 0 tls", "server got 100 captured 0 tls"), but: notInTCP},

	{name: "IPv6", script: script{connect: tcp6, do: func(c, s *end) {
		c.write(100)
		s.read(100)
	}}, want: lines("client sent 100", "server got 100")},

	{name: "IPv4 over IPv6 sockets", script: script{connect: tcp4in6, do: func(c, s *end) {
		c.write(100)
		s.read(100)
	}}, want: lines("client sent 100", "server got 100")},

	{name: "a server that would speak MPTCP", script: script{connect: mptcpServer, do: func(c, s *end) {
		c.write(100)
		s.read(100)
		s.write(200)
		c.read(200)
	}}, want: lines("client sent 100", "client got 200", "server got 100", "server sent 200")},

	{name: "MPTCP at both ends", script: script{connect: mptcpBoth, do: func(c, s *end) {
		c.write(100)
		s.drain(100)
		s.write(200)
		c.drain(200)
	}}, want: lines("client sent 100", "client got 200", "server got 100", "server sent 200"), but: notInTCP},
}

var (
	// Until 6.4 pages went another way than through tcp_sendmsg.
	notByPage = []exception{{backends: "fexit kprobe", before: version{6, 5}, want: lines("client missed 100", "server got 100")}}
	// What has its own functions in place of tcp_sendmsg and tcp_recvmsg, and no
	// sequence numbers of the application's bytes.
	notInTCP = []exception{{backends: "fexit kprobe", want: ""}}
)

// oldPaths begin before the source: the script pauses when they have.
var oldPaths = []path{
	{name: "a read that waits since before capture began", script: script{do: func(c, s *end) {
		begun, done := make(chan int), make(chan bool)
		go func() {
			runtime.LockOSThread()
			begun <- unix.Gettid()
			s.read(100)
			close(done)
		}()
		sleeping(<-begun)
		pause()
		c.write(100)
		<-done
	}}, want: lines("client? sent 100", "server? got 100"),
		but: []exception{{backends: "fexit kprobe", want: lines("client? sent 100")}}},
}

func init() {
	for _, path := range slices.Concat(paths, oldPaths) {
		register(path.name, path.script)
	}
}

// sleeping waits until a thread of this process does.
func sleeping(tid int) {
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", tid))
		must(err)
		if _, state, _ := strings.Cut(string(stat), ") "); state[0] == 'S' {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func TestPathsThatBeganBeforeTheSource(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		for _, path := range oldPaths {
			p := cast(t, path.name)
			p.play()
			src := openKernel(t, Options{}, b)
			p.play()
			w := p.see(src, (*watch).over)
			needWhole(t, src)
			if got, want := w.data(), path.expect(b, thisKernel()); got != want {
				t.Errorf("saw:\n%s\nwant:\n%s", got, want)
			}
		}
	})
}

func TestPaths(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		src := openKernel(t, Options{}, b)
		for _, path := range paths {
			t.Run(path.name, func(t *testing.T) {
				need(t, path.name)
				want := path.expect(b, thisKernel())
				p, w := playWhole(t, src, path.name)
				if got := w.data(); got != want {
					t.Errorf("saw:\n%s\nwant:\n%s", got, want)
				}
				for _, e := range w.events {
					if e.Kind == Data && path.name != "a 32-bit task" { // a child of the child
						checkProcess(t, &e, p.pid)
					}
				}
			})
		}
	})
}

// file returns a file in memory that holds p.
func file(p []byte) int {
	fd, err := unix.MemfdCreate("perisco", 0)
	must(err)
	_, err = unix.Pwrite(fd, p, 0)
	must(err)
	return fd
}

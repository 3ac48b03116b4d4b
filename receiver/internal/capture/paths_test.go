//go:build linux && (amd64 || arm64)

package capture

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// paths are the ways in which bytes get into and out of sockets, and what is
// seen of each: the client's events, then the server's.
var paths = []struct {
	name   string
	script script
	want   string
}{
	{"write and read", script{do: func(c, s *end) {
		c.write(100)
		s.read(100)
		s.write(200)
		c.read(200)
	}}, lines("client sent 100", "client got 200", "server got 100", "server sent 200")},

	{"a read for each part of a write", script{do: func(c, s *end) {
		c.write(100)
		s.read(10)
		s.read(90)
	}}, lines("client sent 100", "server got 10", "server got 90")},

	{"sendto and recvfrom", script{do: func(c, s *end) {
		must(unix.Send(c.fd, c.next(100), 0))
		_, _, err := unix.Recvfrom(s.fd, make([]byte, 100), 0)
		must(err)
	}}, lines("client sent 100", "server got 100")},

	{"sendmsg and recvmsg, three segments", script{do: func(c, s *end) {
		c.moved(unix.SendmsgBuffers(c.fd, c.segments(7, 30, 63), nil, nil, 0))
		_, _, _, _, err := unix.RecvmsgBuffers(s.fd, s.segments(50, 20, 60), nil, 0)
		must(err)
	}}, lines("client sent 100", "server got 100")},

	{"writev and readv, three segments", script{do: func(c, s *end) {
		c.moved(unix.Writev(c.fd, c.segments(7, 30, 63)))
		_, err := unix.Readv(s.fd, s.segments(50, 20, 60))
		must(err)
	}}, lines("client sent 100", "server got 100")},

	{"writev and readv, one segment", script{do: func(c, s *end) {
		c.moved(unix.Writev(c.fd, c.segments(100)))
		_, err := unix.Readv(s.fd, s.segments(100))
		must(err)
	}}, lines("client sent 100", "server got 100")},

	{"writev of empty segments between others", script{do: func(c, s *end) {
		c.moved(unix.Writev(c.fd, c.segments(0, 40, 0, 60)))
		s.read(100)
	}}, lines("client sent 100", "server got 100")},

	{"pwritev2 and preadv2", script{do: func(c, s *end) {
		c.moved(unix.Pwritev2(c.fd, c.segments(40, 60), -1, 0))
		_, err := unix.Preadv2(s.fd, s.segments(60, 60), -1, 0)
		must(err)
	}}, lines("client sent 100", "server got 100")},

	{"a payload over the limit", script{do: func(c, s *end) {
		c.write(20000)
		s.drain(4000)
		s.drain(16000)
	}}, lines("client sent 20000 captured 16384 limit", "server got 4000", "server got 16000")},

	{"a payload over the limit in segments", script{do: func(c, s *end) {
		c.moved(unix.Writev(c.fd, c.segments(5000, 9000, 6000)))
		_, err := unix.Readv(s.fd, s.segments(100, 12000, 10000))
		must(err)
	}}, lines("client sent 20000 captured 16384 limit", "server got 20000 captured 16384 limit")},

	{"more segments than are followed", script{do: func(c, s *end) {
		var sizes []int
		for range 100 {
			sizes = append(sizes, 10)
		}
		c.moved(unix.Writev(c.fd, c.segments(sizes...)))
		s.read(1000)
	}}, lines("client sent 1000 captured 640 segments", "server got 1000")},

	{"a read that finds nothing", script{do: func(c, s *end) {
		must(unix.SetNonblock(s.fd, true))
		if _, err := unix.Read(s.fd, make([]byte, 10)); err != unix.EAGAIN {
			panic(err)
		}
		c.write(10)
		s.read(10)
	}}, lines("client sent 10", "server got 10")},

	{"a read that began before the write", script{do: func(c, s *end) {
		done := make(chan bool)
		go func() {
			s.read(100)
			close(done)
		}()
		c.write(100)
		<-done
	}}, lines("client sent 100", "server got 100")},

	{"MSG_PEEK, then recv", script{do: func(c, s *end) {
		c.write(100)
		_, _, err := unix.Recvfrom(s.fd, make([]byte, 100), unix.MSG_PEEK)
		must(err)
		s.read(100)
	}}, lines("client sent 100", "server got 100")},

	{"MSG_TRUNC leaves the buffer as it was", script{do: func(c, s *end) {
		c.write(100)
		_, _, err := unix.Recvfrom(s.fd, make([]byte, 100), unix.MSG_TRUNC)
		must(err)
	}}, lines("client sent 100", "server got 100 captured 0 discarded")},

	{"MSG_OOB is not of the stream", script{do: func(c, s *end) {
		c.write(10)
		must(unix.Send(c.fd, c.next(1), unix.MSG_OOB))
		s.read(10)
		_, _, err := unix.Recvfrom(s.fd, make([]byte, 1), unix.MSG_OOB)
		must(err)
	}}, lines("client sent 10", "client sent 1", "server got 10")},

	{"MSG_WAITALL", script{do: func(c, s *end) {
		done := make(chan error)
		go func() {
			_, _, err := unix.Recvfrom(s.fd, make([]byte, 200), unix.MSG_WAITALL)
			done <- err
		}()
		c.write(100)
		c.write(100)
		must(<-done)
	}}, lines("client sent 100", "client sent 100", "server got 200")},

	{"sendfile", script{do: func(c, s *end) {
		c.moved(unix.Sendfile(c.fd, file(c.next(100)), new(int64), 100))
		s.read(100)
	}}, lines("client sent 100 captured 0 splice", "server got 100")},

	{"splice out of a pipe", script{do: func(c, s *end) {
		var pipe [2]int
		must(unix.Pipe(pipe[:]))
		_, err := unix.Write(pipe[1], c.next(100))
		must(err)
		n, err := unix.Splice(pipe[0], nil, c.fd, nil, 100, 0)
		c.moved(int(n), err)
		s.read(100)
	}}, lines("client sent 100 captured 0 splice", "server got 100")},

	{"splice into a pipe is not seen, but missed", script{do: func(c, s *end) {
		var pipe [2]int
		must(unix.Pipe(pipe[:]))
		c.write(100)
		_, err := unix.Splice(s.fd, nil, pipe[1], nil, 100, 0)
		must(err)
		c.write(10)
		s.read(10)
	}}, lines("client sent 100", "client sent 10", "server missed 100", "server got 10")},

	{"sendmmsg and recvmmsg", script{do: func(c, s *end) {
		mmsg(unix.SYS_SENDMMSG, c.fd, c.segments(30, 70))
		mmsg(unix.SYS_RECVMMSG, s.fd, s.segments(40, 60))
	}}, lines("client sent 30 captured 0 mmsg", "client sent 70 captured 0 mmsg",
		"server got 40 captured 0 mmsg", "server got 60 captured 0 mmsg")},

	{"io_uring", script{do: func(c, s *end) {
		ring := newURing()
		ring.do(opSend, c.fd, c.next(100))
		ring.do(opRecv, s.fd, make([]byte, 100))
	}}, lines("client sent 100 captured 0 async", "server got 100 captured 0 async")},

	{"a buffer that the program never touched", script{do: func(c, s *end) {
		p, err := unix.Mmap(file(c.next(10000)), 0, 10000, unix.PROT_READ, unix.MAP_SHARED)
		must(err)
		_, err = unix.Write(c.fd, p)
		must(err)
		s.drain(10000)
	}}, lines("client sent 10000", "server got 10000")},

	{"a 32-bit task", script{do: func(c, s *end) {
		write32(c.fd)
		s.read(len(written32))
	}}, lines("client sent 5 captured 0 compat_task", "server got 5, wrong from 0 on")},

	{"IPv6", script{connect: tcp6, do: func(c, s *end) {
		c.write(100)
		s.read(100)
	}}, lines("client sent 100", "server got 100")},

	{"IPv4 over IPv6 sockets", script{connect: tcp4in6, do: func(c, s *end) {
		c.write(100)
		s.read(100)
	}}, lines("client sent 100", "server got 100")},

	{"a server that would speak MPTCP", script{connect: mptcpServer, do: func(c, s *end) {
		c.write(100)
		s.read(100)
		s.write(200)
		c.read(200)
	}}, lines("client sent 100", "client got 200", "server got 100", "server sent 200")},

	{"MPTCP at both ends", script{connect: mptcpBoth, do: func(c, s *end) {
		c.write(100)
		s.drain(100)
		s.write(200)
		c.drain(200)
	}}, lines("client sent 100", "client got 200", "server got 100", "server sent 200")},
}

func init() {
	for _, path := range paths {
		register(path.name, path.script)
	}
}

func TestPaths(t *testing.T) {
	t.Run("socklen", func(t *testing.T) { testPaths(t, socklen) })
}

func testPaths(t *testing.T, b backend) {
	src := openKernel(t, Options{}, b)
	for _, path := range paths {
		t.Run(path.name, func(t *testing.T) {
			need(t, path.name)
			p := cast(t, path.name)
			p.play()
			w := p.see(src, func(w *watch) bool {
				return strings.Count(w.data(), "\n") >= strings.Count(path.want, "\n") && w.data() != ""
			})
			if got := w.data(); got != path.want {
				t.Errorf("saw:\n%s\nwant:\n%s", got, path.want)
			}
			for _, e := range w.events {
				if e.Kind == Data && e.Missing != "compat_task" { // a child of the child
					checkProcess(t, &e, p.pid)
				}
			}
		})
	}
}

// file returns a file in memory that holds p.
func file(p []byte) int {
	fd, err := unix.MemfdCreate("perisco", 0)
	must(err)
	_, err = unix.Pwrite(fd, p, 0)
	must(err)
	return fd
}

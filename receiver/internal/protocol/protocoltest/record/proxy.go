package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/protocol/protocoltest"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// silence is after how long a server is taken to have said everything.
const silence = 150 * time.Millisecond

// live records what a client, or raw texts instead of one, and the server at to
// say to each other through a proxy at listen.
func live(listen, to string, raw texts, client []string, number int, linger bool, out, comment string) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	rec := &recorder{to: to, wanted: number, done: make(chan struct{})}
	go rec.accept(l)
	if len(raw) > 0 {
		err = speak(listen, raw, linger)
	} else {
		cmd := exec.Command(client[0], client[1:]...)
		cmd.Stderr = os.Stderr
		err = cmd.Run()
	}
	if err != nil {
		log.Printf("client: %v", err) // what it said is recorded all the same
	}
	select {
	case <-rec.done:
	case <-time.After(time.Second):
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.Write(out, comment)
}

// speak is the client of -raw.
func speak(addr string, raw []string, linger bool) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	buf := make([]byte, 64<<10)
	for i, s := range raw {
		if _, err := io.WriteString(conn, s); err != nil {
			return err
		}
		for {
			wait := silence
			if linger && i == len(raw)-1 {
				wait = 10 * time.Second
			}
			if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
				return err
			}
			if _, err := conn.Read(buf); errors.Is(err, os.ErrDeadlineExceeded) {
				break
			} else if err != nil {
				return nil
			}
		}
	}
	return nil
}

// A recorder is the proxy. It writes down one of its connections.
type recorder struct {
	to     string
	wanted int
	done   chan struct{} // closed when that connection has ended

	mu sync.Mutex
	protocoltest.Conversation
	began time.Time
}

func (r *recorder) accept(l net.Listener) {
	for n := 1; ; n++ {
		client, err := l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.to)
		if err != nil {
			log.Fatal(err)
		}
		go r.relay([2]*net.TCPConn{client.(*net.TCPConn), server.(*net.TCPConn)}, n == r.wanted)
	}
}

func (r *recorder) relay(conns [2]*net.TCPConn, wanted bool) {
	if wanted {
		r.began = time.Now()
	}
	var aborted bool
	var both sync.WaitGroup
	for side := stream.Client; side <= stream.Server; side++ {
		both.Go(func() {
			from, to := conns[side], conns[side.Peer()]
			buf := make([]byte, 64<<10)
			for {
				n, err := from.Read(buf)
				r.mu.Lock()
				at := time.Since(r.began).Truncate(time.Microsecond)
				switch {
				case !wanted:
				case n > 0:
					r.Send(side, buf[:n], at)
				case errors.Is(err, io.EOF):
					r.End(side, at)
				case errors.Is(err, syscall.ECONNRESET):
					aborted = true
				}
				r.mu.Unlock()
				if err != nil {
					if errors.Is(err, syscall.ECONNRESET) {
						_ = to.SetLinger(0) // pass the reset on
						to.Close()
						from.Close()
						return
					}
					_ = to.CloseWrite()
					return
				}
				if _, err := to.Write(buf[:n]); err != nil {
					// The reader of the other direction finds out why.
					continue
				}
			}
		})
	}
	both.Wait()
	conns[0].Close()
	conns[1].Close()
	if wanted {
		r.mu.Lock()
		r.Close(aborted, time.Since(r.began).Truncate(time.Microsecond))
		r.mu.Unlock()
		close(r.done)
	}
	if aborted {
		fmt.Fprintln(os.Stderr, "connection was reset")
	}
}

// Command record writes down what a client and a server say to each other.
//
//	record -to 127.0.0.1:8081 -out case.txtar -comment "..." -- curl http://127.0.0.1:8080/
//	record -to 127.0.0.1:8081 -out case.txtar -raw 'GET / HTTP/1.0\r\n\r\n'
//
// It stands between them as a TCP proxy, so that every read of its own becomes
// one write of the conversation. With -raw it is the client, too: it writes each
// given text in one go and waits until the server falls silent.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/protocol/protocoltest"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// silence is after how long a server is taken to have said everything.
const silence = 150 * time.Millisecond

type texts []string

func (t *texts) String() string { return strings.Join(*t, " ") }
func (t *texts) Set(s string) error {
	plain, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
	*t = append(*t, plain)
	return err
}

func main() {
	var raw texts
	listen := flag.String("listen", "127.0.0.1:8080", "where the client connects")
	to := flag.String("to", "", "where the server listens")
	out := flag.String("out", "", "file to write")
	comment := flag.String("comment", "", "what is recorded")
	number := flag.Int("connection", 1, "which one to write, if the client makes several")
	linger := flag.Bool("linger", false, "do not close after the last -raw, wait for the server to")
	serve := flag.String("serve", "", "do not record: be the server of the recordings here")
	flag.Var(&raw, "raw", "text to write in one go, quoted as in Go; may be repeated")
	flag.Parse()
	log.SetFlags(0)
	if *serve != "" {
		log.Fatal(peer(*serve))
	}

	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	rec := &recorder{to: *to, wanted: *number, done: make(chan struct{})}
	go rec.accept(l)
	if len(raw) > 0 {
		err = speak(*listen, raw, *linger)
	} else {
		cmd := exec.Command(flag.Arg(0), flag.Args()[1:]...)
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
	if err := rec.Write(*out, *comment); err != nil {
		log.Fatal(err)
	}
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

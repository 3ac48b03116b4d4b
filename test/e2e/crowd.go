package e2e

import (
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
)

// What each of a crowd asks for, and what it is told: 4 KiB.
var (
	crowdRequest = "GET /books/7 HTTP/1.1\r\nHost: books.example\r\nUser-Agent: crowd\r\nAccept: */*\r\n\r\n"
	crowdAnswer  = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4096\r\n\r\n" + strings.Repeat("x", 4096)
)

const (
	hands   = 16     // connections of a crowd that are in use at a time
	crowded = 18_000 // connections of a crowd at the most: fewer than it has ports, and may open files
)

// host is the role of a server that gives any number of connections its answer:
// <address>.
func host(args []string) error {
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			for answerWith(c, len(crowdRequest), crowdAnswer) == nil {
			}
		}()
	}
}

// crowd is the role of a client with any number of connections, which makes an
// exchange on each: <address> <connections>. Then it reads numbers of exchanges,
// makes them, each on any connection, and says so.
func crowd(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	connections := make([]net.Conn, n)
	err = byHands(func(hand int) error {
		for i := hand; i < n; i += hands {
			c, err := net.Dial("tcp", args[0])
			if err != nil {
				return err
			}
			connections[i] = c
			if err := exchangeOn(c); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	wanted, said := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for exchanges := 0; ; {
		if err := said.Encode(exchanges); err != nil {
			return err
		}
		if err := wanted.Decode(&exchanges); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		err := byHands(func(hand int) error {
			mine := (n - hand + hands - 1) / hands
			for range exchanges / hands {
				if mine == 0 {
					break
				}
				if err := exchangeOn(connections[hand+hands*rand.IntN(mine)]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

func exchangeOn(c net.Conn) error {
	if _, err := io.WriteString(c, crowdRequest); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, len(crowdAnswer)))
	return err
}

// byHands calls f for all hands at once.
func byHands(f func(hand int) error) error {
	var wg sync.WaitGroup
	errs := make([]error, hands)
	for hand := range hands {
		wg.Go(func() { errs[hand] = f(hand) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

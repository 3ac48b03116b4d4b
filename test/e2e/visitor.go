package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
)

// come is the role of a client that makes a number of connections to an
// address, one after the other by some hands, with a request on each:
// <address> <number> <those before>.
func come(args []string) error {
	const hands = 4
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	before, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	failed := make(chan error, hands)
	var wg sync.WaitGroup
	for hand := range hands {
		wg.Go(func() {
			for i := before + hand; i < before+n; i += hands {
				// Of one address the ports would run out: those of connections
				// that are over are free after a minute.
				block := i / 40_000
				local := net.IPv4(127, 1+byte(hand), byte(block>>8), byte(block))
				if err := knock(local, args[0]); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed
}

// knock makes one request on a connection of its own.
func knock(local net.IP, address string) error {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: local}, Timeout: patience}
	conn, err := d.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET /text/ HTTP/1.1\r\nHost: %s\r\n\r\n", address); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", address, resp.Status)
	}
	return nil
}

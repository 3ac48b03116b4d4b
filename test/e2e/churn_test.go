package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
)

// come is the role of a client that makes a number of connections to an
// address, one after the other by some hands, with a request on each.
func come(args []string) error {
	const hands = 4
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	failed := make(chan error, hands)
	var wg sync.WaitGroup
	for hand := range hands {
		wg.Go(func() {
			for i := range n / hands {
				// Of one address the ports would run out: those of connections
				// that are over are free after a minute.
				local := net.IPv4(127, 1+byte(hand), byte(i/10_000>>8), byte(i/10_000))
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

// forkStorm makes processes that make one connection each: a subshell is a
// process. It fails if one of them is not served.
const forkStorm = `
for ((i = 0; i < $2; i++)); do
	(
		exec 3<>"/dev/tcp/127.0.0.1/$1"
		printf 'GET /empty/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' >&3
		read -r answer <&3
		[[ $answer == *204* ]]
	) || exit 1
done`

// It makes 50,000 connections, or as many as PERISCO_CHURN says, and a process
// for every 25 of them.
func TestNothingIsKeptOfConnectionsAndProcessesThatAreOver(t *testing.T) {
	const (
		rounds = 10
		noise  = 24 << 20 // bytes by which two looks at a collector's memory differ
		others = 64       // connections that this machine may have open
	)
	connections := 50_000
	if n := os.Getenv("PERISCO_CHURN"); n != "" {
		var err error
		if connections, err = strconv.Atoi(n); err != nil {
			t.Fatalf("PERISCO_CHURN: %v", err)
		}
	}
	needCapture(t)
	nginx := startNginx(t, nginxSetup{}, 0)
	collector := startCollector(t, setup{Discard: true})
	run := func(cmd *exec.Cmd) {
		t.Helper()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: a client was not served: %v: %s", cmd.Args[0], err, out)
		}
	}
	var resident []int
	for range rounds {
		run(self(t, "visitor", nginx.address(), strconv.Itoa(connections/rounds)))
		run(exec.Command(program(t, "bash"), "-c", forkStorm, "storm", strconv.Itoa(nginx.port), strconv.Itoa(connections/rounds/25)))
		resident = append(resident, memory(t, collector.pid(), "VmRSS")>>20)
	}
	points := collector.scrape(t)
	t.Logf("resident after each of %d rounds, MiB: %d; %v exchanges, %v processes evicted, %v closing events lost", rounds, resident,
		counted(points, "receiver_perisco_exchanges"), counted(points, "receiver_perisco_evicted_processes"),
		counted(points, "receiver_perisco_losses", `reason="ring_full_state"`))
	if first, last := resident[1], resident[rounds-1]; last > first+noise>>20 {
		t.Errorf("the collector grew from %d to %d MiB", first, last)
	}
	collector.await(t, "end of the connections that are over", func() error {
		points := collector.scrape(t)
		kept := counted(points, "receiver_perisco_connections")
		lost := counted(points, "receiver_perisco_losses", `reason="ring_full_state"`)
		if kept > others+lost {
			return fmt.Errorf("%v are kept, the ends of %v were lost", kept, lost)
		}
		return nil
	})
	collector.end(t)
}

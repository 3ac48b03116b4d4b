package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

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
// for every tenth of them with one more.
func TestNothingIsKeptOfConnectionsAndProcessesThatAreOver(t *testing.T) {
	const (
		rounds = 10
		noise  = 24 << 20 // bytes by which two looks at a collector's memory differ
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
	collector := startCollector(t, setup{Discard: true, Options: fmt.Sprintf("{filter: {include: {ports: [%d]}}}", nginx.port)})
	run := func(cmd *exec.Cmd) {
		t.Helper()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: a client was not served: %v: %s", cmd.Args[0], err, out)
		}
	}
	var resident []int
	began, requests := time.Now(), 0
	for round := range rounds {
		visits := connections / rounds
		forks := visits / 10
		run(self(t, "visitor", nginx.address(), strconv.Itoa(visits), strconv.Itoa(round*visits)))
		run(exec.Command(program(t, "bash"), "-c", forkStorm, "storm", strconv.Itoa(nginx.port), strconv.Itoa(forks)))
		requests += visits + forks
		resident = append(resident, memory(t, collector.pid(), "VmRSS")>>20)
	}
	took := time.Since(began)
	if first, last := resident[1], resident[rounds-1]; last > first+noise>>20 {
		t.Errorf("the collector grew from %d to %d MiB", first, last)
	}
	// Of what is over nothing is kept, but what nobody knows to be over.
	var points map[string]float64
	collector.await(t, "end of what is over", func() error {
		points = collector.scrape(t)
		kept, lost := counted(points, "receiver_perisco_connections"), counted(points, "receiver_perisco_losses", `reason="ring_full_state"`)
		if kept > lost {
			return fmt.Errorf("%v connections are kept, the ends of %v were lost", kept, lost)
		}
		// How many exchanges are open is told as of the engine's last tick; those that have ended since would count twice.
		if open := counted(points, "receiver_perisco_open_exchanges"); open > kept {
			return fmt.Errorf("%v exchanges are open on %v connections", open, kept)
		}
		return nil
	})
	most := memory(t, collector.pid(), "VmHWM") >> 20
	collector.end(t)
	told := int(counted(points, "receiver_perisco_exchanges") + counted(points, "receiver_perisco_open_exchanges"))
	if lost := collector.lostRequests(t); told+lost != 2*requests {
		t.Errorf("%d exchanges and %d requests lost, want twice %d", told, lost, requests)
	}
	t.Logf("%d requests in %s; resident after each of %d rounds: %d MiB, at most %d; %d exchanges, %v events lost, %v processes evicted",
		requests, took.Round(time.Second), rounds, resident, most, told,
		counted(points, "receiver_perisco_losses", `reason="ring_full_data"`), counted(points, "receiver_perisco_evicted_processes"))
}

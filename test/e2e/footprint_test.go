package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// plain is the same collector with another receiver, to which nobody speaks.
var plain = setup{Receiver: "otlp", Options: `{protocols: {grpc: {endpoint: "127.0.0.1:0"}}}`}

func TestAQuietCollectorIsSmall(t *testing.T) {
	const (
		budget = 10 << 20 // bytes that the receiver may add
		noise  = 3 << 20  // by which two runs of the same collector differ
	)
	with := startCollector(t, setup{})
	without := startCollector(t, plain)
	// Both have their garbage of starting behind them when they stop growing
	// and shrinking; the middle of some looks is what they keep.
	const looks, pause = 9, 250 * time.Millisecond
	var quiet, other []int
	for range looks {
		time.Sleep(pause)
		quiet = append(quiet, memory(t, with.pid(), "VmRSS"))
		other = append(other, memory(t, without.pid(), "VmRSS"))
	}
	slices.Sort(quiet)
	slices.Sort(other)
	more := quiet[looks/2] - other[looks/2]
	t.Logf("resident: %.1f MB, %.1f MB without the receiver: %+.1f MB",
		float64(quiet[looks/2])/1e6, float64(other[looks/2])/1e6, float64(more)/1e6)
	if more > budget+noise {
		t.Errorf("the receiver adds %d bytes to a quiet collector, want at most %d", more, budget)
	}
}

// BenchmarkFootprint measures what a collector takes on a node that is quiet,
// and on busier ones, while it hands everything on over OTLP: its CPU time, in
// percent of a core, its resident memory, and the most that was.
func BenchmarkFootprint(b *testing.B) {
	needCapture(b)
	const long = 10 * time.Second
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer sink.Close()
	nginx := startNginx(b, nginxSetup{}, 0)
	for _, node := range []struct{ exchanges, connections int }{{0, 0}, {100, 4}, {1000, 8}, {10_000, 40}} {
		b.Run(fmt.Sprint(node.exchanges), func(b *testing.B) {
			collector := startCollector(b, setup{Discard: true, Export: sink.URL})
			for b.Loop() {
				before := cpuTime(b, []int{collector.pid()})
				requests := 0
				if node.connections == 0 {
					time.Sleep(long)
				} else {
					// Each is two exchanges: of the client, and of the server.
					b.Setenv("DELAY", fmt.Sprint(2*1000*node.connections/node.exchanges)) // milliseconds
					_, requests = wrk(b, "-t1", fmt.Sprint("-c", node.connections), fmt.Sprint("-d", long), "-s", "testdata/paced.lua", nginx.url())
				}
				spent := cpuTime(b, []int{collector.pid()}) - before
				b.ReportMetric(0, "ns/op") // which the pace decides
				b.ReportMetric(2*float64(requests)/long.Seconds(), "exchanges/s")
				b.ReportMetric(100*spent.Seconds()/long.Seconds(), "%core")
				b.ReportMetric(float64(memory(b, collector.pid(), "VmRSS"))/1e6, "MB")
				b.ReportMetric(float64(memory(b, collector.pid(), "VmHWM"))/1e6, "peak-MB")
				if requests > 0 {
					b.ReportMetric(100*max(0, 1-collector.awaitQuiet(b)/float64(2*requests)), "%lost")
				}
			}
			collector.stop(b)
		})
	}
}

// memory returns a line of /proc/<pid>/status, in bytes: VmRSS is the resident
// memory of a process, VmHWM the most that it was.
func memory(t testing.TB, pid int, line string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), line+":")
	figure, _, _ := strings.Cut(rest, "kB")
	kb, err := strconv.Atoi(strings.TrimSpace(figure))
	if err != nil {
		t.Fatalf("%s of %d: %v", line, pid, err)
	}
	return kb << 10
}

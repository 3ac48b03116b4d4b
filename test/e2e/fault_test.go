package e2e

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"
)

// steady begins requests over kept connections, for about so long.
func steady(t *testing.T, l *load, url, name string, long time.Duration) {
	t.Helper()
	const pause, hands = 2 * time.Millisecond, 8
	requests := make([]request, hands*int(long/pause))
	for i := range requests {
		requests[i] = request{Method: "GET", URI: fmt.Sprintf("/file/%s/%d", name, i)}
	}
	l.begin(t, plan{URL: url, Requests: requests, Pause: pause})
}

// full returns how many events found no room in the ring since its metrics were
// before.
func (c *collector) full(t *testing.T, before map[string]float64) float64 {
	t.Helper()
	const metric, reason = "receiver_perisco_losses", `reason="ring_full_data"`
	return counted(c.scrape(t), metric, reason) - counted(before, metric, reason)
}

// checkResumed checks that each request that began after since is told once.
// Events may have been lost since, by what the rest of the machine did: then
// some are told, and none twice.
func (c *collector) checkResumed(t *testing.T, port int, outcomes []outcome, since time.Time, lost float64) {
	t.Helper()
	for role, ss := range map[string]spans{"server": c.served(port), "client": c.asked(port)} {
		told := make(map[exchange]int)
		for _, x := range ss.exchanges() {
			told[x]++
		}
		var wrong findings
		late, seen := 0, 0
		for _, o := range outcomes {
			if !o.Began.After(since) {
				continue
			}
			late++
			n := told[o.exchange]
			if n > 1 || n == 0 && lost == 0 {
				wrong.addf("%s, %s later: %d spans", o.exchange, o.Began.Sub(since), n)
			}
			seen += n
		}
		wrong.report(t, role+" spans that are not there once")
		if seen == 0 {
			t.Errorf("%s spans of none of %d requests, of %d in all", role, late, len(outcomes))
		}
		t.Logf("%s spans of %d requests of %d, %v events lost meanwhile", role, seen, late, lost)
	}
}

func TestAKilledCollectorLeavesNothingInTheKernel(t *testing.T) {
	needCapture(t)
	nginx, load := startNginx(t, nginxSetup{Sendfile: true}, 0), startLoad(t, 8)
	first := startCollector(t, setup{})
	steady(t, load, nginx.url(), "kill", 4*time.Second)
	objects := kernelObjects(t, first.pid())
	for _, kind := range []string{"prog_id", "map_id", "link_id"} {
		if !slices.ContainsFunc(objects, func(o kernelObject) bool { return o.kind == kind && o.exists(t) }) {
			t.Fatalf("the collector holds no %s: %v", kind, objects)
		}
	}
	first.kill(t)
	for _, o := range objects {
		eventually(t, fmt.Sprintf("end of %s %d after its collector was killed", o.kind, o.id), func() bool { return !o.exists(t) })
	}

	second := startCollector(t, setup{})
	ready := time.Now()
	outcomes := load.report(t) // over the same connections; none of them failed
	second.settle(t)
	lost := second.full(t, second.before)
	second.end(t)
	second.checkResumed(t, nginx.port, outcomes, ready, lost)
}

func TestWhatIsOpenWhenTheCollectorIsStoppedIsTold(t *testing.T) {
	const silent = 20
	needCapture(t)
	site, load := startGo(t, "127.0.0.1", freePort(t)), startLoad(t, silent)
	collector := startCollector(t, setup{})
	requests := make([]request, silent)
	for i := range requests {
		requests[i] = request{Method: "GET", URI: fmt.Sprintf("/silence?%d", i)}
	}
	load.begin(t, plan{URL: site.url(), Requests: requests})
	other := startLoad(t, 8)
	steady(t, other, startNginx(t, nginxSetup{}, 0).url(), "stop", 2*time.Second)
	collector.await(t, "all requests under way", func() error {
		if n := counted(collector.scrape(t), "receiver_perisco_open_exchanges"); n < 2*silent {
			return fmt.Errorf("%v are", n)
		}
		return nil
	})
	collector.end(t)
	other.report(t)

	var want []exchange
	for _, r := range requests {
		want = append(want, exchange{r.Method, r.URI, 0})
	}
	for role, ss := range map[string]spans{"server": collector.served(site.port), "client": collector.asked(site.port)} {
		checkSame(t, role+" spans of what was open", ss.exchanges(), want)
		for _, s := range ss {
			// That the collector stopped is no failure of theirs.
			if truncated, ok := s.Attributes().Get("perisco.truncated"); !ok || !truncated.Bool() || text(s.Attributes(), "error.type") != "" {
				t.Errorf("%s: %v", s.what(), s.Attributes().AsRaw())
			}
		}
	}
}

func TestACollectorThatStoodStillCountsWhatItMissedAndGoesOn(t *testing.T) {
	t.Parallel() // with another that waits
	const stall = 5 * time.Second
	needCapture(t)
	nginx, load := startNginx(t, nginxSetup{}, 0), startLoad(t, 8)
	collector := startCollector(t, setup{Options: "{capture: {ring_buffer_size: 1048576}}"})
	steady(t, load, nginx.url(), "stall", stall+3*time.Second)
	collector.signal(t, syscall.SIGSTOP)
	time.Sleep(stall)
	collector.signal(t, syscall.SIGCONT)
	collector.await(t, "losses that are counted", func() error {
		if counted(collector.scrape(t), "receiver_perisco_losses", `reason="ring_full_data"`) == 0 {
			return fmt.Errorf("none are")
		}
		return nil
	})
	collector.settle(t)
	since, before := time.Now(), collector.scrape(t)
	outcomes := load.report(t) // none of them failed
	collector.settle(t)
	lost := collector.full(t, before)
	collector.end(t)
	collector.checkResumed(t, nginx.port, outcomes, since, lost)
}

func TestABackendThatIsGoneHarmsNoOther(t *testing.T) {
	needCapture(t)
	nginx, load := startNginx(t, nginxSetup{Sendfile: true}, 0), startLoad(t, 8)
	collector := startCollector(t, setup{Export: "http://" + loopback(freePort(t))}) // where nobody listens
	since := time.Now()
	steady(t, load, nginx.url(), "gone", time.Second)
	outcomes := load.report(t)
	collector.settle(t)
	collector.checkAccounts(t)
	lost := collector.full(t, collector.before)
	collector.stop(t)
	collector.traces.read(t)
	collector.checkResumed(t, nginx.port, outcomes, since, lost)
}

func TestWhatMemoryLimiterRefusesIsCounted(t *testing.T) {
	t.Parallel() // with another that waits
	needCapture(t)
	nginx, load := startNginx(t, nginxSetup{Sendfile: true}, 0), startLoad(t, 8)
	collector := startCollector(t, setup{Discard: true, Limit: 8}) // less than it has at all times
	steady(t, load, nginx.url(), "refused", time.Second)
	load.report(t)
	collector.await(t, "items that are counted as refused", func() error {
		if counted(collector.scrape(t), "receiver_perisco_dropped_items", `reason="refused"`) == 0 {
			return fmt.Errorf("none are")
		}
		return collector.healthy()
	})
	points := collector.scrape(t)
	if n := counted(points, "receiver_accepted_spans", `receiver="perisco"`); n != 0 {
		t.Errorf("%v spans were accepted: that tests nothing", n)
	}
	collector.stop(t)
}

func TestAForkStormDisturbsNobody(t *testing.T) {
	const storm = "for ((i = 0; i < 3000; i++)); do (exec true) & (:) & wait; done"
	needCapture(t)
	nginx, load := startNginx(t, nginxSetup{Sendfile: true}, 0), startLoad(t, 8)
	collector := startCollector(t, setup{})
	since := time.Now()
	steady(t, load, nginx.url(), "forks", 2*time.Second)
	forks := start(t, exec.Command(program(t, "bash"), "-c", storm))
	outcomes := load.report(t)
	forks.signal(t, syscall.SIGTERM)
	collector.settle(t)
	lost := collector.full(t, collector.before)
	collector.end(t)
	collector.checkResumed(t, nginx.port, outcomes, since, lost)
}

func TestAPIDThatIsUsedAgainIsAnotherProcess(t *testing.T) {
	const (
		latest = "/proc/sys/kernel/ns_last_pid" // the next is the first behind it that is free
		tries  = 100                            // others fork, too
	)
	needCapture(t)
	if _, err := os.Stat(latest); err != nil {
		t.Skip("needs a kernel with CONFIG_CHECKPOINT_RESTORE: ", err)
	}
	site := startGo(t, "127.0.0.1", freePort(t))
	collector := startCollector(t, setup{})
	pid, _ := curl(t, site.url()+"/answer/200/0/first")
	collector.await(t, "span of the first", func() error {
		collector.traces.read(t)
		if n := len(collector.asked(site.port)); n != 1 {
			return fmt.Errorf("%d spans", n)
		}
		return nil
	})
	said := fmt.Sprintf(`exec 3<>/dev/tcp/127.0.0.1/%d; printf "GET /answer/200/0/$$ HTTP/1.1\r\nHost: a\r\n\r\n" >&3; read -r answer <&3`, site.port)
	again := 0
	for range tries {
		if err := os.WriteFile(latest, fmt.Append(nil, pid-1), 0); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program(t, "bash"), "-c", said)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("bash: %v: %s", err, out)
		}
		if again = cmd.Process.Pid; again == pid {
			break
		}
	}
	if again != pid {
		t.Fatalf("the PID %d was not given again", pid)
	}
	collector.finish(t)

	programs := make(map[string]string)
	for _, s := range spans(collector.traces.items).of(pid) {
		programs[s.uri()] = text(s.resource, "process.executable.name")
	}
	want := map[string]string{"/answer/200/0/first": "curl", fmt.Sprint("/answer/200/0/", pid): "bash"}
	if !maps.Equal(programs, want) {
		t.Errorf("spans of the PID %d: %v, want %v", pid, programs, want)
	}
}

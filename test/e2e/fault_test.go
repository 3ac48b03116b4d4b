package e2e

import (
	"fmt"
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

// checkResumed checks that each request that began after since is told once.
func (c *collector) checkResumed(t *testing.T, port int, outcomes []outcome, since time.Time) {
	t.Helper()
	for role, ss := range map[string]spans{"server": c.served(port), "client": c.asked(port)} {
		told := make(map[exchange]int)
		for _, x := range ss.exchanges() {
			told[x]++
		}
		var missing findings
		late := 0
		for _, o := range outcomes {
			if !o.Began.After(since) {
				continue
			}
			late++
			if n := told[o.exchange]; n != 1 {
				missing.addf("%s, %s later: %d spans", o.exchange, o.Began.Sub(since), n)
			}
		}
		if missing.report(t, role+" spans that are not there once"); late == 0 {
			t.Errorf("no request of %d began after %s: that tests nothing", len(outcomes), since)
		}
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
	second.finish(t)
	second.checkResumed(t, nginx.port, outcomes, ready)
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
	since := time.Now()
	outcomes := load.report(t) // none of them failed
	collector.finish(t)
	collector.checkResumed(t, nginx.port, outcomes, since)
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
	collector.stop(t)
	collector.traces.read(t)
	collector.checkResumed(t, nginx.port, outcomes, since)
}

func TestWhatMemoryLimiterRefusesIsCounted(t *testing.T) {
	const retries = 10 * time.Second
	needCapture(t)
	nginx, load := startNginx(t, nginxSetup{Sendfile: true}, 0), startLoad(t, 8)
	collector := startCollector(t, setup{Discard: true, Limit: 8}) // less than it has at all times
	steady(t, load, nginx.url(), "refused", retries)
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
	if n := counted(points, "receiver_perisco_losses", `reason="ring_full_data"`) - counted(collector.before, "receiver_perisco_losses", `reason="ring_full_data"`); n != 0 {
		t.Errorf("%v events found no room although only the pipeline refused", n)
	}
	collector.stop(t)
}

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"
)

// Whatever others do to servers and to each other, those who mean well are seen
// as ever, and the collector stays as it is.
func TestHostilePeersHarmNobodysSpans(t *testing.T) {
	const (
		long   = 4 * time.Second
		n      = 700
		budget = 128 << 20 // bytes that the attacks may cost
	)
	collector := startCollector(t, setup{Options: "{capture: {ring_buffer_size: 16777216}}"})
	victim, nghttpd, golang := startGo(t, "127.0.0.1", freePort(t)), startNghttpd(t, 13), startGo(t, "127.0.0.1", freePort(t))
	load := startLoad(t, 2)
	quiet := memory(t, collector.pid(), "VmHWM")

	cmd := self(t, "attacker", fmt.Sprint(long), victim.address(), nghttpd.address())
	report, err := os.CreateTemp(t.TempDir(), "report")
	if err != nil {
		t.Fatal(err)
	}
	defer report.Close()
	cmd.Stdout = report
	attacker := start(t, cmd)
	want := load.run(t, golang.url(), answers(n))
	<-attacker.done
	var writes map[string]int
	if text, err := os.ReadFile(report.Name()); err != nil || json.Unmarshal(text, &writes) != nil {
		t.Fatalf("the attacker says %q: %v", text, err)
	}
	for _, a := range attacks {
		if writes[a.Name] == 0 {
			t.Errorf("%s: it was not carried out", a.Name)
		}
	}
	collector.settle(t)

	most := memory(t, collector.pid(), "VmHWM")
	fields, err := statFields(fmt.Sprintf("/proc/%d/stat", collector.pid()))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("writes: %v; collector: %s and %s ticks of user and system time, %.1f MB at most, %.1f MB before", writes, fields[11], fields[12], float64(most)/1e6, float64(quiet)/1e6)
	if most-quiet > budget {
		t.Errorf("the collector has grown by %d bytes, want at most %d", most-quiet, budget)
	}
	points := collector.scrape(t)
	for _, reason := range []string{"ring_full_data", "ring_full_state"} {
		if lost := counted(points, "receiver_perisco_losses", `reason="`+reason+`"`); lost != 0 {
			t.Errorf("%s: %v events lost", reason, lost)
		}
	}
	collector.end(t)
	checkSame(t, "server spans", collector.served(golang.port).exchanges(), want)
	checkSame(t, "client spans", collector.asked(golang.port).exchanges(), want)
	var cut findings
	for _, s := range append(collector.served(golang.port), collector.asked(golang.port)...) {
		if _, ok := s.Attributes().Get("perisco.truncated"); ok {
			cut.addf("%s", s.what())
		}
	}
	cut.report(t, "spans of which something is missing")
}

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestTheBookstoreRefusesWhatItDoesNotKnowBeforeItStarts(t *testing.T) {
	for _, test := range []struct {
		flags, port string
		want        string
	}{
		{"-rats 10", "7070", "no option, or no number behind it: -rats"},
		{"-rounds 1 -rate=0", "7070", "no option, or no number behind it: -rate=0"},
		{"-shoppers", "7070", "no option, or no number behind it: -shoppers"},
		{"-rounds 1", "65530", "BOOKSTORE_PORT=65530: want"},
		{"-rounds 1", "http", "BOOKSTORE_PORT=http: want"},
	} {
		t.Run(fmt.Sprint(test.flags, " at ", test.port), func(t *testing.T) {
			cmd := exec.Command("../../examples/bookstore/run", append([]string{"--no-collector"}, strings.Fields(test.flags)...)...)
			cmd.Env = append(os.Environ(), "BOOKSTORE_PORT="+test.port)
			out, err := cmd.CombinedOutput()
			if _, exited := err.(*exec.ExitError); !exited || !strings.HasPrefix(string(out), test.want) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

func TestTheBookstore(t *testing.T) {
	const rounds, rate = 3, 30
	collector := startCollector(t, setup{})
	store := startBookstore(t, rounds, rate)
	purchases := store.close(t)
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)

	var want []hop
	for _, p := range purchases {
		want = append(want, p.hops()...)
	}
	var seen spans
	for port := store.port; port < store.database; port++ {
		seen = slices.Concat(seen, collector.served(port), collector.asked(port))
	}
	checkSame(t, "both ends of exchanges in the trace of their purchase", seen.hops(), want)
	checkSpans(t, seen)
	checkRecords(t, seen, collector.logs.items)

	// Every sort of error there is.
	outcomes := make(map[string]bool)
	for _, s := range seen {
		outcomes[text(s.Attributes(), "error.type")] = true
	}
	for _, failure := range strings.Fields("400 402 404 409 410 500 NOT_FOUND ALREADY_EXISTS RESOURCE_EXHAUSTED FAILED_PRECONDITION INVALID_ARGUMENT UNKNOWN") {
		if !outcomes[failure] {
			t.Errorf("no span with error.type %s", failure)
		}
	}

	// The database's side of it all.
	served, asked := collector.served(store.database), collector.asked(store.database)
	checkSame(t, "commands that the database got", served.statements(), asked.statements())
	for service, some := range map[string][]statement{
		"catalogue":       {{"SELECT books", ""}, {"PREPARE SELECT books", ""}, {"PREPARE SELECT reviews", "1146"}},
		"recommendations": {{"SELECT books", ""}, {"SELECT books SELECT orders SELECT", ""}},
		"orders":          {{"START TRANSACTION", ""}, {"INSERT orders", ""}, {"INSERT orders", "1062"}, {"ROLLBACK", ""}, {"COMMIT", ""}},
	} {
		have := asked.where(func(s span) bool { return s.service() == service }).statements()
		for _, s := range some {
			if !slices.Contains(have, s) {
				t.Errorf("%s: no %q among %q", service, s, slices.Compact(have))
			}
		}
	}
	for _, s := range served {
		if s.service() != "mariadbd" {
			t.Errorf("%s: by %s, want mariadbd", s.Name(), s.service())
		}
	}
}

package exchange_test

import (
	"strings"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
)

func TestTraceparent(t *testing.T) {
	const id, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for _, c := range []struct {
		name, value string
		valid       bool
	}{
		{"version 00", "00-" + id + "-" + span + "-01", true},
		{"not sampled", "00-" + id + "-" + span + "-00", true},
		{"a later version may append", "cc-" + id + "-" + span + "-01-what-the-future", true},
		{"a later version as long as 00", "cc-" + id + "-" + span + "-01", true},
		{"version 00 may not append", "00-" + id + "-" + span + "-01-x", false},
		{"a later version appends behind a dash only", "cc-" + id + "-" + span + "-01x", false},
		{"version ff", "ff-" + id + "-" + span + "-01", false},
		{"zero trace id", "00-" + strings.Repeat("0", 32) + "-" + span + "-01", false},
		{"zero parent id", "00-" + id + "-" + strings.Repeat("0", 16) + "-01", false},
		{"upper case", "00-" + strings.ToUpper(id) + "-" + span + "-01", false},
		{"not hexadecimal", "00-" + id[:31] + "g-" + span + "-01", false},
		{"short", "00-" + id + "-" + span, false},
		{"empty", "", false},
		{"other separators", "00_" + id + "_" + span + "_01", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tr exchange.Trace
			if ok := tr.SetParent([]byte(c.value)); ok != c.valid {
				t.Fatalf("valid = %v, want %v", ok, c.valid)
			}
			if !c.valid {
				if tr.ID.IsEmpty() != true || tr.Flags != 0 {
					t.Error("an invalid value left something behind")
				}
				return
			}
			if tr.ID.String() != id || tr.Parent.String() != span {
				t.Errorf("got %s, %s", tr.ID, tr.Parent)
			}
		})
	}
}

func TestTracestateIsJoinedOrDroppedNeverCut(t *testing.T) {
	var tr exchange.Trace
	tr.AddState([]byte("a=1"))
	tr.AddState([]byte("b=2,c=3"))
	if got := string(tr.State); got != "a=1,b=2,c=3" {
		t.Errorf("state = %q", got)
	}
	tr.AddState([]byte("d=" + strings.Repeat("x", 512)))
	if got := string(tr.State); got != "a=1,b=2,c=3" {
		t.Errorf("state = %q", got)
	}
	if tr.Reset(); len(tr.State) != 0 || cap(tr.State) == 0 {
		t.Error("reset must empty the state and keep its memory")
	}
}

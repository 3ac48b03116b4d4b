//go:build linux && (amd64 || arm64)

package capture

import (
	"maps"
	"slices"
	"testing"
)

// attempts are as many as a virtual machine of two emulated processors needs where
// threads crowd in programs that can be preempted.
const attempts = 20

// playWhole plays a script to its end, again if something was lost meanwhile, and
// counted: where the kernel can preempt programs it does not run one that another
// task is in on the same CPU; and others may fill the ring while the script plays
// and nobody reads.
func playWhole(t *testing.T, src *shard, name string) (*player, *watch) {
	t.Helper()
	for range attempts {
		before := losses(src)
		p := cast(t, name)
		p.play()
		w := p.see(src, (*watch).over)
		after := losses(src)
		if maps.Equal(before, after) {
			return p, w
		}
		t.Logf("%v were lost before, and now %v; again", before, after)
	}
	t.Fatal("again and again")
	return nil, nil
}

// playCopied is playWhole, and once more if memory could not be read: programs do not
// wait for a page that the kernel is about to move, as where it makes a huge one of
// many. That is rare: a fault that comes twice in a row is ours.
func playCopied(t *testing.T, src *shard, name string) *watch {
	t.Helper()
	for range 2 {
		_, w := playWhole(t, src, name)
		if !slices.ContainsFunc(w.events, func(e Event) bool { return e.Missing == "fault" }) {
			return w
		}
		t.Log("memory could not be read; again")
	}
	t.Fatal("memory could not be read, twice in a row")
	return nil
}

// needWhole is for what cannot be played again.
func needWhole(t *testing.T, src *shard) {
	t.Helper()
	if n := losses(src)["recursion"]; n > 0 {
		t.Skip("runs of programs were left out, and counted:", n)
	}
}

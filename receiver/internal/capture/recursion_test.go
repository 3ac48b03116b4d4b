//go:build linux && (amd64 || arm64)

package capture

import "testing"

// attempts are as many as a virtual machine of two emulated processors needs where
// threads crowd in programs that can be preempted.
const attempts = 20

// playWhole plays a script to its end, again if the kernel left a run of a
// program out and counted that: where it can preempt programs, it does not run
// one that another task is in on the same CPU.
func playWhole(t *testing.T, src Source, name string) (*player, *watch) {
	t.Helper()
	for range attempts {
		before := losses(src)["recursion"]
		p := cast(t, name)
		p.play()
		w := p.see(src, (*watch).over)
		left := losses(src)["recursion"] - before
		if left == 0 {
			return p, w
		}
		t.Logf("%d runs of programs were left out; again", left)
	}
	t.Fatal("again and again")
	return nil, nil
}

// needWhole is for what cannot be played again.
func needWhole(t *testing.T, src Source) {
	t.Helper()
	if n := losses(src)["recursion"]; n > 0 {
		t.Skip("runs of programs were left out, and counted:", n)
	}
}

//go:build linux && (amd64 || arm64)

package capture

import (
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

var ignored = register("a flow to ignore", script{do: func(c, s *end) {
	c.write(100)
	s.read(100)
	pause()
	c.write(200)
	s.read(200)
	c.close()
	s.close()
}})

func TestIgnoredFlowsReportNoMoreData(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		src := openKernel(t, Options{}, b)
		p := cast(t, ignored)
		p.play()
		p.see(src, func(w *watch) bool { return len(w.events) == 4 })
		src.Ignore(p.client)
		p.play()
		w := p.see(src, (*watch).over)
		needWhole(t, src)
		if got, want := w.of(stream.Client), lines("opened", "sent 100", "missed 200", "ended", "closed"); got != want {
			t.Errorf("client:\n%s\nwant:\n%s", got, want)
		}
		if got, want := w.of(stream.Server), lines("opened", "got 100", "got 200", "ended", "closed"); got != want {
			t.Errorf("server:\n%s\nwant:\n%s", got, want)
		}
		if n := losses(src)["ignored"]; n != 1 {
			t.Errorf("%d events ignored, want 1", n)
		}
	})
}

var skipped = register("bytes to skip", script{do: func(c, s *end) {
	c.write(100)
	s.read(100)
	pause()
	c.write(2000)
	c.write(3000)
	c.write(400)
	s.drain(2000)
	s.drain(3400)
	c.close()
	s.close()
}})

func TestSkippedBytesAreCountedAndNotCopied(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		src := openKernel(t, Options{}, b)
		p := cast(t, skipped)
		p.play()
		first := p.see(src, func(w *watch) bool { return len(w.events) == 4 }).events
		for _, e := range first {
			switch {
			case e.Flow == p.client && e.Kind == Data:
				src.Skip(p.client, true, e.Seq+e.Len+4999) // ends within the second write
			case e.Flow == p.server && e.Kind == Data:
				src.Skip(p.server, false, e.Seq+e.Len+5400)
				src.Skip(p.server, true, e.Ack+5400) // must not matter
			}
		}
		p.play()
		w := p.see(src, (*watch).over)
		needWhole(t, src)
		if got, want := w.of(stream.Client), lines("opened", "sent 100",
			"sent 2000 captured 0 skipped", "sent 3000", "sent 400", "ended", "closed"); got != want {
			t.Errorf("client:\n%s\nwant:\n%s", got, want)
		}
		if got, want := w.of(stream.Server), lines("opened", "got 100",
			"got 2000 captured 0 skipped", "got 3400 captured 0 skipped", "ended", "closed"); got != want {
			t.Errorf("server:\n%s\nwant:\n%s", got, want)
		}
		policies := src.(*kernel).policies
		if word := policies.slots[uint64(p.client)%uint64(len(policies.slots))].SkipOut; word != 0 {
			t.Errorf("a skip that is over still stands: %#x", word)
		}
	})
}

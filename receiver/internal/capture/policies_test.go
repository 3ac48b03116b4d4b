//go:build linux && (amd64 || arm64)

package capture

import (
	"slices"
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
		p.begin(src)
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
		if n := src.Ignored(); n != 1 {
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
		first := p.begin(src)
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
		policies := src.policies
		if word := policies.slots[uint64(p.client)%uint64(len(policies.slots))].SkipOut; word != 0 {
			t.Errorf("a skip that is over still stands: %#x", word)
		}
	})
}

const quietWrites = 300

var quiet = register("many writes to skip", script{do: func(c, s *end) {
	c.write(100)
	s.read(100)
	pause()
	for range quietWrites {
		c.write(100)
		s.read(100)
	}
	s.write(10)
	c.read(10)
	c.write(100)
	c.write(100)
	c.write(50)
	s.drain(250)
	c.close()
	s.close()
}})

func TestOfWhatIsSkippedOnlyTurnsAndTheEndAreToldAndThatItGoesOn(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		src := openKernel(t, Options{}, b)
		p := cast(t, quiet)
		for _, e := range p.begin(src) {
			if e.Kind == Data && e.Out {
				src.Skip(e.Flow, true, e.Seq+e.Len+100*(quietWrites+2))
			}
		}
		p.play()
		w := p.see(src, (*watch).over)
		needWhole(t, src)
		skips, bytes := 0, uint32(0)
		for _, e := range w.events {
			if e.Flow != p.client || e.Kind != Data || !e.Out {
				continue
			}
			if bytes += e.Len; e.Missing == "skipped" {
				skips++
			}
		}
		const told = 3 // the first, one that begins a turn, and the last
		if skips < told || skips >= told+quietWrites/2 {
			t.Errorf("%d writes that are skipped were told of, want %d and few more", skips, told)
		}
		if all := uint32(100 * (quietWrites + 3)); bytes >= all {
			t.Errorf("%d bytes were told of, want less than %d", bytes, all)
		}
		sent := slices.DeleteFunc(slices.Clone(w.events), func(e Event) bool { return e.Flow != p.client || !e.Out })
		var tail []string
		for _, e := range sent[len(sent)-5:] {
			w.next[true][e.Flow] = e.Seq
			tail = append(tail, w.describe(&e)...)
		}
		if got, want := lines(tail...), lines("client sent 100 captured 0 skipped", "client sent 100 captured 0 skipped",
			"client sent 50", "client ended", "client closed"); got != want {
			t.Errorf("in the end:\n%s\nwant:\n%s", got, want)
		}
		if got, want := w.turns()["client"], [2]int{stream.Client: 2, stream.Server: 1}; got != want {
			t.Errorf("%d turns, want %d", got, want)
		}
	})
}

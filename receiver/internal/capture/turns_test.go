//go:build linux && (amd64 || arm64)

package capture

import (
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const questions = 1000 // more than the least ring holds, with their answers

func ask(c, s *end, questions int) {
	for range questions {
		c.write(100)
		s.read(60)
		s.read(40)
		s.write(50)
		c.read(20)
		c.read(30)
	}
}

var exchanges = register("a few questions", script{do: func(c, s *end) {
	ask(c, s, 10)
	c.close()
	s.close()
}})

var dialogue = register("a dialogue", script{do: func(c, s *end) {
	ask(c, s, questions)
	pause()
	ask(c, s, 1)
	c.close()
	s.close()
}})

// turns adds up what the events of each end tell: turns of the client and of
// the server.
func (w *watch) turns() (sum map[string][2]int) {
	sum = make(map[string][2]int)
	for _, e := range w.events {
		n := sum[w.end(&e)]
		side := e.Side
		n[side] += int(e.TurnsOut)
		n[side.Peer()] += int(e.TurnsIn)
		sum[w.end(&e)] = n
	}
	return sum
}

func TestATurnIsCountedByTheEventThatBeginsIt(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		src := openKernel(t, Options{}, b)
		p := cast(t, exchanges)
		p.play()
		w := p.see(src, (*watch).over)
		needWhole(t, src)
		talks := map[string]bool{}
		for _, e := range w.events {
			out, in := uint16(0), uint16(0)
			last, any := talks[w.end(&e)]
			turned := e.Kind == Data && (!any || last != e.Out)
			switch {
			case turned && e.Out:
				out = 1
			case turned:
				in = 1
			}
			if e.Kind == Data {
				talks[w.end(&e)] = e.Out
			}
			if e.Turned != turned || e.TurnsOut != out || e.TurnsIn != in {
				t.Fatalf("%s, out %v, of %d bytes: %v, %d and %d turns, want %v, %d and %d",
					w.end(&e), e.Out, e.Len, e.Turned, e.TurnsOut, e.TurnsIn, turned, out, in)
			}
		}
		for end, n := range w.turns() {
			if want := [2]int{stream.Client: 10, stream.Server: 10}; n != want {
				t.Errorf("%s: %d turns, want %d", end, n, want)
			}
		}
	})
}

func TestTurnsThatTheRingCannotHoldAreToldByTheNextEvent(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		src := openKernel(t, Options{RingBytes: MinRingBytes}, b)
		p := cast(t, dialogue)
		p.play() // nobody reads
		seen := len(p.see(src, func(*watch) bool { return true }).events)
		if lost := losses(src)["ring_full_data"]; seen >= 6*questions || lost == 0 {
			t.Fatalf("%d events seen, %d lost: want more lost", seen, lost)
		}
		p.play()
		w := p.see(src, (*watch).over)
		for end, n := range w.turns() {
			if want := [2]int{stream.Client: questions + 1, stream.Server: questions + 1}; n != want {
				t.Errorf("%s: %d turns, want %d", end, n, want)
			}
		}
	})
}

var parting = register("a dialogue that ends", script{do: func(c, s *end) {
	ask(c, s, questions)
	c.close()
	s.close()
}})

func TestTurnsOfAConnectionWhoseCloseIsLostAreCounted(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		src := openKernel(t, Options{RingBytes: MinRingBytes}, b)
		p := cast(t, parting)
		p.play() // nobody reads
		w := p.see(src, func(*watch) bool { return true })
		if w.gone > 0 {
			t.Fatalf("%d ends of the connection are known, want none", w.gone)
		}
		told := w.turns()
		all := told["client"][stream.Client] + told["server"][stream.Client] + int(losses(src)["ring_full_turn"])
		if all < 2*questions { // others may lose some, too
			t.Errorf("%d turns of the client's are told or counted, want %d", all, 2*questions)
		}
	})
}

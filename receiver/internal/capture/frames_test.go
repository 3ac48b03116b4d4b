//go:build linux && (amd64 || arm64)

package capture

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// framedOpening is how the client of a tape begins.
var framedOpening = stream.Opening{Bytes: "frames follow", Frames: stream.Framing{
	HeadBytes: 9, LengthAt: 1, LengthBytes: 3, TypeAt: 5, Skims: 1<<2 | 1<<30, SkimFrom: 1024, KeptBytes: 6,
}}

const (
	headBytes = 9
	wanted    = 1 // type of a frame
	unwanted  = 2 // of which framedOpening skims those that are long
)

// A tape is frames that one end sends, and how.
type tape struct {
	side    stream.Side
	bytes   []byte
	skims   []bool               // by byte: need not be copied
	writes  [][]int              // of each its segments; nil: all at once
	reads   []int                // nil: as written
	file    func(write int) bool // the write is by sendfile(2)
	endless bool                 // the last frame is longer than what is written of it
}

// frame adds frames, whose bodies tell where they are.
func (t *tape) frame(kind byte, lengths ...int) *tape {
	for _, n := range lengths {
		t.bytes = append(t.bytes, 0xff, byte(n>>16), byte(n>>8), byte(n), 0xff, kind, 0xff, 0xff, 0xff)
		t.body(kind, n, n)
	}
	return t
}

// body adds the first here bytes of a body.
func (t *tape) body(kind byte, length, here int) {
	f := &framedOpening.Frames
	t.skims = append(t.skims, make([]bool, len(t.bytes)-len(t.skims))...)
	for i := range here {
		t.bytes = append(t.bytes, pattern(len(t.bytes)))
		t.skims = append(t.skims, f.Skims>>kind&1 == 1 && length >= f.SkimFrom && i >= f.KeptBytes)
	}
}

func (t *tape) write(segments ...int) *tape {
	t.writes = append(t.writes, segments)
	return t
}

func newTape(side stream.Side) *tape {
	t := &tape{side: side}
	if side == stream.Client {
		t.bytes = []byte(framedOpening.Bytes)
	}
	t.body(wanted, 0, 0)
	return t
}

func sum(sizes []int) (n int) {
	for _, size := range sizes {
		n += size
	}
	return n
}

// play sends and receives what is on the tape.
func (t *tape) play(c, s *end) {
	if t.side == stream.Server {
		c.moved(unix.Write(c.fd, []byte(framedOpening.Bytes)))
		s.read(len(framedOpening.Bytes))
		c, s = s, c
	}
	writes, left := t.writes, t.bytes
	if n := len(left); writes == nil {
		writes = [][]int{{n}}
	}
	reads := t.reads
	if reads == nil {
		for _, w := range writes {
			reads = append(reads, sum(w))
		}
	}
	ready := make(chan bool, len(writes)) // a write, if each is read at once
	within(func() {
		for i, w := range writes {
			if t.file != nil && t.file(i) {
				c.moved(unix.Sendfile(c.fd, file(left[:sum(w)]), new(int64), sum(w)))
				left = left[sum(w):]
				ready <- true
				continue
			}
			var segments [][]byte
			for _, n := range w {
				segments = append(segments, left[:n])
				left = left[n:]
			}
			c.moved(unix.Writev(c.fd, segments))
			ready <- true
		}
	}, func() {
		for _, n := range reads {
			s.readAll(n)
		}
	})
}

// check says what is wrong with what was seen of a tape at one end of it.
func (t *tape) check(w *watch, observed stream.Side) error {
	begins := -1
	var start uint32
	seen, copied, first, opens := 0, 0, 0, true
	for _, e := range w.events {
		if e.Kind == Opened && e.Side == observed {
			begins, start = 0, e.Ack
			if t.side == observed {
				start = e.Seq
			}
		}
		if e.Kind != Data || e.Side != observed || (e.Out != (t.side == observed)) {
			continue
		}
		at := int(e.Seq - start)
		for ; seen < at; seen++ { // of files: not all that is sent by page is seen
			if !t.skims[seen] || t.file == nil {
				return fmt.Errorf("an event at %d, want one at %d", at, seen)
			}
		}
		if at != seen {
			return fmt.Errorf("an event at %d, want one at %d", at, seen)
		}
		from := at + int(e.Passed)
		behind := from + len(e.Data)
		if !bytes.Equal(e.Data, t.bytes[from:behind]) {
			return fmt.Errorf("wrong bytes at %d", from)
		}
		for i := at; i < at+int(e.Len); i++ {
			if i >= from && i < behind || i < from && t.skims[i] {
				continue
			}
			if !t.skims[i] || e.Missing != Skipped && e.Missing != "splice" {
				return fmt.Errorf("%d bytes at %d, of %d: %s, but byte %d is wanted", len(e.Data), at, e.Len, e.Missing, i)
			}
		}
		opens = opens && (first == 0 || e.Continued)
		if seen += int(e.Len); opens {
			// In the first read or write the frames were found, and none was skimmed.
			for first = seen; first < len(t.bytes) && t.skims[first]; first++ {
			}
		}
		for i := range e.Data {
			if from+i >= first && t.skims[from+i] {
				copied++
			}
		}
	}
	for t.endless && seen < len(t.bytes) && t.skims[seen] {
		seen++
	}
	switch {
	case begins < 0:
		return fmt.Errorf("no opening")
	case seen != len(t.bytes) && t.file == nil:
		return fmt.Errorf("%d bytes, want %d", seen, len(t.bytes))
	case copied > 0:
		return fmt.Errorf("%d bytes were copied that nobody wants", copied)
	}
	return nil
}

// atRandom is frames of many lengths, cut at random.
func atRandom(seed uint64, side stream.Side) *tape {
	r := rand.New(rand.NewPCG(seed, 0))
	t := newTape(side)
	lengths := []int{0, 1, 5, 6, 7, 100, 1023, 1024, 1025, 1030, 4096, 16383, 16384, 16385, 40000}
	for range 200 {
		t.frame(byte(wanted+r.IntN(2)), lengths[r.IntN(len(lengths))])
	}
	cut := func(most int) (sizes []int) {
		sizes = append(sizes, min(most, len(t.bytes)))
		for left := len(t.bytes) - most; left > 0; left -= sizes[len(sizes)-1] {
			sizes = append(sizes, min(left, 1+r.IntN(most)))
		}
		return sizes
	}
	for _, n := range cut(200_000) {
		segments := []int{}
		for n > 0 && len(segments) < 100 {
			segments = append(segments, min(n, r.IntN(5000)))
			n -= segments[len(segments)-1]
		}
		t.write(append(segments, n)...)
	}
	t.reads = cut(60_000)
	return t
}

// atEachPosition is cut behind each byte of heads, and of what is kept behind them.
func atEachPosition() *tape {
	t := newTape(stream.Client).frame(wanted, 10)
	left := len(t.bytes)
	t.write(left)
	for n := 1; n < headBytes+8; n++ {
		t.frame(unwanted, 2000).frame(wanted, 100).frame(unwanted, 3000)
		t.write(headBytes + 2000 + headBytes + 100 + n) // within the head of the last one
		t.write(headBytes + 3000 - n)
		t.frame(wanted, 0, 1500)
		t.write(n) // within a head, and then byte by byte
		for range headBytes {
			t.write(1)
		}
		t.write(headBytes + 1500 - n)
	}
	return t
}

// asSegments is written in segments that are no frames.
func asSegments() *tape {
	t := newTape(stream.Client).frame(wanted, 10)
	t.write(len(t.bytes))
	for range 20 {
		before := len(t.bytes)
		t.frame(unwanted, 1200, 16384).frame(wanted, 700).frame(unwanted, 9000)
		var segments []int
		for left := len(t.bytes) - before; left > 0; left -= segments[len(segments)-1] {
			segments = append(segments, min(left, 1+len(segments)*7%50))
		}
		for len(segments) > 1024 {
			t.write(segments[:1024]...)
			segments = segments[1024:]
		}
		t.write(segments...)
	}
	return t
}

// byThousands is many frames of nothing in one write.
func byThousands(n int) *tape {
	t := newTape(stream.Client).frame(wanted, 10)
	t.write(len(t.bytes))
	before := len(t.bytes)
	t.frame(unwanted, make([]int, n)...).frame(unwanted, 5000)
	return t.write(len(t.bytes) - before)
}

// hostile is a frame that is as long as can be, of which little comes.
func hostile(kind byte) *tape {
	t := newTape(stream.Client).frame(wanted, 10)
	t.write(len(t.bytes))
	t.bytes = append(t.bytes, 0xff, 0xff, 0xff, 0xff, 0xff, kind, 0xff, 0xff, 0xff)
	t.body(kind, 1<<24-1, 300_000)
	t.endless = true
	return t.write(headBytes + 100).write(200_000).write(99_900)
}

// ofFiles is bodies that never were in the memory of who wrote them.
func ofFiles() *tape {
	t := newTape(stream.Client).frame(wanted, 10)
	t.write(len(t.bytes))
	for range 10 {
		t.frame(unwanted, 20000).write(headBytes + 6).write(10000).write(10000 - 6)
	}
	t.file = func(write int) bool { return write > 0 && write%3 != 1 }
	return t
}

// Made when they are needed: this table is in every child, and 4 MB take an
// emulated processor most of a second.
var tapes = []struct {
	name string
	tape func() *tape
}{
	{"at random", func() *tape { return atRandom(1, stream.Client) }},
	{"at random, of the server", func() *tape { return atRandom(2, stream.Server) }},
	{"cut at each position", atEachPosition},
	{"in segments", asSegments},
	{"by thousands", func() *tape { return byThousands(15_000) }},
	{"without an end", func() *tape { return hostile(unwanted) }},
	{"without an end, and wanted", func() *tape { return hostile(wanted) }},
	{"out of files", ofFiles},
}

func init() {
	for _, t := range tapes {
		register("frames "+t.name, script{do: func(c, s *end) {
			t.tape().play(c, s)
			c.close()
			s.close()
		}})
	}
}

func TestFrames(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		src := openKernel(t, Options{RingBytes: 32 << 20, Openings: []stream.Opening{framedOpening}}, b)
		for _, tt := range tapes {
			t.Run(tt.name, func(t *testing.T) {
				w := playCopied(t, src, "frames "+tt.name)
				tape := tt.tape()
				for observed := stream.Client; observed <= stream.Server; observed++ {
					if err := tape.check(w, observed); err != nil {
						t.Errorf("at the %s: %v", observed, err)
					}
				}
			})
		}
	})
}

// copied is how many bytes one end was seen to move, of the events from one on.
func (w *watch) copied(from int, observed stream.Side) (n int) {
	for _, e := range w.events[from:] {
		if e.Kind == Data && e.Side == observed {
			n += len(e.Data)
		}
	}
	return n
}

// bulk is ten frames that are skimmed, in one write.
func bulk() *tape {
	return newTape(stream.Server).frame(unwanted, 16000, 16000, 16000, 16000, 16000, 16000, 16000, 16000, 16000, 16000)
}

const skimmedBulk = 10 * (headBytes + 6)

func exchangeOf(p []byte, c, s *end) {
	within(func() { c.moved(unix.Write(c.fd, p)) }, func() { s.readAll(len(p)) })
}

var (
	bulks = register("frames twice", script{do: func(c, s *end) {
		exchangeOf([]byte(framedOpening.Bytes), c, s)
		exchangeOf(bulk().bytes, s, c)
		pause()
		exchangeOf(bulk().bytes, s, c)
		pause()
		c.close()
		s.close()
	}})
	astray = register("frames behind bytes that nobody saw", script{do: func(c, s *end) {
		exchangeOf([]byte(framedOpening.Bytes), c, s)
		pause()
		missed := newTape(stream.Server).frame(wanted, 10000).bytes
		within(func() { s.moved(unix.Sendfile(s.fd, file(missed), new(int64), len(missed))) }, func() { c.drain(len(missed)) })
		exchangeOf(bulk().bytes, s, c)
		pause()
		exchangeOf(bulk().bytes, s, c)
		pause()
		c.close()
		s.close()
	}})
	later = register("frames that do not begin with the connection", script{do: func(c, s *end) {
		exchangeOf([]byte("hello"), c, s)
		pause()
		exchangeOf([]byte(framedOpening.Bytes), c, s)
		exchangeOf(bulk().bytes, s, c)
		pause()
		exchangeOf(bulk().bytes, s, c)
		pause()
		c.close()
		s.close()
	}})
)

func openFramed(t *testing.T, o Options, b backend) *shard {
	t.Helper()
	o.Openings = []stream.Opening{framedOpening}
	return openKernel(t, o, b)
}

var long = register("a frame in many reads and writes", script{do: func(c, s *end) {
	exchangeOf([]byte(framedOpening.Bytes), c, s)
	tape := newTape(stream.Server).frame(unwanted, pieces*pieceBytes).frame(wanted, 100)
	for p := range slices.Chunk(tape.bytes, pieceBytes) {
		exchangeOf(p, s, c)
	}
	c.close()
	s.close()
}})

const pieces, pieceBytes = 1000, 500

func TestWithinFramesThatNobodyWantsOnlyTheEndIsToldAndThatItGoesOn(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		src := openFramed(t, Options{}, b)
		_, w := playWhole(t, src, long)
		took := w.events[len(w.events)-1].Time - w.events[0].Time
		most := 4 + int(took>>27) // one with each head, and that it goes on
		copied := len(framedOpening.Bytes) + headBytes + 6 + headBytes + 100
		for observed := stream.Client; observed <= stream.Server; observed++ {
			events := 0
			for _, e := range w.events {
				if e.Kind == Data && e.Side == observed && e.Out == (observed == stream.Server) {
					events++
				}
			}
			if got := w.copied(0, observed); events > most || got != copied {
				t.Errorf("the %s has %d events with %d bytes, want %d at the most, with %d", observed, events, got, most, copied)
			}
		}
	})
}

func TestFramesAreCopiedWholeWhereThatIsWanted(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		src := openFramed(t, Options{RingBytes: 4 << 20}, b)
		p := cast(t, bulks)
		p.play()
		w := p.see(src, func(w *watch) bool {
			return w.copied(0, stream.Client)+w.copied(0, stream.Server) >= 2*(13+skimmedBulk)
		})
		first := len(w.events)
		src.Whole(p.server, stream.Framing{})
		p.play()
		w = p.see(src, func(w *watch) bool { return w.copied(first, stream.Client) >= skimmedBulk })
		needWhole(t, src)
		if got, want := w.copied(first, stream.Server), len(bulk().bytes); got != want {
			t.Errorf("%d bytes were copied at the server, want %d", got, want)
		}
		if got := w.copied(first, stream.Client); got != skimmedBulk {
			t.Errorf("%d bytes were copied at the client, want %d", got, skimmedBulk)
		}
		p.play()
	})
}

func TestFramesAreFollowedWhileTheRingIsFull(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		src := openFramed(t, Options{RingBytes: MinRingBytes}, b)
		p, q := cast(t, bulks), cast(t, parting)
		q.play() // nobody reads
		p.play()
		if lost := losses(src)["ring_full_data"]; lost == 0 {
			t.Fatal("nothing was lost")
		}
		p.see(src, func(*watch) bool { return true })
		first := len(p.w.events)
		p.play()
		w := p.see(src, func(w *watch) bool { return w.copied(first, stream.Client) >= skimmedBulk })
		needWhole(t, src)
		for side := stream.Client; side <= stream.Server; side++ {
			if got := w.copied(first, side); got != skimmedBulk {
				t.Errorf("%d bytes were copied at the %s, want %d", got, side, skimmedBulk)
			}
		}
		p.play()
	})
}

// What is passed over must be what the parser passes over: where frames are not
// known to begin nothing is.
func TestFramesThatAreNotKnownAreCopiedWhole(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		src := openFramed(t, Options{RingBytes: 4 << 20}, b)
		for _, name := range []string{astray, later} {
			t.Run(name, func(t *testing.T) {
				p := cast(t, name)
				p.play()
				p.play()
				least := len(bulk().bytes)
				w := p.see(src, func(w *watch) bool { return w.copied(0, stream.Server) >= least })
				needWhole(t, src)
				if got := w.copied(0, stream.Server); got < least {
					t.Errorf("%d bytes were copied at the server, want %d", got, least)
				}
				p.play()
				p.play()
			})
		}
	})
}

// guide tells the source of both ends where, so many bytes ahead, the server's next
// frame begins.
func (w *watch) guide(src *shard, ahead int) {
	ends := map[FlowID]Event{}
	for _, e := range w.events {
		if e.Kind == Data && e.Out == (e.Side == stream.Server) {
			ends[e.Flow] = e
		}
	}
	for _, e := range ends {
		src.Whole(e.Flow, framedOpening.Frames)
		src.Frames(e.Flow, e.Out, e.Seq+e.Len+uint32(ahead))
	}
}

var older = register("frames of a connection that is older", script{do: func(c, s *end) {
	exchangeOf([]byte(framedOpening.Bytes), c, s)
	pause()
	for range 4 {
		exchangeOf(bulk().bytes, s, c)
		pause()
	}
}})

func TestFramesAreSkimmedFromWhereOneIsSaidToBegin(t *testing.T) {
	one := len(bulk().bytes) / 10
	forEachBackend(t, func(t *testing.T, b backend) {
		for _, tt := range []struct {
			name, script string
			ahead, want  int
		}{
			{"on an old connection", older, 0, skimmedBulk},
			{"behind what is skipped", older, 2 * one, skimmedBulk / 10 * 8},
			{"not where the source has come already", older, -one, len(bulk().bytes)},
			{"that does not begin with them", later, 0, skimmedBulk},
			{"where they were lost", astray, 0, skimmedBulk},
		} {
			t.Run(tt.name, func(t *testing.T) {
				p := cast(t, tt.script)
				if tt.script == older {
					p.play()
				}
				src := openFramed(t, Options{RingBytes: 4 << 20}, b)
				if tt.script != older {
					p = cast(t, tt.script)
					p.play()
				}
				p.play()
				const some = 10_000
				w := p.see(src, func(w *watch) bool {
					return w.copied(0, stream.Client) >= some && w.copied(0, stream.Server) >= some
				})
				first := len(w.events)
				w.guide(src, tt.ahead)
				p.play()
				w = p.see(src, func(w *watch) bool {
					return w.copied(first, stream.Client) >= tt.want && w.copied(first, stream.Server) >= tt.want
				})
				needWhole(t, src)
				for side := stream.Client; side <= stream.Server; side++ {
					if got := w.copied(first, side); got != tt.want {
						t.Errorf("%d bytes were copied at the %s, want %d", got, side, tt.want)
					}
				}
				for _, e := range w.events[first:] {
					if e.Framed != (tt.ahead >= 0) {
						t.Errorf("an event of %d bytes at %d: framed %v", e.Len, e.Seq, e.Framed)
					}
				}
			})
		}
	})
}

func TestFramesAreForgottenWhereNothingIsToBeLeftOut(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		p := cast(t, older)
		p.play()
		src := openFramed(t, Options{RingBytes: 4 << 20}, b)
		whole := len(bulk().bytes)
		first := 0
		next := func(want int) {
			t.Helper()
			p.play()
			w := p.see(src, func(w *watch) bool {
				return w.copied(first, stream.Client) >= want && w.copied(first, stream.Server) >= want
			})
			needWhole(t, src)
			for side := stream.Client; side <= stream.Server; side++ {
				if got := w.copied(first, side); got != want {
					t.Errorf("%d bytes were copied at the %s, want %d", got, side, want)
				}
			}
			first = len(w.events)
		}
		next(16 << 10)
		p.w.guide(src, 0)
		next(skimmedBulk)
		for _, skim := range []stream.Framing{{}, framedOpening.Frames} {
			src.Whole(p.client, skim)
			src.Whole(p.server, skim)
			next(whole)
		}
	})
}

//go:build linux && (amd64 || arm64)

package capture

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const (
	recordsOfWhole = 64 // RECORDS in bpf/maps.h
	longest        = recordsOfWhole * 16384
)

// readAll reads n bytes in one call.
func (e *end) readAll(n int) {
	got, _, err := unix.Recvfrom(e.fd, make([]byte, n), unix.MSG_WAITALL)
	must(err)
	if got != n {
		panic(fmt.Sprintf("read %d bytes of %d", got, n))
	}
}

// within lets both ends work at once: what is sent may be more than the
// sockets hold.
func within(send, receive func()) {
	done := make(chan bool)
	go func() {
		defer close(done)
		receive()
	}()
	send()
	<-done
}

// longWrites are what is moved in one call each, and what is seen of it where
// it is wanted whole, and where not.
var longWrites = []struct {
	name           string
	send, receive  func(e *end)
	whole, partial string // of what was moved
}{
	{
		name:    "100 KiB",
		send:    func(e *end) { e.write(100 << 10) },
		receive: func(e *end) { e.readAll(100 << 10) },
		whole:   whole(100 << 10),
		partial: " 102400 captured 16384 limit",
	},
	{
		name:    "200 segments, of which no 16 KiB end with one",
		send:    func(e *end) { e.moved(unix.Writev(e.fd, e.segments(slices.Repeat([]int{500}, 200)...))) },
		receive: func(e *end) { e.readAll(100_000) },
		whole:   whole(100_000),
		partial: " 100000 captured 16384 limit",
	},
	{
		name:    "1024 segments, of which every other is empty",
		send:    func(e *end) { e.moved(unix.Writev(e.fd, e.segments(slices.Repeat([]int{255, 0}, 512)...))) },
		receive: func(e *end) { e.readAll(512 * 255) },
		whole:   whole(512 * 255),
		partial: " 130560 captured 16384 limit",
	},
	{
		name:    "as much as there can be",
		send:    func(e *end) { e.write(longest) },
		receive: func(e *end) { e.readAll(longest) },
		whole:   whole(longest),
		partial: fmt.Sprint(" ", longest, " captured 16384 limit"),
	},
	{
		name:    "more than that",
		send:    func(e *end) { e.write(longest + 1000) },
		receive: func(e *end) { e.readAll(longest + 1000) },
		whole:   whole(longest-16384) + "\n 17384 captured 16384 limit",
		partial: fmt.Sprint(" ", longest+1000, " captured 16384 limit"),
	},
}

// whole is n bytes in records.
func whole(n int) string {
	var records []string
	for ; n > 0; n -= 16384 {
		records = append(records, fmt.Sprint(" ", min(n, 16384)))
	}
	return lines(records...)
}

// moved is one line for each of what, by a verb.
func moved(verb, what string) string {
	return verb + strings.ReplaceAll(what, "\n", "\n"+verb)
}

func init() {
	for _, long := range longWrites {
		move := func(c, s *end) { within(func() { long.send(c) }, func() { long.receive(s) }) }
		register(long.name, script{do: func(c, s *end) {
			c.write(10)
			s.read(10)
			pause()
			move(c, s)
			pause()
			move(c, s)
		}})
	}
}

func TestLongReadsAndWritesAreCopiedWholeWhereThatIsWanted(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		src := openKernel(t, Options{RingBytes: 16 << 20}, b)
		for _, long := range longWrites {
			t.Run(long.name, func(t *testing.T) {
				want := lines("client sent 10", moved("client sent", long.partial), moved("client sent", long.whole),
					"server got 10", moved("server got", long.partial), moved("server got", long.whole))
				for range attempts {
					w, left := playLong(t, src, long.name)
					if left > 0 {
						t.Logf("%d runs of programs were left out; again", left)
						continue
					}
					if slots := FlowID(len(src.policies.slots)); w.p.client%slots == w.p.server%slots {
						t.Log("the two ends share a slot, and so one's wish displaced the other's; again")
						continue
					}
					if got := w.data(); got != want {
						t.Errorf("saw:\n%s\nwant:\n%s", got, want)
					}
					checkCalls(t, w.events, 3)
					return
				}
				t.Skip("runs of programs were left out, and counted, again and again")
			})
		}
	})
}

// playLong plays a script of longWrites, the last part of which is wanted
// whole, and returns how many runs of programs were left out.
func playLong(t *testing.T, src *shard, name string) (w *watch, left uint64) {
	t.Helper()
	before := losses(src)["recursion"]
	p := cast(t, name)
	p.begin(src)
	p.play()
	src.Whole(p.client, stream.Framing{})
	src.Whole(p.server, stream.Framing{})
	p.play()
	return p.see(src, (*watch).over), losses(src)["recursion"] - before
}

// checkCalls checks that each end is told of n calls, and that the events of
// one have in common what they must.
func checkCalls(t *testing.T, events []Event, n int) {
	t.Helper()
	calls, first := map[FlowID]int{}, map[FlowID]Event{}
	for _, e := range events {
		if e.Kind != Data {
			continue
		}
		if !e.Continued {
			calls[e.Flow]++
			first[e.Flow] = e
		}
		if f := first[e.Flow]; e.Ack != f.Ack || e.Time != f.Time || e.PID != f.PID || e.Start != f.Start {
			t.Errorf("an event at %d, %d is not of the same call as the first, at %d, %d", e.Seq, e.Time, f.Seq, f.Time)
		}
	}
	for flow, got := range calls {
		if got != n {
			t.Errorf("flow %d: told of %d calls, want %d", flow, got, n)
		}
	}
}

// openingsOf are those with nothing but these bytes.
func openingsOf(bytes ...string) (openings []stream.Opening) {
	for _, b := range bytes {
		openings = append(openings, stream.Opening{Bytes: b})
	}
	return openings
}

// opening is how all scripts begin.
func opening() string {
	return string((&end{}).next(openingBytes))
}

var wholeFromStart = register("long writes from the opening on", script{do: func(c, s *end) {
	within(func() { c.write(40000) }, func() { s.readAll(40000) })
	within(func() { s.write(40000) }, func() { c.readAll(40000) })
	c.close()
	s.close()
}})

func TestConnectionsWithAKnownOpeningAreCopiedWholeFromTheStart(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		for _, tt := range []struct {
			name     string
			openings []string
			want     string
		}{
			{"known", []string{"something else", opening() + "whatever follows"}, whole(40000)},
			{"another", []string{"something else", opening()[:openingBytes-1] + "!"}, " 40000 captured 16384 limit"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				src := openKernel(t, Options{Openings: openingsOf(tt.openings...)}, b)
				_, w := playWhole(t, src, wholeFromStart)
				want := lines(moved("client sent", tt.want), moved("client got", tt.want),
					moved("server got", tt.want), moved("server sent", tt.want))
				if got := w.data(); got != want {
					t.Errorf("saw:\n%s\nwant:\n%s", got, want)
				}
			})
		}
	})
}

var skippedWithin = register("bytes to skip within long writes", script{do: func(c, s *end) {
	c.write(100)
	s.read(100)
	pause()
	within(func() { c.moved(unix.Writev(c.fd, c.segments(30000, 9, 20000, 30000))) }, func() { s.readAll(80009) })
	c.close()
	s.close()
}})

func TestWhatIsSkippedOfALongWriteIsNotCopiedAndTheRestIs(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		src := openKernel(t, Options{}, b)
		p := cast(t, skippedWithin)
		for _, e := range p.begin(src) {
			if e.Kind == Data {
				src.Skip(e.Flow, e.Out, e.Seq+e.Len+45000)
				if !e.Out {
					src.Whole(e.Flow, stream.Framing{})
				}
			}
		}
		p.play()
		w := p.see(src, (*watch).over)
		needWhole(t, src)
		if got, want := w.of(stream.Client), lines("opened", "sent 100",
			"sent 80009 passed 45000 captured 16384 limit", "ended", "closed"); got != want {
			t.Errorf("client:\n%s\nwant:\n%s", got, want)
		}
		if got, want := w.of(stream.Server), lines("opened", "got 100",
			"got 61384 passed 45000", "got 16384", "got 2241", "ended", "closed"); got != want {
			t.Errorf("server:\n%s\nwant:\n%s", got, want)
		}
	})
}

var crowding = register("a write that would fill half of the ring", script{do: func(c, s *end) {
	must(unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 200<<10)) // all is written before it is read
	c.write(100 << 10)
	s.readAll(100 << 10)
	pause()
	c.close()
	s.close()
}})

func TestLongWritesLeaveHalfOfTheRingToOthers(t *testing.T) {
	src := openKernel(t, Options{RingBytes: 128 << 10, Openings: openingsOf(opening())}, best())
	p := cast(t, crowding)
	p.play() // nobody reads
	p.see(src, func(*watch) bool { return true })
	p.play()
	w := p.see(src, (*watch).over)
	needWhole(t, src)
	want := lines(moved("client sent", whole(64<<10)), "client sent 36864 captured 16384 pressure", "server got 102400 captured 16384 pressure")
	if got := w.data(); got != want {
		t.Errorf("saw:\n%s\nwant:\n%s", got, want)
	}
}

var longTurn = register("a turn that would fill half of the ring", script{do: func(c, s *end) {
	must(unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 200<<10)) // all is written before it is read
	for range 8 {
		c.write(8 << 10)
	}
	c.write(8 << 10)
	c.write(200)
	c.write(300)
	s.readAll(72<<10 + 500)
	for range 3 {
		s.write(8 << 10)
	}
	c.readAll(24 << 10)
	pause()
	c.close()
	s.close()
}})

func TestLongTurnsLeaveHalfOfTheRingToOthers(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		src := openKernel(t, Options{RingBytes: 128 << 10}, b)
		p := cast(t, longTurn)
		p.play() // nobody reads
		p.see(src, func(*watch) bool { return true })
		p.play()
		w := p.see(src, (*watch).over)
		needWhole(t, src)
		cut := "sent 8192 captured 256 pressure"
		want := lines("opened", strings.Repeat("sent 8192\n", 8)+cut, "sent 200", "sent 300 captured 256 pressure",
			"got 24576 captured 16384 limit", "ended", "closed")
		if got := w.of(stream.Client); got != want {
			t.Errorf("client:\n%s\nwant:\n%s", got, want)
		}
		want = lines("opened", "got 74228 captured 16384 limit", "sent 8192", "sent 8192", cut, "ended", "closed")
		if got := w.of(stream.Server); got != want {
			t.Errorf("server:\n%s\nwant:\n%s", got, want)
		}
	})
}

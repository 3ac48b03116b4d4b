//go:build linux && (amd64 || arm64)

package capture

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

var flood = register("more than the ring holds", script{do: func(c, s *end) {
	for range 1000 {
		c.write(100)
		s.read(100)
	}
	pause()
	c.write(1)
	s.read(1)
	c.close()
	s.close()
}})

func TestWhatTheRingCannotHoldIsCountedAndAHole(t *testing.T) {
	src := openKernel(t, Options{RingBytes: MinRingBytes}, best())
	p := cast(t, flood)
	before := src.Now()
	p.play() // nobody reads
	lost := losses(src)["ring_full_data"]
	if at := src.LostAt(); at < before || at > src.Now() || src.LostAt() != at {
		t.Errorf("something was lost at %d, and at %d, and not behind %d", at, src.LostAt(), before)
	}
	drained := p.see(src, func(*watch) bool { return true })
	if seen := uint64(len(drained.events)) - 2; lost < 2000-seen { // others may lose some, too
		t.Errorf("%d reads and writes seen and %d lost of 2000", seen, lost)
	}
	p.play()
	w := p.see(src, (*watch).over)
	for _, side := range []stream.Side{stream.Client, stream.Server} {
		var total, events, gaps int
		for _, line := range strings.Split(w.of(side), "\n") {
			var n int
			if _, err := fmt.Sscanf(line, "missed %d", &n); err == nil {
				total += n
				gaps++
			}
			for _, verb := range []string{"sent %d", "got %d"} {
				if _, err := fmt.Sscanf(line, verb, &n); err == nil {
					total += n
					events++
				}
			}
		}
		if total != 100_001 || gaps != 1 || events < 2 {
			t.Errorf("%s: %d bytes in %d events and %d gaps, want 100001 and 1 gap", side, total, events, gaps)
		}
	}
}

var late = register("a byte, another, and later many", script{do: func(c, s *end) {
	for range 2 {
		c.write(1)
		s.read(1)
		pause()
	}
	for range 1000 {
		c.write(100)
		s.read(100)
	}
	c.close()
	s.close()
}})

// Nothing but the alarm ends its waits.
func TestAReaderThatSleepsIsWoken(t *testing.T) {
	src := openKernel(t, Options{RingBytes: MinRingBytes}, best())
	alarm := src.ring.alarm
	p := cast(t, late)
	p.play()
	p.see(src, func(w *watch) bool { return strings.Contains(w.of(stream.Server), "got 1") }) // the process is new no more
	for _, tt := range []struct {
		by       string
		deadline time.Time
		len      uint32
	}{
		{"the first event of a silence", time.Now().Add(time.Hour), 1},
		{"the bytes that wait", time.Time{}, 100},
	} {
		src.SetDeadline(tt.deadline)
		asked := make(chan uint64, 1) // by the reader, when it was awake again
		go func() {
			for {
				var e Event
				if err := src.Next(&e); err != nil || e.Len == tt.len && p.w.end(&e) != "" {
					asked <- atomic.LoadUint64(alarm)
					return
				}
			}
		}()
		for end := time.Now().Add(patience); atomic.LoadUint64(alarm) == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the reader does not sleep")
			}
		}
		p.play()
		select {
		case bytes := <-asked:
			if bytes != 0 {
				t.Errorf("asks to be woken by %d bytes while it is awake", bytes)
			}
		case <-time.After(patience):
			t.Fatal("was not woken by", tt.by)
		}
	}
}

const crossings = 60

var ofAllSizes = register("reads and writes of all sizes", script{do: func(c, s *end) {
	for i := range crossings {
		for n := range 12 {
			c.write(1 + i*12 + n)
			s.read(1 + i*12 + n)
		}
		pause()
	}
	c.close()
	s.close()
}})

func TestRecordsThatGoOnAtTheRingsBeginningAreWhole(t *testing.T) {
	src := openKernel(t, Options{RingBytes: MinRingBytes}, best())
	p := cast(t, ofAllSizes)
	for range crossings {
		p.play()
		p.see(src, func(*watch) bool { return true })
	}
	p.play()
	w := p.see(src, (*watch).over)
	var sent, got []string
	for n := 1; n <= crossings*12; n++ {
		sent = append(sent, fmt.Sprintf("sent %d", n))
		got = append(got, fmt.Sprintf("got %d", n))
	}
	for side, moved := range map[stream.Side][]string{stream.Client: sent, stream.Server: got} {
		if text := w.of(side); !strings.Contains(text, strings.Join(moved, "\n")) {
			t.Errorf("%s:\n%s", side, text)
		}
	}
}

func TestAnEventOutlivesItsClosedSource(t *testing.T) {
	src := openKernel(t, Options{}, best())
	p := cast(t, flood)
	p.play()
	var e Event
	for src.SetDeadline(time.Now().Add(patience)); p.w.end(&e) == "" || e.Kind != Data; {
		if err := src.Next(&e); err != nil {
			t.Fatal(err)
		}
	}
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := string(e.Data), string((&end{}).next(100)); got != want {
		t.Errorf("after Close the event has %q, want %q", got, want)
	}
	for range 2 {
		if err := src.Next(&e); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Next returns %v, want %v", err, os.ErrClosed)
		}
	}
	p.play()
}

func TestLossesHaveTheNamesOfTheCSide(t *testing.T) {
	src := openKernel(t, Options{}, best())
	var names []string
	src.Losses(func(reason string, _ uint64) { names = append(names, reason) })
	if got, want := strings.Join(names, " "), "ring_full_data ring_full_state ring_full_turn recursion self_test"; got != want {
		t.Errorf("losses are %s, want %s", got, want)
	}
}

func losses(src *shard) map[string]uint64 {
	m := map[string]uint64{}
	src.Losses(func(reason string, events uint64) { m[reason] = events })
	return m
}

func TestNextAllocatesNothing(t *testing.T) {
	src := openKernel(t, Options{}, best())
	p := cast(t, flood)
	p.play()
	var e Event
	src.SetDeadline(time.Now().Add(patience))
	if n := testing.AllocsPerRun(1000, func() {
		if err := src.Next(&e); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Next allocates %v times", n)
	}
	p.play()
}

const herdSize = 1000

var herd = register("a thousand short-lived processes", script{do: func(c, s *end) {
	message := c.next(10)
	for range herdSize {
		pid := fork(c.fd, message)
		var status unix.WaitStatus
		if _, err := unix.Wait4(pid, &status, 0, nil); err != nil || status.ExitStatus() != 0 {
			panic(fmt.Sprint(err, status))
		}
		s.read(10)
	}
	c.close()
	s.close()
}})

// fork starts a process that writes p to fd, lives for another 2 ms, and exits.
// It may only do what syscall.forkAndExecInChild does: plain syscalls.
//
//go:norace
func fork(fd int, p []byte) int {
	pause := unix.Timespec{Nsec: 2e6}
	pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if pid == 0 && errno == 0 {
		n, _, _ := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), addressOf(p), uintptr(len(p)))
		syscall.RawSyscall(syscall.SYS_NANOSLEEP, addressOfTime(&pause), 0, 0)
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, uintptr(len(p))-n, 0, 0)
	}
	if errno != 0 {
		panic(errno)
	}
	return int(pid)
}

func TestFirstEventsOfShortLivedProcessesComeAtOnce(t *testing.T) {
	src := openKernel(t, Options{}, best())
	p := cast(t, herd)
	played := make(chan struct{})
	go func() {
		defer close(played)
		p.play()
	}()
	seen, alive := map[uint32]bool{}, 0
	for end := time.Now().Add(6 * patience); len(seen) < herdSize && time.Now().Before(end); {
		src.SetDeadline(time.Now().Add(50 * time.Millisecond))
		var e Event
		if err := src.Next(&e); errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		if p.w.end(&e) != "client" || e.Kind != Data || seen[e.PID] {
			continue
		}
		seen[e.PID] = true
		if cgroup, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", e.PID)); err == nil && len(cgroup) > 0 {
			alive++
		}
	}
	<-played
	if len(seen) != herdSize {
		t.Errorf("saw %d processes, want %d", len(seen), herdSize)
	}
	if alive < herdSize*8/10 {
		t.Errorf("%d of %d processes still lived when their event was read", alive, herdSize)
	}
	t.Logf("%d of %d processes still lived when their event was read", alive, herdSize)
}

func TestWhatComesNextIsForeseen(t *testing.T) {
	src := openKernel(t, Options{}, best())
	p := cast(t, flood)
	var e Event
	read := func(event func()) {
		for {
			switch err := src.Next(&e); {
			case errors.Is(err, os.ErrDeadlineExceeded):
				return
			case err != nil:
				t.Fatal(err)
			default:
				event()
			}
		}
	}
	src.SetDeadline(time.Now())
	read(func() {}) // what does not come through the ring
	p.play()
	var ids [100]FlowID
	var coming []FlowID
	foreseen, missed := 0, 0
	read(func() {
		if len(coming) == 0 {
			coming = ids[:src.Ahead(ids[:])]
			return
		}
		for len(coming) > 0 && coming[0] != e.Flow { // this process's own are not told
			coming = coming[1:]
			missed++
		}
		if len(coming) == 0 {
			t.Fatalf("event of %d was not foreseen", e.Flow)
		}
		coming = coming[1:]
		foreseen++
	})
	if foreseen < 1900 || missed > 100 {
		t.Errorf("%d events foreseen, %d did not come", foreseen, missed)
	}
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
	if n := src.Ahead(ids[:]); n > 0 {
		t.Errorf("%d events come when it is closed", n)
	}
}

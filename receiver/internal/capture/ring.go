//go:build linux && (amd64 || arm64)

package capture

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/perisco-io/perisco/bpf"
)

const (
	// A record is preceded by its length and two flags, and padded to a multiple
	// of ringAlign (struct bpf_ringbuf_hdr in kernel/bpf/ringbuf.c, include/uapi/linux/bpf.h).
	ringHead    = 8
	ringAlign   = 8
	ringBusy    = 1 << 31 // it is being written
	ringDiscard = 1 << 30 // it is none

	// How often a record that is being written is looked at again before the
	// reader sleeps: its writer may wait for this very CPU.
	busySpins = 100
	busyPause = 50 * time.Microsecond

	// How many bytes wait before the reader is woken; until then it comes by its
	// deadline. 256 KiB are some 500 requests of 500 bytes, or 60 of 4 KiB: a
	// wake-up for each event tripled the cost of capture, one for 64 KiB was still
	// a third of it where the processor is virtual.
	wakeBytes = 256 << 10
	wakePart  = 4 // of a small ring, one part of so many: it must not fill up before
	// A reader that waits for longer than this expects nothing: the first event
	// wakes it.
	batchTime = 50 * time.Millisecond

	// Of the ring, one part of so many is what the reader has read and not yet
	// given back.
	keptPart = 128
)

// A ring is the reading end of the ring buffer of the programs. Records are
// read where the kernel wrote them; a record keeps its place until the next
// one is asked for. The data pages are mapped once, since what a process has
// mapped twice is counted twice in its memory. next is for one goroutine;
// close may be called from any.
type ring struct {
	events   *ebpf.Map
	consumer *uint64 // position up to which the kernel may write again
	producer *uint64 // position up to which it has
	data     []byte
	alarm    *uint64   // how many bytes must wait for the programs to wake the reader; 0: it is awake
	mappings [3][]byte // of the consumer's page; of the producer's and the data; of the alarm
	taken    uint64    // position behind the record handed out last
	written  uint64    // position up to which the kernel was seen to have written
	given    uint64    // position up to which it was told that it may again
	crossing []byte    // copy of a record that goes on at the ring's beginning

	epoll, stop int // descriptors; the second is an eventfd that close writes
	ready       [2]unix.EpollEvent
	asleep      bool // the alarm is set
	deadline    time.Time

	closed atomic.Bool
	mu     sync.Mutex // guards the mappings while next runs
	out    bool       // a record is in use: the data stays mapped until next is called again
}

// openRing makes the ring buffer of a shard, and maps it and the alarm of its reader.
// The programs' maps must stay open.
func openRing(maps map[string]*ebpf.Map, shard uint32, size int) (_ *ring, err error) {
	r := &ring{epoll: -1, stop: -1}
	defer func() {
		if err != nil {
			_ = r.close()
		}
	}()
	if r.events, err = ebpf.NewMap(&ebpf.MapSpec{Name: "events", Type: ebpf.RingBuf, MaxEntries: uint32(size)}); err != nil {
		return nil, fmt.Errorf("make it: %w", err)
	}
	if err := maps[bpf.CaptureMapRings].Put(shard, r.events); err != nil {
		return nil, fmt.Errorf("hand it to the programs: %w", err)
	}
	m, alarms, page := r.events, maps[bpf.CaptureMapAlarms], os.Getpagesize()
	if r.mappings[0], err = unix.Mmap(m.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("map position: %w", err)
	}
	if r.mappings[1], err = unix.Mmap(m.FD(), int64(page), page+size, unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("map data: %w", err)
	}
	alarm := int(shard) * int(unsafe.Sizeof(bpf.CaptureAlarm{}))
	if r.mappings[2], err = unix.Mmap(alarms.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("map alarm: %w", err)
	}
	r.alarm = &(*bpf.CaptureAlarm)(unsafe.Pointer(&r.mappings[2][alarm])).AtBytes
	r.consumer = (*uint64)(unsafe.Pointer(unsafe.SliceData(r.mappings[0])))
	r.producer = (*uint64)(unsafe.Pointer(unsafe.SliceData(r.mappings[1])))
	r.data = r.mappings[1][page:]
	r.taken = atomic.LoadUint64(r.consumer)
	r.written, r.given = r.taken, r.taken

	if r.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	if r.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	// Edge-triggered: it is the programs that say when there is enough to read.
	for fd, events := range map[int]uint32{m.FD(): unix.EPOLLIN | unix.EPOLLET, r.stop: unix.EPOLLIN} {
		if err := unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events}); err != nil {
			return nil, fmt.Errorf("add to epoll: %w", err)
		}
	}
	return r, nil
}

// next waits for a record. It is valid until the next call, even if the ring
// is closed meanwhile. Past the deadline, and when nothing is left to read, the
// error is os.ErrDeadlineExceeded; once closed, os.ErrClosed.
func (r *ring) next() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out = false
	for late := false; !r.closed.Load(); {
		raw, err := r.take()
		if raw != nil || err != nil {
			if r.asleep {
				r.asleep = false
				atomic.StoreUint64(r.alarm, 0)
			}
			r.out = raw != nil
			return raw, err
		}
		if late {
			return nil, os.ErrDeadlineExceeded
		}
		if late, err = r.wait(); err != nil {
			return nil, err
		}
	}
	_ = r.unmap() // fails for what was never mapped
	return nil, os.ErrClosed
}

// take returns the record behind the last one, or nil if there is none. Before,
// it gives places back to the kernel, unless they are few: the positions are in
// the way of every program that writes.
func (r *ring) take() ([]byte, error) {
	mask := uint64(len(r.data) - 1)
	for spins := 1; ; spins++ {
		if r.taken == r.written {
			r.written = atomic.LoadUint64(r.producer)
		}
		waiting := r.written - r.taken
		if kept := r.taken - r.given; kept > uint64(len(r.data)/keptPart) || kept > 0 && waiting == 0 {
			atomic.StoreUint64(r.consumer, r.taken)
			r.given = r.taken
		}
		if waiting == 0 {
			return nil, nil
		}
		at := r.taken & mask
		head := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[at])))
		if head&ringBusy != 0 {
			if spins%busySpins == 0 {
				time.Sleep(busyPause)
			}
			continue
		}
		size := uint64(head &^ ringDiscard)
		whole := (ringHead + size + ringAlign - 1) &^ (ringAlign - 1)
		if whole > waiting {
			return nil, fmt.Errorf("read ring: record of %d bytes where %d wait", size, waiting)
		}
		r.taken += whole
		if head&ringDiscard == 0 {
			return r.record((at+ringHead)&mask, size), nil
		}
	}
}

// record returns the bytes of a record, in one piece.
func (r *ring) record(at, size uint64) []byte {
	if end := at + size; end <= uint64(len(r.data)) {
		return r.data[at:end:end]
	}
	r.crossing = append(r.crossing[:0], r.data[at:]...)
	r.crossing = append(r.crossing, r.data[:size-uint64(len(r.crossing))]...)
	return r.crossing
}

// ahead is Foreseer's, as far as the kernel was seen to have written.
func (r *ring) ahead(ids []FlowID) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	mask := uint64(len(r.data) - 1)
	for next := r.taken; n < len(ids) && next < r.written && !r.closed.Load(); {
		at := next & mask
		head := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[at])))
		size := uint64(head &^ ringDiscard)
		if at += ringHead; head&ringBusy != 0 || at+size > uint64(len(r.data)) {
			break
		}
		if head&ringDiscard == 0 && size >= uint64(recordHead) {
			ids[n] = FlowID((*bpf.CaptureEvent)(unsafe.Pointer(&r.data[at])).Flow)
			n++
		}
		next += (ringHead + size + ringAlign - 1) &^ (ringAlign - 1)
	}
	return n
}

// wait returns when a program woke the reader, when the ring was closed or,
// which makes it late, when the deadline has passed. The alarm stays set until
// there is a record: who looks at it just before it is set can be overlooked in
// the first wait of a silence, which is short, and in no later one.
func (r *ring) wait() (late bool, err error) {
	timeout, wake := -1, min(wakeBytes, uint64(len(r.data)/wakePart)) // ms, bytes
	if !r.deadline.IsZero() {
		left := time.Until(r.deadline)
		if left <= 0 {
			return true, nil
		}
		timeout = int((left + time.Millisecond - 1) / time.Millisecond)
		if left > batchTime {
			wake = 1
		}
	}
	r.asleep = true
	atomic.StoreUint64(r.alarm, wake)
	if atomic.LoadUint64(r.producer) != r.taken { // written while nobody was to be woken
		return false, nil
	}
	n, err := unix.EpollWait(r.epoll, r.ready[:], timeout)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return false, fmt.Errorf("read ring: wait: %w", err)
	}
	return n == 0 && err == nil, nil
}

// close interrupts next and releases everything, but for the data of a record
// that is in use: the next call of next does that. A second call does nothing.
func (r *ring) close() error {
	if r.closed.Swap(true) {
		return nil
	}
	var errs []error
	if r.stop >= 0 {
		one := [8]byte{1}
		_, err := unix.Write(r.stop, one[:])
		errs = append(errs, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, fd := range []int{r.epoll, r.stop} {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	if r.events != nil {
		errs = append(errs, r.events.Close())
	}
	if !r.out {
		errs = append(errs, r.unmap())
	}
	return errors.Join(errs...)
}

func (r *ring) unmap() error {
	var errs []error
	for i, m := range r.mappings {
		if m != nil {
			errs = append(errs, unix.Munmap(m))
		}
		r.mappings[i] = nil
	}
	return errors.Join(errs...)
}

// Package pcap is the second source of events: a packet capture, read from a
// file that tcpdump or Wireshark wrote. It needs no privileges.
//
// File formats, link layers, IP and its fragments are decoded by gopacket. Its
// TCP reassembly is not used: it hands the two directions of a connection out
// each in its own time, gives a gap up by the clock or when pages run out, and
// drops what a packet acknowledged. Protocols pair answers with requests by
// the order between the directions, and acknowledgements tell at once
// what the capture missed. So connection.go puts segments in order itself.
//
// There is no observed end in a capture. The server's is taken, so that an
// exchange gives one span of kind SERVER. Where the opening of a connection is
// not in the file its lower port is taken for the server's.
package pcap

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Options say what to read, and how.
type Options struct {
	// File is the path of a capture: pcap or pcapng, as it is or compressed by
	// gzip.
	File string
	// KeepTime leaves the times as they were captured. Otherwise all are
	// shifted by the same amount, such that the last packet was captured when
	// reading began: what a trace backend shows first is the recent past, and
	// nothing lies in the future. To find the last packet the file is read twice.
	KeepTime bool
	// Filter says which connections are of interest. Processes are not known.
	Filter capture.Filter
}

// A Source yields the events of one file.
type Source struct {
	keepTime bool
	filter   capture.Filter
	path     string
	file     *os.File
	size     int64 // of the file, when it was opened

	records *records // nil once they have ended
	failure error    // why, if not because the file did
	decoder decoder
	table   table

	epoch   atomic.Int64
	read    atomic.Int64 // bytes
	packets atomic.Int64
	losses  losses
	closed  atomic.Bool

	latest stream.Time // of the packets read
	untold uint64      // as of the last call of LostAt
	lostAt stream.Time
}

var (
	_ capture.Source = (*Source)(nil)
	_ capture.Shard  = (*Source)(nil)
)

// Open opens a capture. What it begins with is checked, the rest is read by
// Next.
func Open(o Options) (*Source, error) {
	s, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("pcap: %w", err)
	}
	return s, nil
}

func open(o Options) (_ *Source, err error) {
	// Not blocking, because to open a fifo waits for whoever writes to it.
	f, err := os.OpenFile(o.File, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // it was only read
		}
	}()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s: is a directory: name one capture in it", o.File)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: is not a regular file: write the capture to one first", o.File)
	}
	s := &Source{keepTime: o.KeepTime, filter: o.Filter, path: o.File, file: f, size: info.Size()}
	s.table.init(&s.losses)
	s.decoder.init(&s.losses)
	if s.records, err = readRecords(s.section(), &s.read); err != nil {
		return nil, fmt.Errorf("%s: %w", o.File, err)
	}
	return s, nil
}

// section is the file as long as it was when it was opened.
func (s *Source) section() io.Reader { return io.NewSectionReader(s.file, 0, s.size) }

// Shards returns the source itself: a file has one order.
func (s *Source) Shards() []capture.Shard { return []capture.Shard{s} }

// Next returns the next event, or io.EOF once the file has ended. It never
// waits, and heeds no deadline. A file that is damaged ends with an error,
// after all events that come before the damage.
func (s *Source) Next(e *capture.Event) error {
	for {
		switch {
		case s.closed.Load():
			return os.ErrClosed
		case s.table.pop(e):
			if s.filter.Admits(e) {
				return nil
			}
			s.table.ignore(e.Flow)
			continue
		case s.records != nil:
		case s.table.flush():
			continue
		case s.failure != nil:
			return s.failure
		default:
			return io.EOF
		}
		if !s.keepTime {
			s.keepTime = true
			s.shift()
		}
		s.packet()
	}
}

// packet reads one packet.
func (s *Source) packet() {
	r, err := s.records.next()
	if err != nil {
		s.end(err)
		return
	}
	s.packets.Add(1)
	s.latest = max(s.latest, r.at)
	if g, ok := s.decoder.decode(r); ok {
		s.table.add(g)
	}
}

// end remembers why there is no more.
func (s *Source) end(err error) {
	switch {
	case errors.Is(err, io.EOF):
	case errors.Is(err, io.ErrUnexpectedEOF):
		s.losses.add(truncatedFile)
	default:
		s.failure = fmt.Errorf("pcap: %s: packet %d: %w", s.path, s.packets.Load()+1, err)
	}
	s.records = nil
}

// shift sets the epoch such that the last packet was captured now.
func (s *Source) shift() {
	var read atomic.Int64 // not counted as progress
	r, err := readRecords(s.section(), &read)
	var latest stream.Time
	for err == nil && !s.closed.Load() {
		var p record
		if p, err = r.next(); err == nil {
			latest = max(latest, p.at)
		}
	}
	if latest > 0 {
		s.epoch.Store(time.Now().UnixNano() - int64(latest))
	}
}

// SetDeadline does nothing: Next does not wait.
func (*Source) SetDeadline(time.Time) {}

// Skip does nothing: what was captured was copied already.
func (*Source) Skip(capture.FlowID, bool, uint32) {}

// Frames does nothing for the same reason.
func (*Source) Frames(capture.FlowID, bool, uint32) {}

// Whole does nothing for the same reason.
func (*Source) Whole(capture.FlowID, stream.Framing) {}

// Ignore asks for no more events of a flow but its end.
func (s *Source) Ignore(id capture.FlowID) { s.table.ignore(id) }

// Losses reports what the file lacks, and what could not be read of it.
func (s *Source) Losses(yield func(reason string, events uint64)) { s.losses.report(yield) }

// LostAt is the time of a packet.
func (s *Source) LostAt() stream.Time {
	if n := s.losses.untold(); n > s.untold {
		s.untold, s.lostAt = n, s.latest
	}
	return s.lostAt
}

// Ignored is 0: what was ignored is not counted.
func (*Source) Ignored() uint64 { return 0 }

// Now is only asked for by who waits, which Next never lets anybody do.
func (s *Source) Now() stream.Time { return stream.Time(time.Now().UnixNano() - s.Epoch()) }

// Epoch is 0 if the times are kept.
func (s *Source) Epoch() int64 { return s.epoch.Load() }

// Progress is how much of a file was read.
type Progress struct {
	Read, Total int64 // bytes of the file
	Packets     int64
}

// Progress may be called from any goroutine.
func (s *Source) Progress() Progress {
	return Progress{Read: s.read.Load(), Total: s.size, Packets: s.packets.Load()}
}

// Close makes Next return os.ErrClosed.
func (s *Source) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	return s.file.Close()
}

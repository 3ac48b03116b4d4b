package receiver

import (
	"errors"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// A tap is a source into which a test pours events.
type tap struct {
	events   chan capture.Event
	epoch    int64
	deadline time.Time
	unwanted atomic.Uint64 // the flow of which no more was wanted
	ignored  atomic.Uint64 // events

	mu   sync.Mutex
	lost map[string]uint64

	done chan struct{}
	err  error // what Next returns once done
	once sync.Once
}

var _ capture.Source = (*tap)(nil)

func newTap() *tap {
	return &tap{events: make(chan capture.Event), epoch: time.Now().UnixNano() - int64(time.Hour), done: make(chan struct{})}
}

func (s *tap) open(*Config) (capture.Source, error) { return s, nil }

func (s *tap) Next(e *capture.Event) error {
	timer := time.NewTimer(time.Until(s.deadline))
	defer timer.Stop()
	select {
	case *e = <-s.events:
		return nil
	case <-timer.C:
		return os.ErrDeadlineExceeded
	case <-s.done:
		return s.err
	}
}

func (s *tap) end(err error) {
	s.once.Do(func() {
		s.err = err
		close(s.done)
	})
}

func (s *tap) closed() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

func (s *tap) Shards() []capture.Shard              { return []capture.Shard{s} }
func (s *tap) Close() error                         { s.end(os.ErrClosed); return nil }
func (s *tap) SetDeadline(t time.Time)              { s.deadline = t }
func (s *tap) Skip(capture.FlowID, bool, uint32)    {}
func (s *tap) Frames(capture.FlowID, bool, uint32)  {}
func (s *tap) Whole(capture.FlowID, stream.Framing) {}
func (s *tap) Ignore(id capture.FlowID)             { s.unwanted.Store(uint64(id)) }
func (s *tap) Ignored() uint64                      { return s.ignored.Load() }
func (s *tap) LostAt() stream.Time                  { return 0 }
func (s *tap) Now() stream.Time                     { return stream.Time(time.Now().UnixNano() - s.epoch) }
func (s *tap) Epoch() int64                         { return s.epoch }

func (s *tap) Losses(yield func(reason string, n uint64)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for reason, n := range s.lost {
		yield(reason, n)
	}
}

func (s *tap) lose(reason string, n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost == nil {
		s.lost = make(map[string]uint64)
	}
	s.lost[reason] += n
}

// A talk is a connection between a client and a server, seen at the server.
type talk struct {
	tap       *tap
	id        capture.FlowID
	at        stream.Time
	sent, got uint32
}

// talk opens a connection now.
func (s *tap) talk(id capture.FlowID) *talk {
	t := &talk{tap: s, id: id, at: stream.Time(time.Now().UnixNano() - s.epoch), sent: 1, got: 1}
	t.pour(capture.Event{Kind: capture.Opened, Seq: t.got, Ack: t.sent})
	return t
}

// client and server pour what that side says, a millisecond later.
func (t *talk) client(text string) {
	t.pour(capture.Event{Kind: capture.Data, Seq: t.got, Ack: t.sent, Len: uint32(len(text)), Data: []byte(text)})
	t.got += uint32(len(text))
}

func (t *talk) server(text string) {
	t.pour(capture.Event{Kind: capture.Data, Out: true, Seq: t.sent, Ack: t.got, Len: uint32(len(text)), Data: []byte(text)})
	t.sent += uint32(len(text))
}

func (t *talk) close() { t.pour(capture.Event{Kind: capture.Closed, Seq: t.got, Ack: t.sent}) }

func (t *talk) pour(e capture.Event) {
	t.at += stream.Time(time.Millisecond)
	e.Flow, e.Time = t.id, t.at
	e.Side, e.Sure, e.Sequenced = stream.Server, true, true
	e.Local, e.Peer = netip.MustParseAddrPort("192.0.2.1:80"), netip.MustParseAddrPort("192.0.2.2:40000")
	if e.Kind == capture.Data {
		e.PID, e.Start, e.Comm = 1<<30, 1, [16]byte{'h', 't', 't', 'p', 'd'} // above every pid there can be
	}
	select {
	case t.tap.events <- e:
	case <-t.tap.done:
	}
}

const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func request(path string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: example.com\r\n\r\n"
}

// get is a request for path and its answer, on a connection of its own.
func (s *tap) get(id capture.FlowID, path string) {
	t := s.talk(id)
	t.client(request(path))
	t.server(answer)
	t.close()
}

// failing is an opener that cannot.
func failing(*Config) (capture.Source, error) { return nil, errDenied }

var errDenied = errors.New("attach tracepoint sock_send_length: operation not permitted")

package emit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver/receiverhelper"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/process"
)

// Defaults of Settings.
const (
	DefaultBatchSize    = 512                    // exchanges; a span of a batch costs 40 % less than one alone
	DefaultBatchTimeout = 200 * time.Millisecond // how late a quiet machine's exchanges may be
	defaultQueue        = 16                     // batches: 80 ms at 100,000 exchanges/s, some 20 MB
	defaultRetryFor     = 10 * time.Second       // memory_limiter refuses until a garbage collection or two have run
)

// grace is how long Shutdown waits, past its context, for calls that were
// cancelled to return.
const grace = 100 * time.Millisecond

// Settings say where a Sender sends what.
type Settings struct {
	Traces consumer.Traces // nil when no pipeline wants traces
	Logs   consumer.Logs   // nil when no pipeline wants logs
	Report *receiverhelper.ObsReport

	Scope, Version string // of the instrumentation scope
	Hostname       string // host.name of every resource; empty: none

	// Clients are the addresses of those whose end of a connection is observed
	// by another collector: never IPv4-mapped.
	Clients []netip.Prefix

	// Identify tells who a process is. It is called by a few goroutines at
	// once, never by an engine's, and may block. nil: process.Resolver{}.Resolve.
	Identify func(exchange.Process) process.Identity
	// Status is called by the sender with the error of a consumer after all
	// were well, and with nil when all are well again. May be nil.
	Status func(error)

	// Wait makes Emit wait for the sender where it would drop a batch: for a
	// source that loses nothing by waiting. Release ends it.
	Wait bool

	// Zero values mean the defaults.
	BatchSize    int           // exchanges; of long ones fewer, see maxText
	BatchTimeout time.Duration // age at which a batch is sent however small; exact to the interval of Tick
	Queue        int           // batches that wait for the sender
	RetryFor     time.Duration // how long one batch is offered again to a consumer that refuses it for now
}

// A Sender hands batches to consumers, and knows the processes that they tell of.
// Make one with New, and one of its Emitters for each engine.
type Sender struct {
	set      Settings
	emitters []*Emitter
	here     uint64 // see ids.here
	unknown  chan *subject
	queue    chan *batch
	losses   losses
	// unidentified counts processes of which nothing could be read, and batches
	// that did not wait for one.
	unidentified atomic.Uint64

	mu       sync.Mutex // of what follows; seldom taken, since an Emitter keeps those that it has met
	subjects *process.Cache[*subject]

	// Of Start and Shutdown.
	ctx      context.Context // of the calls to consumers
	cancel   context.CancelFunc
	stopping chan struct{} // closed: no more retries
	released chan struct{} // closed: Emit does not wait
	sent     chan struct{} // closed: the sender has ended
	idle     chan struct{} // one for each resolver that has ended
	started  bool
	stopped  bool

	failing [signals]bool // of the goroutine that sends
}

// New returns a Sender that sends nothing before Start.
func New(set Settings) *Sender {
	set.BatchSize = or(set.BatchSize, DefaultBatchSize)
	set.BatchTimeout = or(set.BatchTimeout, DefaultBatchTimeout)
	set.Queue = or(set.Queue, defaultQueue)
	set.RetryFor = or(set.RetryFor, defaultRetryFor)
	if set.Identify == nil {
		set.Identify = process.Resolver{}.Resolve
	}
	s := &Sender{
		set:      set,
		here:     rand.Uint64(),
		unknown:  make(chan *subject, maxUnknown),
		queue:    make(chan *batch, set.Queue),
		subjects: process.NewCache(maxProcesses, newSubject),
		stopping: make(chan struct{}),
		released: make(chan struct{}),
		sent:     make(chan struct{}),
		idle:     make(chan struct{}, resolvers),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

func or[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// Emitter returns another Emitter. To be called before any of them is used.
func (s *Sender) Emitter() *Emitter {
	e := &Emitter{sender: s, set: &s.set, ids: newIDs(s.here)}
	e.actors = process.NewCache(2*s.set.BatchSize, e.newActor) // none is forgotten that is in the batch
	s.emitters = append(s.emitters, e)
	return e
}

// Start starts to send, and the goroutines that look processes up.
func (s *Sender) Start() {
	s.started = true
	for range resolvers {
		go s.resolve()
	}
	go s.send()
}

// take puts a batch into the queue, and reports whether there was room.
func (s *Sender) take(b *batch) bool {
	select {
	case s.queue <- b:
		return true
	default:
	}
	if s.set.Wait {
		select {
		case s.queue <- b:
			return true
		case <-s.released:
		}
	}
	return false
}

// drop counts both signals of a batch as lost.
func (s *Sender) drop(b *batch, why loss) {
	if s.set.Traces != nil {
		s.losses.add(why, b.exchanges)
	}
	if s.set.Logs != nil {
		s.losses.add(why, b.exchanges)
	}
}

// Release makes Emit wait no more, so that who calls it can be stopped. To be
// called once. Any goroutine.
func (s *Sender) Release() { close(s.released) }

// Shutdown sends what is left, offering each batch once more at most, and
// ends all goroutines. When ctx is over first it drops the rest, counts it
// and returns an error. Nothing of an Emitter must be called any more, nor Start;
// none of it need have been. A second call does nothing.
func (s *Sender) Shutdown(ctx context.Context) error {
	if s.stopped {
		return nil
	}
	s.stopped = true
	defer s.cancel()
	close(s.stopping)
	for _, e := range s.emitters {
		if e.batch != nil {
			s.takeLast(ctx, e.seal())
		}
	}
	close(s.unknown)
	close(s.queue)
	if !s.started {
		s.dropQueue()
		return nil
	}

	var err error
	select {
	case <-s.sent:
	case <-ctx.Done():
		err = fmt.Errorf("send the last batches: %w", ctx.Err())
		s.cancel()
		s.dropQueue()
	}
	// A consumer that ignores its context, and a process whose files cannot be
	// read, must not keep the collector from ending.
	late := time.NewTimer(grace)
	defer late.Stop()
	for range resolvers {
		select {
		case <-s.idle:
		case <-late.C:
			return err
		}
	}
	select {
	case <-s.sent:
	case <-late.C:
	}
	return err
}

// takeLast is take, but waits: nothing comes after the batches of Shutdown. One
// for which there is no time is dropped.
func (s *Sender) takeLast(ctx context.Context, b *batch) {
	if s.started {
		select {
		case s.queue <- b:
			return
		case <-ctx.Done():
		}
	}
	s.drop(b, atShutdown)
}

// dropQueue may run beside the sender: each batch goes to one of them.
func (s *Sender) dropQueue() {
	for b := range s.queue {
		s.drop(b, atShutdown)
	}
}

// Losses reports, for each reason, how many spans and log records were
// dropped. Any goroutine.
func (s *Sender) Losses(yield func(reason string, items uint64)) { s.losses.each(yield) }

// Evictions is how many processes were forgotten to make place for others.
// They are looked up again when they are seen again. Any goroutine.
func (s *Sender) Evictions() uint64 { return s.subjects.Evictions() }

// Unidentified counts processes that had ended before they were looked up or
// that may not be read, and for each batch those that were not known in time:
// they are told by their short names. Any goroutine.
func (s *Sender) Unidentified() uint64 { return s.unidentified.Load() }

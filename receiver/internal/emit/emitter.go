// Package emit turns exchanges into spans and log records and hands them to
// the consumers of the pipelines.
//
// Both signals are written once, straight into a batch. A full batch goes to
// one sender goroutine through a short queue; when that is full the batch is
// dropped and counted, because waiting would lose events in the kernel where
// less is known of them. For spans and log records alike:
//
//	exchanges emitted = accepted by the consumer + Losses + still in the batch or queue
package emit

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver/receiverhelper"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/process"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Defaults of Settings.
const (
	DefaultBatchSize    = 512                    // exchanges; a span of a batch costs 40 % less than one alone
	DefaultBatchTimeout = 200 * time.Millisecond // how late a quiet machine's exchanges may be
	defaultQueue        = 16                     // batches: 80 ms at 100,000 exchanges/s, some 20 MB
	defaultRetryFor     = 10 * time.Second       // memory_limiter refuses until a garbage collection or two have run
)

const (
	// maxText is how many bytes of text the exchanges of a full batch may have on
	// average; a batch of longer ones is sent before it is full. Most have some
	// 300. Peers can make 16 KiB of a few bytes: HTTP/2 by its header tables, MySQL
	// by prepared statements.
	maxText = 2 << 10

	// maxProcesses outlives the process table of a busy node. An entry is
	// about 1 KB.
	maxProcesses = 8192

	// grace is how long Shutdown waits, past its context, for calls that were
	// cancelled to return.
	grace = 100 * time.Millisecond
)

// Settings say where an Emitter sends what.
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
	// once, never by the engine's, and may block. nil: process.Resolver{}.Resolve.
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

// An Emitter builds batches and sends them. Process, Emit, Tick and Flush
// belong to the engine's goroutine.
type Emitter struct {
	set      Settings
	subjects *process.Cache[*subject]
	unknown  chan *subject
	queue    chan *batch
	losses   losses
	// unidentified counts processes of which nothing could be read, and batches
	// that did not wait for one.
	unidentified atomic.Uint64

	// Of the engine's goroutine.
	ids     ids
	strings exchange.Strings
	batch   *batch
	serial  uint64 // number of batches begun
	now     stream.Time
	epoch   int64
	summary []byte // reused

	// Of Start and Shutdown.
	ctx      context.Context // of the calls to consumers
	cancel   context.CancelFunc
	stopping chan struct{} // closed: no more retries
	released chan struct{} // closed: Emit does not wait
	sent     chan struct{} // closed: the sender has ended
	idle     chan struct{} // one for each resolver that has ended
	started  bool
	stopped  bool

	failing [signals]bool // of the sender
}

// New returns an Emitter that sends nothing before Start.
func New(set Settings) *Emitter {
	set.BatchSize = or(set.BatchSize, DefaultBatchSize)
	set.BatchTimeout = or(set.BatchTimeout, DefaultBatchTimeout)
	set.Queue = or(set.Queue, defaultQueue)
	set.RetryFor = or(set.RetryFor, defaultRetryFor)
	if set.Identify == nil {
		set.Identify = process.Resolver{}.Resolve
	}
	e := &Emitter{
		set:      set,
		ids:      newIDs(),
		unknown:  make(chan *subject, maxUnknown),
		queue:    make(chan *batch, set.Queue),
		stopping: make(chan struct{}),
		released: make(chan struct{}),
		sent:     make(chan struct{}),
		idle:     make(chan struct{}, resolvers),
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.subjects = process.NewCache(maxProcesses, newSubject)
	return e
}

func or[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// Start starts the sender and the goroutines that look processes up.
func (e *Emitter) Start() {
	e.started = true
	for range resolvers {
		go e.resolve()
	}
	go e.send()
}

// Process begins to find out who p is. Called at the first sight of a process
// it makes those known that end before their first exchange does.
func (e *Emitter) Process(p exchange.Process) { e.subject(p) }

// Emit writes x into the batch. Nothing of x is kept. Tick must have been
// called before.
func (e *Emitter) Emit(x exchange.Exchange) {
	if e.set.Traces == nil && e.set.Logs == nil {
		return
	}
	if e.batch == nil {
		e.batch = e.newBatch()
	}
	b := e.batch
	e.write(x, b.group(e.subject(x.Base().Endpoint.Process)))
	b.exchanges++
	b.text += x.Size()
	if b.exchanges >= e.set.BatchSize || b.text >= e.set.BatchSize*maxText {
		e.flush()
	}
}

// Tick tells the time, and sends a batch that is old enough. epoch is what to
// add to a stream.Time to get nanoseconds since 1970 UTC.
func (e *Emitter) Tick(now stream.Time, epoch int64) {
	e.now, e.epoch = now, epoch
	if b := e.batch; b != nil && now >= b.born+stream.Time(e.set.BatchTimeout) {
		e.flush()
	}
}

// Flush sends the batch however young it is.
func (e *Emitter) Flush() {
	if e.batch != nil {
		e.flush()
	}
}

// flush gives the batch to the sender, or drops it.
func (e *Emitter) flush() {
	b := e.seal()
	select {
	case e.queue <- b:
		return
	default:
	}
	if e.set.Wait {
		select {
		case e.queue <- b:
			return
		case <-e.released:
		}
	}
	e.drop(b, queueFull)
}

// seal takes the batch away from Emit, and asks again for those processes for
// which there was no place in the queue of the resolvers.
func (e *Emitter) seal() *batch {
	b := e.batch
	e.batch = nil
	for i := range b.groups {
		g := &b.groups[i]
		g.pending = e.ask(g.subject)
		g.subject.length = g.length()
	}
	return b
}

// drop counts both signals of a batch as lost.
func (e *Emitter) drop(b *batch, why loss) {
	if e.set.Traces != nil {
		e.losses.add(why, b.exchanges)
	}
	if e.set.Logs != nil {
		e.losses.add(why, b.exchanges)
	}
}

// Release makes Emit wait no more, so that who calls it can be stopped. To be
// called once. Any goroutine.
func (e *Emitter) Release() { close(e.released) }

// Shutdown sends what is left, offering each batch once more at most, and
// ends all goroutines. When ctx is over first it drops the rest, counts it
// and returns an error. Process, Emit and Tick must not be called any more, nor
// Start; none of them need have been. A second call does nothing.
func (e *Emitter) Shutdown(ctx context.Context) error {
	if e.stopped {
		return nil
	}
	e.stopped = true
	defer e.cancel()
	close(e.stopping)
	if e.batch != nil {
		e.flushAtEnd(ctx)
	}
	close(e.unknown)
	close(e.queue)
	if !e.started {
		e.dropQueue()
		return nil
	}

	var err error
	select {
	case <-e.sent:
	case <-ctx.Done():
		err = fmt.Errorf("send the last batches: %w", ctx.Err())
		e.cancel()
		e.dropQueue()
	}
	// A consumer that ignores its context, and a process whose files cannot be
	// read, must not keep the collector from ending.
	late := time.NewTimer(grace)
	defer late.Stop()
	for range resolvers {
		select {
		case <-e.idle:
		case <-late.C:
			return err
		}
	}
	select {
	case <-e.sent:
	case <-late.C:
	}
	return err
}

// flushAtEnd is flush, but waits: nothing comes after this batch.
func (e *Emitter) flushAtEnd(ctx context.Context) {
	b := e.seal()
	if e.started {
		select {
		case e.queue <- b:
			return
		case <-ctx.Done():
		}
	}
	e.drop(b, atShutdown)
}

// dropQueue may run beside the sender: each batch goes to one of them.
func (e *Emitter) dropQueue() {
	for b := range e.queue {
		e.drop(b, atShutdown)
	}
}

// Losses reports, for each reason, how many spans and log records were
// dropped. Any goroutine.
func (e *Emitter) Losses(yield func(reason string, items uint64)) { e.losses.each(yield) }

// Evictions is how many processes were forgotten to make place for others.
// They are looked up again when they are seen again. Any goroutine.
func (e *Emitter) Evictions() uint64 { return e.subjects.Evictions() }

// Unidentified counts processes that had ended before they were looked up or
// that may not be read, and for each batch those that were not known in time:
// they are told by their short names. Any goroutine.
func (e *Emitter) Unidentified() uint64 { return e.unidentified.Load() }

// Package emit turns exchanges into spans and log records and hands them to
// the consumers of the pipelines.
//
// Both signals are written once, straight into a batch: of an Emitter for each
// engine. Full batches go to one Sender through a short queue; when that is full the
// batch is dropped and counted, because waiting would lose events in the kernel where
// less is known of them. For spans and log records alike:
//
//	exchanges emitted = accepted by the consumer + Losses + still in the batch or queue
package emit

import (
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/process"
	"github.com/perisco-io/perisco/receiver/internal/stream"
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
)

// An Emitter writes the exchanges of one engine into batches. It belongs to the
// goroutine of that engine.
type Emitter struct {
	sender *Sender
	set    *Settings // of sender
	actors *process.Cache[*actor]

	ids     ids
	strings exchange.Strings
	batch   *batch
	serial  uint64 // number of batches begun
	now     stream.Time
	epoch   int64
	summary []byte // reused
}

// Process begins to find out who p is. Called at the first sight of a process
// it makes those known that end before their first exchange does.
func (e *Emitter) Process(p exchange.Process) { e.actor(p) }

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
	e.write(x, b.group(e.actor(x.Base().Endpoint.Process)))
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

// Flush sends the batch however young it is, or leaves it to Shutdown if there is
// no room for it: all engines flush when they are stopped.
func (e *Emitter) Flush() {
	if e.batch == nil {
		return
	}
	if b := e.seal(); !e.sender.take(b) {
		e.batch = b
	}
}

// flush gives the batch to the sender, or drops it.
func (e *Emitter) flush() {
	if b := e.seal(); !e.sender.take(b) {
		e.sender.drop(b, queueFull)
	}
}

// seal takes the batch away from Emit, and asks again for those processes for
// which there was no place in the queue of the resolvers.
func (e *Emitter) seal() *batch {
	b := e.batch
	e.batch = nil
	for i := range b.groups {
		g := &b.groups[i]
		g.pending = e.sender.ask(g.actor.subject)
		g.actor.length = g.length()
	}
	return b
}

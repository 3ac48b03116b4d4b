package emit

import (
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
)

// format is what ObsReport calls what we receive.
const format = "perisco"

// Between two attempts to hand over a batch the sender waits this long,
// twice as long each time.
const (
	firstWait = 5 * time.Millisecond
	maxWait   = 500 * time.Millisecond
)

type signal uint8

const (
	traces signal = iota
	logs
	signals // how many there are
)

// send hands batches over, in order, until there will be no more. What
// ObsReport counts as refused is what was dropped, not each attempt.
//
// With the feature gate pdata.useProtoPooling the first component of a pipeline
// recycles what it was given when it returns, with an error or without, unless
// others refer to it: as send does, which may offer it again.
func (e *Emitter) send() {
	defer close(e.sent)
	for b := range e.queue {
		b.identify(patience)
		if e.set.Traces != nil {
			ctx := e.set.Report.StartTracesOp(e.ctx)
			pref.RefTraces(b.traces)
			err := e.deliver(traces, b.exchanges, func() error { return e.set.Traces.ConsumeTraces(ctx, b.traces) })
			pref.UnrefTraces(b.traces)
			e.set.Report.EndTracesOp(ctx, format, b.exchanges, err)
		}
		if e.set.Logs != nil {
			ctx := e.set.Report.StartLogsOp(e.ctx)
			pref.RefLogs(b.logs)
			err := e.deliver(logs, b.exchanges, func() error { return e.set.Logs.ConsumeLogs(ctx, b.logs) })
			pref.UnrefLogs(b.logs)
			e.set.Report.EndLogsOp(ctx, format, b.exchanges, err)
		}
	}
}

// deliver offers items to a consumer until it takes them, rejects them for
// good or has refused them for too long. It counts them if it returns an error.
//
// Each time it offers the whole batch, even if the error says that a part was
// taken (consumererror.Traces): behind a fan-out it says so of one branch only.
func (e *Emitter) deliver(sig signal, items int, consume func() error) error {
	until := time.Now().Add(e.set.RetryFor)
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		if err := e.ctx.Err(); err != nil {
			e.losses.add(atShutdown, items)
			return err
		}
		err := consume()
		e.report(sig, err)
		switch {
		case err == nil:
			return nil
		case consumererror.IsPermanent(err):
			e.losses.add(rejected, items)
			return err
		case e.ctx.Err() != nil:
			e.losses.add(atShutdown, items)
			return err
		case closed(e.stopping) || time.Now().Add(wait).After(until):
			e.losses.add(refused, items)
			return err
		}
		e.pause(wait)
	}
}

// pause waits, but not when stopping.
func (e *Emitter) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-e.stopping:
	}
}

// report tells Settings.Status when the first consumer begins to fail and
// when the last one works again.
func (e *Emitter) report(sig signal, err error) {
	before := e.failing
	e.failing[sig] = err != nil
	if healthy := [signals]bool{}; e.set.Status != nil && (before == healthy) != (e.failing == healthy) {
		e.set.Status(err)
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

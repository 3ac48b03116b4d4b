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
func (s *Sender) send() {
	defer close(s.sent)
	for b := range s.queue {
		s.identify(b, patience)
		if s.set.Traces != nil {
			ctx := s.set.Report.StartTracesOp(s.ctx)
			pref.RefTraces(b.traces)
			err := s.deliver(traces, b.exchanges, func() error { return s.set.Traces.ConsumeTraces(ctx, b.traces) })
			pref.UnrefTraces(b.traces)
			s.set.Report.EndTracesOp(ctx, format, b.exchanges, err)
		}
		if s.set.Logs != nil {
			ctx := s.set.Report.StartLogsOp(s.ctx)
			pref.RefLogs(b.logs)
			err := s.deliver(logs, b.exchanges, func() error { return s.set.Logs.ConsumeLogs(ctx, b.logs) })
			pref.UnrefLogs(b.logs)
			s.set.Report.EndLogsOp(ctx, format, b.exchanges, err)
		}
	}
}

// deliver offers items to a consumer until it takes them, rejects them for
// good or has refused them for too long. It counts them if it returns an error.
//
// Each time it offers the whole batch, even if the error says that a part was
// taken (consumererror.Traces): behind a fan-out it says so of one branch only.
func (s *Sender) deliver(sig signal, items int, consume func() error) error {
	until := time.Now().Add(s.set.RetryFor)
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		if err := s.ctx.Err(); err != nil {
			s.losses.add(atShutdown, items)
			return err
		}
		err := consume()
		s.report(sig, err)
		switch {
		case err == nil:
			return nil
		case consumererror.IsPermanent(err):
			s.losses.add(rejected, items)
			return err
		case s.ctx.Err() != nil:
			s.losses.add(atShutdown, items)
			return err
		case closed(s.stopping) || time.Now().Add(wait).After(until):
			s.losses.add(refused, items)
			return err
		}
		s.pause(wait)
	}
}

// pause waits, but not when stopping.
func (s *Sender) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.stopping:
	}
}

// report tells Settings.Status when the first consumer begins to fail and
// when the last one works again.
func (s *Sender) report(sig signal, err error) {
	before := s.failing
	s.failing[sig] = err != nil
	if healthy := [signals]bool{}; s.set.Status != nil && (before == healthy) != (s.failing == healthy) {
		s.set.Status(err)
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

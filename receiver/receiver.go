package receiver

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"
)

// An instance is the receiver of one configuration: of traces, of logs, or of
// both. It runs once; to run again the collector creates another.
type instance struct {
	cfg  *Config
	set  receiver.Settings
	home *instances

	status status

	mu      sync.Mutex // held by Start and Shutdown, never while events are handled
	next    consumers
	phase   phase
	err     error    // of Start
	running *running // nil while idle
}

// A phase is what was called of an instance. It only grows.
type phase uint8

const (
	created phase = iota
	started
	stopped
)

var _ component.Component = (*instance)(nil)

var (
	errTaken   = errors.New("another consumer of the same signal was given before")
	errStarted = errors.New("already started")
	errStopped = errors.New("already shut down")
)

// join adds the consumer of a signal.
func (r *instance) join(next consumers) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.phase != created:
		return errStarted
	case next.traces != nil && r.next.traces != nil, next.logs != nil && r.next.logs != nil:
		return errTaken
	case next.traces != nil:
		r.next.traces = next.traces
	case next.logs != nil:
		r.next.logs = next.logs
	}
	return nil
}

// Start starts to capture. Where several signals share the instance, the first
// call does, and the others return what it returned.
func (r *instance) Start(_ context.Context, host component.Host) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.join(host)
	switch r.phase {
	case started:
		return r.err
	case stopped:
		return errStopped
	}
	r.phase = started
	if err := checkProcfs(r.cfg.ProcPath); err != nil && r.cfg.Capture.PCAP.File == "" {
		r.set.Logger.Warn("Processes are told by their short names alone", zap.Error(err))
	}
	r.running, r.err = start(r.cfg, r.set, r.next, &r.status, r.home.open)
	if r.err != nil && r.cfg.ErrorMode == IgnoreError {
		r.set.Logger.Error("Idle, because capturing cannot start and error_mode is ignore", zap.Error(r.err))
		r.status.fail(r.err)
		r.err = nil
	}
	return r.err
}

// Shutdown ends what Start began, and hands on what was captured until then.
// The first signal's call does it for all.
func (r *instance) Shutdown(ctx context.Context) error {
	r.home.leave(r)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.phase == stopped {
		return nil
	}
	r.phase = stopped
	r.status.close()
	if r.running == nil {
		return nil
	}
	return r.running.stop(ctx)
}

package receiver

import (
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
)

// A status tells the collector how the receiver is: every host of it, since
// each signal has one. The zero value is ready to use and safe for concurrent
// use.
type status struct {
	mu     sync.Mutex
	hosts  []component.Host
	last   *componentstatus.Event // nil while all was well
	closed bool
}

// join adds a host and tells it of the trouble there is.
func (s *status) join(host component.Host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts = append(s.hosts, host)
	if s.last != nil && !s.closed {
		componentstatus.ReportStatus(host, s.last)
	}
}

// fail reports an error that needs somebody to act. It is the last report.
func (s *status) fail(err error) { s.report(componentstatus.NewPermanentErrorEvent(err)) }

// set reports an error that may pass or, with nil, that it has.
func (s *status) set(err error) {
	if err != nil {
		s.report(componentstatus.NewRecoverableErrorEvent(err))
	} else {
		s.report(componentstatus.NewEvent(componentstatus.StatusOK))
	}
}

func (s *status) report(e *componentstatus.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.last != nil && s.last.Status() == componentstatus.StatusPermanentError {
		return
	}
	s.last = e
	for _, host := range s.hosts {
		componentstatus.ReportStatus(host, e)
	}
}

// close ends the reports: the collector itself tells of what stops.
func (s *status) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

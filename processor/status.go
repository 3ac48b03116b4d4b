package processor

import (
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
)

// A status tells the collector whether the cluster can be watched: every host of
// the processor, since each pipeline has one. The zero value is ready to use and
// safe for concurrent use.
type status struct {
	mu     sync.Mutex
	hosts  []component.Host
	err    error // nil while all is well
	closed bool
}

// join adds a host and tells it of the trouble there is.
func (s *status) join(host component.Host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts = append(s.hosts, host)
	if s.err != nil && !s.closed {
		componentstatus.ReportStatus(host, componentstatus.NewRecoverableErrorEvent(s.err))
	}
}

// set reports an error, which may pass, or, with nil, that it has.
func (s *status) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.err = err
	e := componentstatus.NewEvent(componentstatus.StatusOK)
	if err != nil {
		e = componentstatus.NewRecoverableErrorEvent(err)
	}
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

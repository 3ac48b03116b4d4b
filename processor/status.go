package processor

import (
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
)

// A status tells the collector whether the cluster can be watched: the host of
// each processor that runs, since each pipeline has one. The zero value is ready
// to use and safe for concurrent use.
//
// The receiver has one that looks much the same. Its hosts come and go together,
// though, and this module stands on nothing of the receiver's.
type status struct {
	mu    sync.Mutex
	hosts map[*user]component.Host // written by join, deleted from by leave
	err   error                    // nil while all is well
}

// join adds a processor and tells its host of the trouble there is.
func (s *status) join(u *user, host component.Host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hosts == nil {
		s.hosts = make(map[*user]component.Host)
	}
	s.hosts[u] = host
	if s.err != nil {
		componentstatus.ReportStatus(host, componentstatus.NewRecoverableErrorEvent(s.err))
	}
}

// leave ends the reports about a processor, since the collector itself tells of
// what stops. It reports whether there was one.
func (s *status) leave(u *user) (joined bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, joined = s.hosts[u]
	delete(s.hosts, u)
	return joined
}

// set reports an error, which may pass, or, with nil, that it has.
func (s *status) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	e := componentstatus.NewEvent(componentstatus.StatusOK)
	if err != nil {
		e = componentstatus.NewRecoverableErrorEvent(err)
	}
	for _, host := range s.hosts {
		componentstatus.ReportStatus(host, e)
	}
}

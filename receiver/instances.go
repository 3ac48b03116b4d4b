package receiver

import (
	"fmt"
	"sync"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
)

// instances holds the receivers that were created and not shut down. The
// collector asks for one by signal; those of one configuration are the same, so
// that the kernel is watched once.
type instances struct {
	open opener

	mu       sync.Mutex            // taken before that of an instance, never after
	byConfig map[*Config]*instance // written by join, deleted from at Shutdown
}

// consumers are those that a receiver feeds, nil where nobody wants the signal.
type consumers struct {
	traces consumer.Traces
	logs   consumer.Logs
}

// join returns the receiver of cfg, which from now on feeds next as well.
// Several pipelines of a signal share one consumer, which the collector makes,
// so that a second one is a mistake of who embeds the receiver.
func (s *instances) join(set receiver.Settings, cfg *Config, next consumers) (*instance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.byConfig[cfg]
	if !ok {
		r = &instance{cfg: cfg, set: set, home: s}
		if s.byConfig == nil {
			s.byConfig = make(map[*Config]*instance)
		}
		s.byConfig[cfg] = r
	}
	if err := r.join(next); err != nil {
		return nil, fmt.Errorf("%s: %w", set.ID, err)
	}
	return r, nil
}

// leave makes room for another receiver of the same configuration, which may
// be there already.
func (s *instances) leave(r *instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byConfig[r.cfg] == r {
		delete(s.byConfig, r.cfg)
	}
}

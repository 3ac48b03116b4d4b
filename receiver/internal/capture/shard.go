//go:build linux && (amd64 || arm64)

package capture

import (
	"math"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// A shard is the connections whose events come over one ring.
type shard struct {
	*kernel
	ring     *ring
	refusals refusals
	early    backlog // came during the self-test
	lost     uint64  // events of all shards, as of the last call of LostAt
	lostAt   stream.Time
}

var (
	_ Shard    = (*shard)(nil)
	_ Foreseer = (*shard)(nil)
)

func (s *shard) Next(e *Event) error {
	for {
		raw := s.early.next()
		if raw == nil {
			var err error
			if raw, err = s.ring.next(); err != nil {
				return err
			}
		}
		if err := decode(e, raw, s.programs.missing); err != nil {
			return err
		}
		// Own data from before the kernel was told to leave it out.
		if e.PID == s.self && e.Kind == Data {
			continue
		}
		return s.refusals.judge(e)
	}
}

func (s *shard) Ahead(ids []FlowID) int { return s.ring.ahead(ids) }

func (s *shard) SetDeadline(t time.Time) { s.ring.deadline = t }

func (s *shard) Skip(id FlowID, out bool, until uint32) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.closed {
		s.policies.skip(id, out, until, 0)
	}
}

func (s *shard) Frames(id FlowID, out bool, at uint32) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.closed {
		s.policies.skip(id, out, at, frameBegins)
	}
}

func (s *shard) Ignore(id FlowID) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.closed {
		s.policies.records(id, 0, 0)
	}
}

func (s *shard) Whole(id FlowID, skim stream.Framing) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	opening := 0
	for i := range s.openings {
		if skim.SkimFrom > 0 && s.openings[i].Frames == skim {
			opening = i + 1
		}
	}
	if !s.closed {
		s.policies.records(id, math.MaxUint8, uint8(opening)) // the kernel knows how many it can make
	}
}

func (s *shard) LostAt() stream.Time {
	var lost uint64
	s.Losses(func(_ string, events uint64) { lost += events })
	if lost > s.lost {
		s.lost, s.lostAt = lost, s.Now()
	}
	return s.lostAt
}

func (s *shard) Now() stream.Time { return stream.Time(boottime()) }

func (s *shard) Epoch() int64 { return offset(realtime, boottime) }

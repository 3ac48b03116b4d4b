package engine_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/engine"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// seer is a script that tells what comes next, and sometimes what does not.
type seer struct {
	script
	told int
}

func (s *seer) Ahead(ids []capture.FlowID) int {
	n := copy(ids, []capture.FlowID{1 << 40, 0})
	for _, e := range s.events[s.next:min(len(s.events), s.next+7)] {
		ids[n] = e.Flow
		n++
	}
	s.told += n
	return n
}

func TestWhatIsForeseenChangesNothing(t *testing.T) {
	var s seer
	var flows []*flow
	for i := range 3000 {
		f := s.flow(capture.FlowID(1+i), stream.Server).open()
		switch i % 3 {
		case 0:
			f.client("?" + strconv.Itoa(i) + "\n")
		case 1:
			f.client("EHLO\n") // ignored
		}
		flows = append(flows, f)
	}
	for i, f := range flows {
		if i%3 == 0 {
			f.server("!0\n").client("?again\n")
		}
		f.close()
	}
	most := func(set *engine.Settings) { set.MaxConnections = 2500 }
	plain := script{events: slices.Clone(s.events)}
	for i := range plain.events {
		plain.events[i].Data = slices.Clone(plain.events[i].Data)
	}
	want, _ := run(t, &plain, most)
	got, _ := run(t, &s.script, most, func(set *engine.Settings) { set.Source = &s })
	if !slices.Equal(got.exchanges, want.exchanges) || len(got.exchanges) < 1000 {
		t.Errorf("%d exchanges, want %d", len(got.exchanges), len(want.exchanges))
	}
	if s.told == 0 {
		t.Error("nobody asked")
	}
}

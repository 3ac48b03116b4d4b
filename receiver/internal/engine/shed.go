package engine

import "github.com/perisco-io/perisco/receiver/internal/stream"

// weigh notes how much memory f takes for what was learnt on it.
func (e *Engine) weigh(f *flow) {
	n := 0
	if f.conn != nil {
		n = f.conn.Weight()
	}
	n += f.halves[0].buf.Weight() + f.halves[1].buf.Weight()
	e.weight += n - int(f.weight)
	f.weight = int32(n) // the bounds of a connection are far lower
}

// shed makes connections forget what was learnt on them until all together take
// no more memory than they may. Those that were quiet for longest go first, and
// none that takes less than its share: half of what is allowed, divided by all.
// So there is always one that can, and few that take much harm none of many that
// take little.
//
// Each flow is passed once after it was active, and again only where the share
// has become smaller since: where there are more flows.
func (e *Engine) shed(now stream.Time) {
	for rounds := 0; e.weight > e.MaxState && rounds < 2; {
		f, share := e.recent.pass(), e.MaxState/2/len(e.places)
		if f == nil {
			rounds++
			continue
		}
		if int(f.weight) > share {
			e.sleep(f)
		}
		if int(f.weight) > share && e.weight > e.MaxState {
			e.strip(f, now)
		}
	}
}

// strip takes from f what was learnt on it.
func (e *Engine) strip(f *flow, now stream.Time) {
	e.stats.lose(stateEvicted)
	open := f.open()
	e.unstick(f, errCrowd, now)
	if f.conn != nil {
		f.conn.Shed(now)
	}
	e.recount(f, open)
	e.abandon(f)
	e.weigh(f)
}

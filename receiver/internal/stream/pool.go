package stream

const (
	poolBlocks  = 256      // free blocks kept: with poolBlock, 4 MiB at the most
	poolBlock   = 16 << 10 // larger blocks are left to the garbage collector
	minBlock    = 512      // smallest block handed out: most heads fit
	poolWaiting = 4096     // free ones kept: 800 KiB
)

// A Pool keeps the memory of buffers for reuse, so that a connection pays for
// the bytes it waits on and an idle one for none. The zero value and nil are
// ready to use. Not safe for concurrent use.
type Pool struct {
	free    [][]byte
	waiting []*waiting
}

// get returns an empty slice with room for n bytes.
func (p *Pool) get(n int) []byte {
	if p == nil {
		return make([]byte, 0, n)
	}
	if k := len(p.free); k > 0 && cap(p.free[k-1]) >= n {
		b := p.free[k-1]
		p.free = p.free[:k-1]
		return b[:0]
	}
	return make([]byte, 0, max(n, minBlock))
}

// put takes back what get returned, or nil.
func (p *Pool) put(b []byte) {
	if p != nil && cap(b) > 0 && cap(b) <= poolBlock && len(p.free) < poolBlocks {
		p.free = append(p.free, b)
	}
}

func (p *Pool) getWaiting() *waiting {
	if p != nil {
		if k := len(p.waiting); k > 0 {
			w := p.waiting[k-1]
			p.waiting = p.waiting[:k-1]
			return w
		}
	}
	return &waiting{pool: p}
}

// putWaiting takes back what getWaiting returned, of which nothing is held.
func (p *Pool) putWaiting(w *waiting) {
	if p != nil && len(p.waiting) < poolWaiting {
		w.held, w.own = nil, nil
		p.waiting = append(p.waiting, w)
	}
}

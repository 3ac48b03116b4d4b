//go:build linux && (amd64 || arm64)

package capture

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/perisco-io/perisco/bpf"
)

// maxVerdicts bounds the programs whose verdict is remembered here. The kernel
// has one of its own for those that are refused.
const maxVerdicts = 16 << 10

// refusals tell the kernel whose data is not wanted. The first that a program
// reads or writes comes nevertheless, and is dropped here.
type refusals struct {
	wanted func(pid uint32, start uint64, comm [16]byte) bool // nil: all are
	kernel *ebpf.Map
	known  map[program]bool
	last   program // that was wanted
}

// A program is what a process runs from one exec to the next.
type program struct {
	start uint64
	pid   uint32
	execs uint32
}

// judge empties an event if the process that moved its bytes is not wanted.
func (r *refusals) judge(e *Event) error {
	if r.wanted == nil || e.Kind != Data {
		return nil
	}
	p := program{start: e.Start, pid: e.PID, execs: e.Execs}
	if p == r.last {
		return nil
	}
	verdict, known := r.known[p]
	if !known {
		verdict = r.wanted(e.PID, e.Start, e.Comm)
		if len(r.known) >= maxVerdicts || r.known == nil {
			r.known = make(map[program]bool)
		}
		r.known[p] = verdict
	}
	if verdict {
		r.last = p
		return nil
	}
	*e = Event{Flow: e.Flow, Kind: Refused, Side: e.Side, Sure: e.Sure, Time: e.Time, Local: e.Local, Peer: e.Peer}
	// Again if the kernel has forgotten it.
	if err := r.kernel.Put(p.pid, bpf.CaptureRefusal{StartNs: p.start, Execs: p.execs}); err != nil {
		return fmt.Errorf("refuse process %d: %w", p.pid, err)
	}
	return nil
}

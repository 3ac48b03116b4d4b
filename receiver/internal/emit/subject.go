package emit

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/process"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const (
	// Reading procfs takes some 60 µs, and without end where a process keeps
	// its address space locked, so neither the engine nor the sender does it.
	resolvers  = 4   // of which as many but one may hang
	maxUnknown = 256 // processes that wait for them; asked again at the next sight
	// patience is how long the sender waits for the resources of a batch. Past
	// it the processes that hang are told by their short names.
	patience = time.Second
)

// A subject is an observed process and the resource that stands for it.
type subject struct {
	process exchange.Process
	known   chan struct{}    // closed: identity is set, for good
	who     process.Identity // who it is; empty before known is closed

	// Of the engine's goroutine.
	asked  bool
	batch  uint64 // the last batch that has a group of it, and which
	group  int
	length int    // of that group; while it is filled, of the one before
	room   [2]int // attributes to make room for, by side: what an exchange had at the most, in this group or the one before
	most   [2]int // in this group

	// Of the sender.
	built pcommon.Resource
	ready bool // built is set
	hangs bool // was waited for in vain
}

func newSubject(p exchange.Process) *subject {
	return &subject{process: p, known: make(chan struct{})}
}

// begin notes which group of which batch is that of s now. It expects of its
// exchanges what those of the group before were like.
func (s *subject) begin(batch uint64, group int) {
	s.batch, s.group = batch, group
	s.room, s.most = s.most, [2]int{}
}

// attributes is how many to make room for in an exchange of that side.
func (s *subject) attributes(side stream.Side) int {
	if n := s.room[side]; n > 0 {
		return n
	}
	return usualAttributes
}

// had notes how many it had.
func (s *subject) had(side stream.Side, attributes int) {
	s.most[side] = max(s.most[side], attributes)
	s.room[side] = max(s.room[side], attributes)
}

// subject returns the subject that stands for p, and makes sure that somebody
// looks it up.
func (e *Emitter) subject(p exchange.Process) *subject {
	s := e.subjects.Get(p)
	if !s.asked {
		e.ask(s)
	}
	return s
}

// ask reports whether s is being looked up or has been.
func (e *Emitter) ask(s *subject) bool {
	if !s.asked {
		select {
		case e.unknown <- s:
			s.asked = true
		default:
		}
	}
	return s.asked
}

// resolve looks processes up, until there will be no more.
func (e *Emitter) resolve() {
	for s := range e.unknown {
		if s.who = e.set.Identify(s.process); !s.who.Read {
			e.unidentified.Add(1)
		}
		close(s.known)
	}
	e.idle <- struct{}{}
}

// resource returns the resource of a group's subject, by its short name if
// the subject is not pending or not known before late fires. It belongs to the
// subject.
func (e *Emitter) resource(g *group, late *time.Timer) pcommon.Resource {
	s := g.subject
	if s.ready {
		return s.built
	}
	if !g.pending || !s.wait(late) {
		e.unidentified.Add(1)
		return newResource(process.Short(s.process), e.set.Hostname)
	}
	s.built, s.ready = newResource(s.who, e.set.Hostname), true
	return s.built
}

// wait reports whether s is known. Once waited for in vain, it is not waited
// for again.
func (s *subject) wait(late *time.Timer) bool {
	select {
	case <-s.known:
		return true
	default:
	}
	if s.hangs {
		return false
	}
	select {
	case <-s.known:
		return true
	case <-late.C:
		s.hangs = true
		late.Reset(0) // for the others of this batch
		return false
	}
}

func newResource(id process.Identity, hostname string) pcommon.Resource {
	r := pcommon.NewResource()
	m := r.Attributes()
	m.EnsureCapacity(7 + len(id.Declared))
	for _, a := range id.Declared {
		m.PutStr(a.Key, a.Value)
	}
	// Over what was declared: this was seen.
	if id.PID != 0 {
		m.PutInt(string(semconv.ProcessPIDKey), int64(id.PID))
	}
	putStr(m, string(semconv.ProcessExecutableNameKey), id.ExecutableName)
	putStr(m, string(semconv.ProcessExecutablePathKey), id.ExecutablePath)
	putStr(m, string(semconv.ServiceNameKey), id.ServiceName)
	putStr(m, string(semconv.ContainerIDKey), id.ContainerID)
	putStr(m, string(semconv.K8SPodUIDKey), id.PodUID)
	putStr(m, string(semconv.HostNameKey), hostname)
	return r
}

// putStr leaves out what is unknown.
func putStr(m pcommon.Map, k, v string) {
	if v != "" {
		m.PutStr(k, v)
	}
}

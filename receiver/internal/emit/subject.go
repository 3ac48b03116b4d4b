package emit

import (
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/process"
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
	asked   atomic.Bool      // somebody looks it up, or has
	known   chan struct{}    // closed: id is set, for good
	id      process.Identity // empty before known is closed

	// Of the goroutine that sends.
	built pcommon.Resource
	ready bool // built is set
	hangs bool // was waited for in vain
}

func newSubject(p exchange.Process) *subject {
	return &subject{process: p, known: make(chan struct{})}
}

// subject returns the subject that stands for p.
func (s *Sender) subject(p exchange.Process) *subject {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.subjects.Get(p)
}

// ask makes sure that somebody looks who up, and reports whether there was room for
// that.
func (s *Sender) ask(who *subject) bool {
	if who.asked.Load() {
		return true
	}
	s.mu.Lock() // so that none is asked for twice
	defer s.mu.Unlock()
	if !who.asked.Load() {
		select {
		case s.unknown <- who:
			who.asked.Store(true)
		default:
		}
	}
	return who.asked.Load()
}

// resolve looks processes up, until there will be no more.
func (s *Sender) resolve() {
	for who := range s.unknown {
		if who.id = s.set.Identify(who.process); !who.id.Read {
			s.unidentified.Add(1)
		}
		close(who.known)
	}
	s.idle <- struct{}{}
}

// resource returns the resource of a group's subject, by its short name if
// the subject is not pending or not known before late fires. It belongs to the
// subject.
func (s *Sender) resource(g *group, late *time.Timer) pcommon.Resource {
	who := g.actor.subject
	if who.ready {
		return who.built
	}
	if !g.pending || !who.wait(late) {
		s.unidentified.Add(1)
		return newResource(process.Short(who.process), s.set.Hostname)
	}
	who.built, who.ready = newResource(who.id, s.set.Hostname), true
	return who.built
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

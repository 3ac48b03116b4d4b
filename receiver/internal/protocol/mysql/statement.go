package mysql

import (
	"bytes"
	"unsafe"

	"github.com/perisco-io/perisco/receiver/internal/sqltext"
)

const (
	// maxStatements is how many prepared statements of a connection are known.
	// The server allows 16382 on all of its connections (max_prepared_stmt_count),
	// Connector/J keeps 256 on each.
	maxStatements = 512
	// maxPrepared bounds their text, in bytes.
	maxPrepared = 512 << 10
	maxSpare    = 8
)

// A statement is what was prepared.
type statement struct {
	id         uint32
	cut        bool // text is not all of it
	text       []byte
	parameters int    // how many; with some, text holds none of their values
	summary    []byte // of text; empty where it depends on the mode of the session

	older, newer *statement
}

// weight is how many bytes of memory s takes, and its place among others.
func (s *statement) weight() int {
	const place = 32 // of a map from uint32 to a pointer that is half full
	return int(unsafe.Sizeof(*s)) + place + cap(s.text) + cap(s.summary)
}

// statements are the prepared statements of a connection by their ids. The one
// that was used least recently makes room. The zero value is ready to use.
type statements struct {
	byID  map[uint32]*statement
	root  statement  // of the ring by age: root.newer is the oldest
	free  *statement // memory for the next ones, linked by newer
	spare int        // how many
	bytes int        // of text

	weight int // bytes of memory, the spare ones included
}

// get returns the statement, or nil.
func (s *statements) get(id uint32) *statement {
	st := s.byID[id]
	if st != nil {
		s.unlink(st)
		s.link(st)
	}
	return st
}

// put adds a statement, and returns how many had to make room.
func (s *statements) put(id uint32, text []byte, cut bool, parameters int) (evicted uint64) {
	s.remove(id)
	if s.byID == nil {
		s.byID = make(map[uint32]*statement)
		s.root.older, s.root.newer = &s.root, &s.root
	}
	for len(s.byID) > 0 && (len(s.byID) >= maxStatements || s.bytes+len(text) > maxPrepared) {
		s.remove(s.root.newer.id)
		evicted++
	}
	st := s.free
	if st == nil {
		st = new(statement)
	} else {
		s.free = st.newer
		s.spare--
		s.weight -= st.weight()
	}
	*st = statement{id: id, text: append(st.text[:0], text...), cut: cut, parameters: parameters, summary: st.summary[:0]}
	st.summarize()
	s.byID[id] = st
	s.bytes += len(text)
	s.weight += st.weight()
	s.link(st)
	return evicted
}

// summarize does once what each execution would have to do. Where there is a
// backslash the mode of the session decides what is a literal.
func (s *statement) summarize() {
	if bytes.IndexByte(s.text, '\\') < 0 {
		s.summary = sqltext.Summary(s.summary, uncut(s.text, s.cut), sqltext.MySQL)
	}
}

// remove forgets a statement. The memory of a few is kept.
func (s *statements) remove(id uint32) {
	st := s.byID[id]
	if st == nil {
		return
	}
	delete(s.byID, id)
	s.bytes -= len(st.text)
	s.unlink(st)
	if s.spare == maxSpare {
		s.weight -= st.weight()
		return
	}
	st.newer, s.free = s.free, st
	s.spare++
}

// clear forgets all of them.
func (s *statements) clear() {
	for len(s.byID) > 0 {
		s.remove(s.root.newer.id)
	}
}

// shrink gives back the memory that was kept for the next ones.
func (s *statements) shrink() {
	for ; s.free != nil; s.free = s.free.newer {
		s.weight -= s.free.weight()
	}
	s.spare = 0
	if len(s.byID) == 0 {
		s.byID = nil
	}
}

func (s *statements) link(st *statement) {
	st.older, st.newer = s.root.older, &s.root
	st.older.newer, s.root.older = st, st
}

func (s *statements) unlink(st *statement) {
	st.older.newer, st.newer.older = st.newer, st.older
}

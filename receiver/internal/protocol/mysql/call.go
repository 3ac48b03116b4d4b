package mysql

import (
	"bytes"
	"unsafe"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/match"
	"github.com/perisco-io/perisco/receiver/internal/sqltext"
)

// maxText is how much is kept of the text of a query. Nothing in the protocol
// bounds it but max_allowed_packet, which is megabytes.
const maxText = 4 << 10

// A call is a command and what the server said to it.
type call struct {
	exchange.Core
	match.Place
	command command
	options *Options
	system  string // value of db.system.name

	seq   byte // what the next packet of the answer has in its header
	loose bool // seq is not known
	file  bool // the client is sending the one that the server asked for

	text       []byte // of the query, or the name that the command carries
	cut        bool   // text is not all of it
	parameters bool   // text is that of a prepared statement which takes some
	outline    []byte // summary of that statement, made before
	dialect    sqltext.Dialect
	certain    bool      // that dialect is right
	batch      int       // sets of parameters; 0 where not known
	schema     []byte    // in use; empty: none, or not known
	target     []byte    // schema that will be in use if the server agrees
	switches   bool      // target is to be used
	moving     certainty // text may change the schema in use; unknown until somebody asks

	results  bool // rows are part of the answer
	rows     uint64
	affected uint64
	several  bool   // more than one result
	code     uint16 // of the error

	summary    []byte // of the text
	summarized bool
	scratch    []byte
}

// reset prepares x for a new command. Core and Place are the queue's.
func (x *call) reset() {
	*x = call{
		Core: x.Core, Place: x.Place,
		text: x.text[:0], outline: x.outline[:0], schema: x.schema[:0], target: x.target[:0], summary: x.summary[:0], scratch: x.scratch[:0],
	}
}

// Weight implements match.Weighty.
func (x *call) Weight() int {
	return int(unsafe.Sizeof(*x)) + cap(x.text) + cap(x.outline) + cap(x.schema) + cap(x.target) + cap(x.summary) + cap(x.scratch) + cap(x.Trace.State)
}

// query reports whether text is a statement.
func (x *call) query() bool {
	switch x.command.shape().argument {
	case argumentSQL, argumentID:
		return len(x.text) > 0
	}
	return false
}

// ambiguous reports whether it is not known where the literals of the text end:
// that depends on the mode of the session where there is a backslash. What is
// prepared is read in the mode that was in force then.
func (x *call) ambiguous() bool {
	return (!x.certain || x.command.shape().argument == argumentID) && !x.parameters && bytes.IndexByte(x.text, '\\') >= 0
}

// keep takes text, or as much of it as is kept. Of one that was cut shorter
// nothing is: it might end in the middle of a name.
func (x *call) keep(text []byte, cut bool) {
	switch {
	case len(text) >= maxText:
		cut = cut || len(text) > maxText
		text = text[:maxText]
	case cut:
		text = nil
	}
	x.text = append(x.text[:0], text...)
	x.cut = cut
	if cut {
		x.Truncated = true
	}
}

// recall takes the text of a prepared statement; nil if it is not known.
func (x *call) recall(s *statement) {
	if s == nil {
		x.Truncated = true
		return
	}
	x.keep(s.text, s.cut)
	x.parameters = s.parameters > 0
	x.outline = append(x.outline[:0], s.summary...)
}

// switchTo takes the schema that will be in use.
func (x *call) switchTo(name []byte) {
	x.target = append(x.target[:0], name[:min(len(name), maxName)]...)
	x.switches = true
}

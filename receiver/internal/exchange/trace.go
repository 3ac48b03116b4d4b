package exchange

import "go.opentelemetry.io/collector/pdata/pcommon"

const (
	traceparentLen = 55  // 00-<32 hex>-<16 hex>-<2 hex>
	maxTraceState  = 512 // W3C Trace Context 3.3.1.5: what must be propagated at least
)

// Trace is the W3C trace context of a request. The zero value means that the
// request carried none.
type Trace struct {
	ID     pcommon.TraceID
	Parent pcommon.SpanID
	Flags  byte
	State  []byte // tracestate as sent; reused, so copied by whoever keeps it
}

// Reset empties t and keeps its memory.
func (t *Trace) Reset() { *t = Trace{State: t.State[:0]} }

// SetParent takes the value of a traceparent header. A value that W3C Trace
// Context 3.2.2 calls invalid is ignored, and it reports so.
func (t *Trace) SetParent(v []byte) bool {
	// Versions above 00 may append fields; ff is forbidden (3.2.2.1).
	if len(v) < traceparentLen || v[2] != '-' || v[35] != '-' || v[52] != '-' {
		return false
	}
	var version [1]byte
	var p Trace
	var flags [1]byte
	ok := unhex(version[:], v[0:2]) && unhex(p.ID[:], v[3:35]) &&
		unhex(p.Parent[:], v[36:52]) && unhex(flags[:], v[53:55])
	switch {
	case !ok, version[0] == 0xff, p.ID.IsEmpty(), p.Parent.IsEmpty():
		return false
	case version[0] == 0 && len(v) != traceparentLen:
		return false
	case len(v) > traceparentLen && v[traceparentLen] != '-':
		return false
	}
	t.ID, t.Parent, t.Flags = p.ID, p.Parent, flags[0]
	return true
}

// AddState takes the value of a tracestate header; several are joined by
// commas. A list that grows past 512 bytes is dropped whole: a cut list
// would be a wrong one.
func (t *Trace) AddState(v []byte) {
	if len(v) == 0 || len(t.State)+1+len(v) > maxTraceState {
		return
	}
	if len(t.State) > 0 {
		t.State = append(t.State, ',')
	}
	t.State = append(t.State, v...)
}

// unhex decodes lower-case hexadecimal digits; upper-case ones are invalid
// (W3C Trace Context 3.2.2.2).
func unhex(dst, src []byte) bool {
	var all byte
	for i := range dst {
		hi, lo := digits[src[2*i]], digits[src[2*i+1]]
		dst[i] = hi<<4 | lo
		all |= hi | lo
	}
	return all < 16
}

// digits holds the value of each lower-case hexadecimal digit, 16 for others.
var digits = func() (t [256]byte) {
	for c := range t {
		t[c] = 16
	}
	for v, c := range []byte("0123456789abcdef") {
		t[c] = byte(v)
	}
	return t
}()

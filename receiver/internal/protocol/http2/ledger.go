package http2

const (
	// notCaptured is the reason that is counted for a request which gives no exchange.
	notCaptured = "http2_request_not_captured"
	// leastRequest is the least that a request takes: the header of a frame and
	// two fields, each an index. RFC 9113 8.5: CONNECT has no more.
	leastRequest = headLen + 2
)

// A ledger accounts for the streams that a client opens: each becomes an
// exchange or is counted, once. A client's ids are odd and grow (RFC 9113
// 5.1.1), so those that it passed over where bytes were missed were requests.
// An answer without its request is no exchange: the request is what is counted.
//
// What is not known: streams that were opened before the first that is seen of
// a connection that was joined, and those behind the last that either side
// speaks of. A client may leave ids out. That is rare, and counts too many only
// where bytes are missed at the same place: nghttp begins with 13, which PRIORITY
// frames tell if they are seen, and Netty with 3.
type ledger struct {
	lose   func(reason string, n uint64)
	known  bool   // all streams up to last are accounted for
	last   uint32 // greatest id that the client opened a stream with
	idle   uint32 // greatest id that PRIORITY gave a place without opening it
	reach  uint32 // greatest id of the client's that either side used
	at     uint64 // where the client's next frame was to begin
	unread int64  // bytes, at most, that were missed since last was opened
}

// missed notes that the client's stream is read again from to on.
func (l *ledger) missed(to uint64) {
	l.unread += int64(to - l.at)
	l.at = to
}

// seen notes that a frame of either side speaks of a stream.
func (l *ledger) seen(f frame) {
	switch {
	case f.stream&1 == 0 || f.kind >= kinds:
	case f.kind == priority: // 5.1: it leaves a stream idle
		l.idle = max(l.idle, f.stream)
	default:
		l.reach = max(l.reach, f.stream)
	}
}

// opened accounts for a stream with an id greater than all before; told says
// that it became an exchange.
func (l *ledger) opened(id uint32, told bool) {
	l.passed(id)
	l.last, l.known, l.unread = id, true, 0
	if !told {
		l.lose(notCaptured, 1)
	}
}

// close accounts for what was used and not opened up to now.
func (l *ledger) close() {
	if l.reach > l.last {
		l.passed(l.reach + 2)
		l.last, l.unread = l.reach, 0
	}
}

// passed counts the requests between the last one and that with id until.
func (l *ledger) passed(until uint32) {
	n := (int64(until) - int64(max(l.last+l.last&1, l.idle+l.idle&1))) / 2
	if n = min(n, l.unread/leastRequest); l.known && n > 0 {
		l.lose(notCaptured, uint64(n))
	}
}

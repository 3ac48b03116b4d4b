// Package stream turns captured chunks into byte streams, one for each
// direction of a connection, without hiding what was not captured.
package stream

import "errors"

// Time is nanoseconds on the clock of the source that saw the bytes; for the
// kernel that is CLOCK_BOOTTIME. Zero means unknown.
type Time uint64

// Side is an end of a connection.
type Side uint8

// The ends of a connection.
const (
	Client Side = iota // the side that connected
	Server             // the side that accepted
)

// Peer returns the other side.
func (s Side) Peer() Side { return s ^ 1 }

func (s Side) String() string {
	if s == Client {
		return "client"
	}
	return "server"
}

var (
	// ErrShort means that the bytes asked for have not been sent yet.
	ErrShort = errors.New("stream: more bytes needed")
	// ErrHole means that they were sent and not captured: they never come.
	ErrHole = errors.New("stream: bytes were not captured")
)

// A Sequence is the TCP sequence number of a byte, the same at both ends of its
// connection whatever is done to the addresses between. The lower half of
// Number is that of RFC 9293; the upper counts how often those have wrapped
// since the stream was first seen.
type Sequence struct {
	Number uint64
	Known  bool
}

package exchange

import "github.com/perisco-io/perisco/receiver/internal/stream"

// An Endpoint is the end of a connection that was observed: a socket and the
// process that holds it. An exchange between two processes of one machine is
// seen twice, once at each end.
//
// The engine owns it and updates it between calls of the protocol; an exchange
// that is handed out refers to it only for the duration of that call.
type Endpoint struct {
	Local   Address // never IPv4-mapped; invalid where unknown
	Peer    Address
	Process Process     // who last read or wrote
	Side    stream.Side // Server: the process accepted the connection
	// Opened says that the connection was seen from its opening on, though bytes
	// of it may have been missed.
	Opened bool
	// Met says of a server that the end of its client is observed here as well.
	Met bool
}

// A Process is a process at a point in time. PID and Start together are
// unique while the machine is up, PID alone is not. Comparable.
type Process struct {
	Start uint64   // nanoseconds since boot (CLOCK_BOOTTIME) at which it started
	Comm  [16]byte // the kernel's short name of its main thread, NUL-padded
	PID   uint32   // in the initial PID namespace; 0 where unknown

	// Address stands for the process where none was observed, as in a packet
	// capture: that of the end that is told about. None otherwise.
	Address Address
}

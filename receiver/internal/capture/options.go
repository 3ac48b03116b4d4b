package capture

import (
	"fmt"
	"math"
)

// Options say how much to capture. The zero value asks for the defaults.
type Options struct {
	// RingBytes is the size of the ring buffer in which events wait for Next:
	// what the node may send and receive while the reader does not run. A
	// power of two, at least 64 KiB. 8 MiB by default.
	RingBytes int
	// MaxPayloadBytes is how much of one read or write is copied at the most:
	// 256 to 16384, by default the latter. Less costs less, and sees less.
	MaxPayloadBytes int
}

const (
	defaultRingBytes = 8 << 20
	// Holds some of the largest records, and is a multiple of any page size.
	leastRingBytes = 64 << 10
	// The first bytes of a message must fit to tell its protocol.
	leastPayloadBytes = 256
)

// settle puts in the defaults and checks the rest. maxPayloadBytes is what the
// programs can hold.
func (o *Options) settle(maxPayloadBytes int) error {
	if o.RingBytes == 0 {
		o.RingBytes = defaultRingBytes
	}
	if n := o.RingBytes; n < leastRingBytes || n&(n-1) != 0 || n > math.MaxInt32 {
		return fmt.Errorf("ring of %d bytes: must be a power of two from %d on", n, leastRingBytes)
	}
	if o.MaxPayloadBytes == 0 {
		o.MaxPayloadBytes = maxPayloadBytes
	}
	if n := o.MaxPayloadBytes; n < leastPayloadBytes || n > maxPayloadBytes {
		return fmt.Errorf("payload of %d bytes: must be %d to %d", n, leastPayloadBytes, maxPayloadBytes)
	}
	return nil
}

package capture

import (
	"fmt"
	"math"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Options say how much to capture. The zero value asks for the defaults.
type Options struct {
	// Shards is how many parts the source has, each with a ring buffer and for a
	// reader of its own: 1 to MaxShards, by default 1. Which one a connection belongs
	// to the client's port says.
	Shards int
	// RingBytes is the size of the ring buffer in which the events of a shard wait for
	// Next: what the node may send and receive while the reader does not run. A power
	// of two, MinRingBytes to MaxRingBytes, by default DefaultRingBytes; all of
	// it resident.
	RingBytes int
	// MaxPayloadBytes is how much of one read or write is copied at the most,
	// or 64 times that where it is wanted whole: MinPayloadBytes to
	// MaxPayloadBytes, by default the latter. Less costs less, and sees less.
	MaxPayloadBytes int
	// Openings are how connections begin whose reads and writes are wanted whole
	// from the start, as if Shard.Whole had been called before. 4 at the most;
	// the first 8 bytes of each are compared.
	Openings []stream.Opening
	// Backend names the way to see reads and writes, one of Backends. Auto, the
	// default, takes the first that works here.
	Backend string
	// BTFPath is a file with the types of the running kernel, for one that was
	// built without them (no /sys/kernel/btf/vmlinux). Only the backend kprobe
	// does with these. Empty by default.
	BTFPath string
	// Filter says what is of interest. Decided before anything is copied.
	Filter Filter
}

// Backends, see PATHS.md for what each sees.
const (
	Auto    = "auto"    // the first of the others that works
	Socklen = "socklen" // tracepoints sock_send_length and sock_recv_length
	Fexit   = "fexit"   // BPF trampolines around tcp_sendmsg and tcp_recvmsg
	Kprobe  = "kprobe"  // breakpoints there
	Sysexit = "sysexit" // the end of every syscall
)

// Backends are what Options.Backend may be; Auto tries them in this order.
func Backends() []string { return []string{Auto, Socklen, Fexit, Kprobe, Sysexit} }

// MaxShards is more than there are cores for on any machine whose applications need
// some themselves.
const MaxShards = 64

// Bounds of Options, in bytes.
const (
	DefaultRingBytes = 4 << 20
	MinRingBytes     = 64 << 10 // holds some of the largest records, and is a multiple of any page size
	MaxRingBytes     = 1 << 30  // a second of 1 GB/s, which no reader catches up with
	MinPayloadBytes  = 256      // the first bytes of a message must fit to tell its protocol
	MaxPayloadBytes  = 16 << 10 // PAYLOAD_BYTES of bpf/config.h
)

// What bpf/event.h has room for.
const (
	maxOpenings  = 4
	openingBytes = 8
	maxHead      = 16
	maxLengthAt  = 7
)

// checkOpenings says what of the openings the kernel could not do with.
func (o *Options) checkOpenings() error {
	if len(o.Openings) > maxOpenings {
		return fmt.Errorf("%d openings: must be %d at the most", len(o.Openings), maxOpenings)
	}
	for _, opening := range o.Openings {
		f := &opening.Frames
		switch {
		case len(opening.Bytes) < openingBytes || len(opening.Bytes) > math.MaxUint8:
			return fmt.Errorf("opening %q: must have %d bytes, and %d at the most", opening.Bytes, openingBytes, math.MaxUint8)
		case f.SkimFrom == 0:
		case f.HeadBytes < 1 || f.HeadBytes > maxHead, f.LengthAt < 0 || f.LengthAt > maxLengthAt,
			f.LengthBytes < 1 || f.LengthBytes > 4, f.LengthAt+f.LengthBytes > f.HeadBytes,
			f.TypeAt < 0 || f.TypeAt >= f.HeadBytes,
			f.KeptBytes < 0 || f.KeptBytes > math.MaxUint8 || f.SkimFrom <= f.KeptBytes || f.SkimFrom > math.MaxInt32:
			return fmt.Errorf("opening %q: no such frames: %+v", opening.Bytes, *f)
		}
	}
	return nil
}

// settle puts in the defaults and checks the rest.
func (o *Options) settle() error {
	if o.Shards == 0 {
		o.Shards = 1
	}
	if o.Shards < 1 || o.Shards > MaxShards {
		return fmt.Errorf("%d shards: must be 1 to %d", o.Shards, MaxShards)
	}
	if o.RingBytes == 0 {
		o.RingBytes = DefaultRingBytes
	}
	if n := o.RingBytes; n < MinRingBytes || n > MaxRingBytes || n&(n-1) != 0 {
		return fmt.Errorf("ring of %d bytes: must be a power of two from %d to %d", n, MinRingBytes, MaxRingBytes)
	}
	if o.MaxPayloadBytes == 0 {
		o.MaxPayloadBytes = MaxPayloadBytes
	}
	if n := o.MaxPayloadBytes; n < MinPayloadBytes || n > MaxPayloadBytes {
		return fmt.Errorf("payload of %d bytes: must be %d to %d", n, MinPayloadBytes, MaxPayloadBytes)
	}
	return nil
}

package http2

import (
	"encoding/binary"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// kind is the type of a frame. RFC 9113 6.
type kind uint8

const (
	data kind = iota
	headers
	priority
	rstStream
	settings
	pushPromise
	ping
	goAway
	windowUpdate
	continuation
	kinds // how many RFC 9113 defines; others are to be ignored (4.1)
)

// Flags. RFC 9113 6.
const (
	ack         = 0x1 // of SETTINGS and PING
	endStream   = 0x1
	endHeaders  = 0x4
	padded      = 0x8
	hasPriority = 0x20
)

const (
	headLen     = 9 // RFC 9113 4.1
	priorityLen = 5 // 6.3
	resetLen    = 4 // 6.4
	goAwayLen   = 8 // 6.8, without what it says for people
	promisedLen = 4 // 6.6
)

// skimFrom is the length from which DATA is not worth copying: an event of its own
// costs about as much as 1 KiB of it.
const skimFrom = 1 << 10

// framing lets the source leave out the payload of DATA, but for the prefix of a
// message of gRPC at its beginning, behind the length of padding.
var framing = stream.Framing{
	HeadBytes: headLen, LengthAt: 0, LengthBytes: 3, TypeAt: 3,
	Skims: 1 << data, SkimFrom: skimFrom, KeptBytes: 1 + prefixLen,
}

// A frame is its header. RFC 9113 4.1.
type frame struct {
	length int // below 1<<24; nginx allows its clients all of it, Go 1 MiB, most 16 KiB
	kind   kind
	flags  uint8
	stream uint32 // without the reserved bit
}

func parseFrame(p []byte) frame {
	_ = p[headLen-1]
	return frame{
		length: int(p[0])<<16 | int(p[1])<<8 | int(p[2]),
		kind:   kind(p[3]),
		flags:  p[4],
		stream: binary.BigEndian.Uint32(p[5:]) &^ (1 << 31),
	}
}

// valid reports whether sender may send f, as far as a peer has to be strict.
func (f *frame) valid(sender stream.Side) bool {
	switch f.kind {
	case data:
		return f.stream != 0 && (f.flags&padded == 0 || f.length > 0)
	case headers:
		least := 0
		if f.flags&padded != 0 {
			least++
		}
		if f.flags&hasPriority != 0 {
			least += priorityLen
		}
		// RFC 9113 5.1.1: streams that a client opens have odd ids.
		return f.stream != 0 && f.length >= least && (sender == stream.Server || f.stream&1 == 1)
	case priority:
		return f.stream != 0 && f.length == priorityLen
	case rstStream:
		return f.stream != 0 && f.length == resetLen
	case settings:
		return f.stream == 0 && f.length%6 == 0 && (f.flags&ack == 0 || f.length == 0)
	case pushPromise:
		return f.stream&1 == 1 && f.length >= promisedLen && sender == stream.Server
	case ping:
		return f.stream == 0 && f.length == 8
	case goAway:
		return f.stream == 0 && f.length >= goAwayLen
	case windowUpdate:
		return f.length == 4
	case continuation:
		return f.stream != 0
	}
	return true
}

// defined are the flags that each kind may have.
var defined = [kinds]uint8{
	data: endStream | padded, headers: endStream | endHeaders | padded | hasPriority, settings: ack,
	pushPromise: endHeaders | padded, ping: ack, continuation: endHeaders,
}

// longest is how long a frame may be whose place is guessed: what Go's servers
// allow their clients, the most but for nginx. It keeps its first byte from
// being a letter.
const longest = 1 << 20

// plausible reports whether what looks like f where no frame is known to begin
// can be one.
func (f *frame) plausible(sender stream.Side, reserved bool) bool {
	return f.kind < kinds && f.flags&^defined[f.kind] == 0 && f.length <= longest && !reserved && f.valid(sender) &&
		(f.kind != data || f.stream&1 == 1 || sender == stream.Server) &&
		(f.kind == data || f.length <= maxBlock)
}

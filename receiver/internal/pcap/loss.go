package pcap

import "sync/atomic"

// A loss is a reason for which something that was on the wire does not reach
// Next.
type loss uint8

const (
	truncatedFile     loss = iota // the file ends in the middle of a packet
	undecodable                   // a packet's headers make no sense, or were cut off
	unknownLink                   // a packet of a pcapng came from a kind of interface that is not known
	fragmentDropped               // a fragment of an IP packet whose others did not come, or that contradicts them
	segmentMissing                // bytes of a connection that are in no packet, counted by stretch
	segmentLate                   // a packet with such bytes, which came when they were no longer waited for
	reorderLimit                  // a gap that was given up because too much arrived behind it
	connectionEvicted             // a connection was forgotten to make room; if it goes on, it is met again
	lossReasons
)

var lossNames = [lossReasons]string{
	"truncated_file", "packet_undecodable", "link_type_unknown", "fragment_dropped",
	"segment_missing", "segment_late", "reorder_limit", "reassembly_evicted",
}

// Why an event has fewer bytes than it says: values of capture.Event.Missing.
const (
	cutOff    = "snap_length" // the capture was told to keep only the first bytes of packets
	notInFile = "not_in_file" // the packet was not captured
)

// losses counts them. It is written by one goroutine and read by any.
type losses [lossReasons]atomic.Uint64

func (l *losses) add(why loss) { l[why].Add(1) }

// untold is how often something was lost of which the events need not tell.
func (l *losses) untold() (n uint64) {
	for _, why := range []loss{undecodable, unknownLink, fragmentDropped, connectionEvicted} {
		n += l[why].Load()
	}
	return n
}

func (l *losses) report(yield func(reason string, events uint64)) {
	for why, name := range lossNames {
		if n := l[why].Load(); n > 0 {
			yield(name, n)
		}
	}
}

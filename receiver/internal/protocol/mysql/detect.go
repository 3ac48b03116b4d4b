package mysql

import (
	"encoding/binary"

	"github.com/perisco-io/perisco/receiver/internal/protocol"
)

const (
	leastGreeting  = 1 + 2 + 4 + 8 + 1 + 2
	mostGreeting   = 512
	leastHandshake = 32 + 1
	mostVersion    = 128
)

// front returns the header and as much of the payload as is held.
func front(p []byte) (h header, body []byte, ok bool) {
	if len(p) < headerLen {
		return h, nil, false
	}
	h = headerOf(p)
	return h, p[headerLen:min(len(p), headerLen+h.size)], true
}

// startsGreeting judges the first bytes of a server: a handshake, or an error
// in its place. page_protocol_connection_phase_packets_protocol_handshake_v10.
func startsGreeting(p []byte) protocol.Verdict {
	h, body, ok := front(p)
	switch {
	case !ok:
		if len(p) == 3 && p[2] != 0 {
			return protocol.No
		}
		return protocol.Wait
	case h.seq != 0 || h.size < leastGreeting || h.size > mostGreeting || len(p) > headerLen+h.size:
		return protocol.No
	case len(body) == 0:
		return protocol.Wait
	case body[0] == headERR:
		return refusal(h, body)
	case body[0] != protocolVersion:
		return protocol.No
	}
	version := body[1:min(len(body), mostVersion)]
	for i, v := range version {
		switch {
		case v == 0 && i >= len("5.7"):
			rest := version[i+1:]
			if len(rest) < 4+8+1+2 {
				break
			}
			if rest[4+8] != 0 || capabilities(binary.LittleEndian.Uint16(rest[4+8+1:]))&clientProtocol41 == 0 {
				return protocol.No
			}
			return protocol.Yes
		case v < ' ' || v > '~', i == 0 && (v < '0' || v > '9'):
			return protocol.No
		case i == mostVersion-2:
			return protocol.No
		default:
			continue
		}
		break
	}
	if len(body) == h.size {
		return protocol.No
	}
	return protocol.Wait
}

// refusal judges an ERR packet in the place of a greeting, before which nobody
// agreed on anything: a number and text.
func refusal(h header, body []byte) protocol.Verdict {
	if len(body) < h.size {
		return protocol.Wait
	}
	if n := binary.LittleEndian.Uint16(body[1:]); n < firstNumber || n >= 5000 {
		return protocol.No
	}
	for _, v := range body[3:] {
		if v < ' ' || v == 0x7f {
			return protocol.No
		}
	}
	return protocol.Yes
}

// startsHandshake judges the first bytes of a client that answers a greeting.
func startsHandshake(p []byte) protocol.Verdict {
	h, body, ok := front(p)
	switch {
	case !ok:
		return protocol.Wait
	case h.seq != 1 || h.size < leastHandshake-1 || h.size > 64<<10:
		return protocol.No
	case len(body) < leastHandshake-1:
		return protocol.Wait
	}
	flags := capabilities(binary.LittleEndian.Uint32(body))
	if flags&clientProtocol41 == 0 {
		return protocol.No
	}
	for _, v := range body[9 : 9+19] { // of the filler; MariaDB uses four more
		if v != 0 {
			return protocol.No
		}
	}
	return protocol.Yes
}

// startsVerdict judges what a server says to a handshake response.
func startsVerdict(p []byte) protocol.Verdict {
	h, body, ok := front(p)
	switch {
	case !ok:
		return protocol.Wait
	case h.seq != 2 || h.size == 0 || h.size > maxMessage:
		return protocol.No
	case len(body) == 0:
		return protocol.Wait
	case body[0] == headOK, body[0] == headERR, body[0] == headEOF, body[0] == 1:
		return protocol.Yes
	}
	return protocol.No
}

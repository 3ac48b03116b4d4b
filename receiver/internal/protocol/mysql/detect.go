package mysql

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/perisco-io/perisco/receiver/internal/protocol"
)

const (
	leastGreeting  = 1 + 2 + 4 + 8 + 1 + 2
	mostGreeting   = 512
	leastHandshake = 32 + 1
	mostVersion    = 128
	shownSQL       = 24      // bytes of a statement that have to look like one
	plausibleID    = 1 << 24 // of a statement: servers count them by connection
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

// startsExchange judges a connection that was joined: a command that has an
// answer, and its beginning.
func startsExchange(client, server []byte) protocol.Verdict {
	for {
		v := startsCommand(client)
		if v != protocol.Yes {
			return v
		}
		h, body, _ := front(client)
		if s := command(body[0]).shape(); s.answer != answerNone {
			switch {
			case len(client) > headerLen+h.size:
				return protocol.No // pipelined: the answer may be to one that was not seen
			case len(server) == 0:
				return protocol.Wait
			}
			return startsAnswer(s.answer, server)
		}
		// Further commands may stand behind one without an answer. It is not worth
		// waiting for them, since nothing is known after it that was not before.
		if len(client) <= headerLen+h.size {
			return protocol.No
		}
		client = client[headerLen+h.size:]
	}
}

// startsCommand judges bytes that may begin a command.
func startsCommand(p []byte) protocol.Verdict {
	if len(p) >= headerLen && headerOf(p).seq != 0 {
		return protocol.No
	}
	h, body, ok := front(p)
	switch {
	case !ok:
		return protocol.Wait
	case h.size == 0:
		return protocol.No
	case len(body) == 0:
		return protocol.Wait
	}
	cmd := command(body[0])
	if cmd == connect || !cmd.known(h.size) {
		return protocol.No
	}
	if cmd.shape().answer == answerStream || cmd == comRegisterSlave {
		return protocol.No // too little to know it by, and nothing to follow
	}
	args := body[1:]
	switch cmd.shape().argument {
	case argumentSQL:
		return startsSQL(args, h.size-1)
	case argumentSchema, argumentTable:
		for _, v := range args {
			if v < ' ' && (v != 0 || cmd == comInitDB) || v == 0x7f {
				return protocol.No
			}
		}
		if len(args) < h.size-1 {
			return protocol.Wait
		}
		if !utf8.Valid(args) {
			return protocol.No
		}
	case argumentUser:
		for i, v := range args {
			if v == 0 && i > 0 && i <= maxName && i+1 < len(args) && int(args[i+1]) < h.size-i {
				return protocol.Yes
			}
			if v < ' ' || v == 0x7f {
				return protocol.No
			}
		}
		return protocol.No
	case argumentID:
		if len(args) < min(h.size-1, 9) {
			return protocol.Wait
		}
		switch id := binary.LittleEndian.Uint32(args); {
		case cmd == comExecute:
			// page_protocol_com_stmt_execute: one iteration, always.
			if args[4] > 0x0f || binary.LittleEndian.Uint32(args[5:]) != 1 {
				return protocol.No
			}
		case id > plausibleID && id != lastPrepared:
			return protocol.No
		case cmd == comBulkExecute:
			if binary.LittleEndian.Uint16(args[4:])&^(bulkTypes|bulkResults) != 0 {
				return protocol.No
			}
		}
	}
	return protocol.Yes
}

// startsSQL judges the text of a statement of size bytes: it has attributes or
// begins with a word, a comment or a parenthesis, and has no control characters
// so early.
func startsSQL(p []byte, size int) protocol.Verdict {
	want := min(size, shownSQL)
	if len(p) < want {
		return protocol.Wait
	}
	if size > 2 && p[1] == 1 && (p[0] == 0 || p[0] < ' ') { // page_protocol_com_query
		if p[0] > 0 {
			return protocol.Yes
		}
		p, want = p[2:], want-2
	}
	letters := 0
	for i, v := range p[:want] {
		switch {
		case v == '\t' || v == '\n' || v == '\r' || v == ' ':
		case v < ' ' || v == 0x7f:
			return protocol.No
		case letters > 0:
		case v|0x20 >= 'a' && v|0x20 <= 'z', v == '(', v == '/', v == '-', v == '#', v == '@', v == ';', v == '{':
			letters = i + 1
		default:
			return protocol.No
		}
	}
	if letters == 0 && want < shownSQL {
		return protocol.No
	}
	return protocol.Yes
}

// startsAnswer judges the first packet of an answer, which is the second of the
// exchange; or the third and so on, where the command was very long.
func startsAnswer(kind answer, p []byte) protocol.Verdict {
	h, body, ok := front(p)
	switch {
	case !ok:
		return protocol.Wait
	case h.seq != 1 || h.size == 0:
		return protocol.No
	case len(body) < min(h.size, 3):
		return protocol.Wait
	case body[0] == headERR:
		return startsError(h, body)
	}
	rest := p[min(len(p), headerLen+h.size):]
	switch kind {
	case answerText:
		const begins = "Uptime: "
		n := min(len(body), len(begins))
		switch {
		case string(body[:n]) != begins[:n]:
			return protocol.No
		case n < len(begins):
			return protocol.Wait
		}
		return protocol.Yes
	case answerPrepared:
		if body[0] != headOK || h.size < 12 || h.size > 13 {
			return protocol.No
		}
		if len(body) < 12 {
			return protocol.Wait
		}
		if body[9] != 0 {
			return protocol.No
		}
		return protocol.Yes
	case answerRows:
		if body[0] != headOK && body[0] != headEOF {
			return protocol.No
		}
		return startsNext(rest)
	case answerColumns:
		return startsDefinition(body)
	case answerAuth:
		if body[0] == headOK {
			return startsOK(h, body)
		}
		return protocol.No
	}
	switch {
	case body[0] == headOK || body[0] == headEOF && kind == answerOK:
		return startsOK(h, body)
	case kind != answerResult:
		return protocol.No
	case body[0] == headFile:
		return protocol.No // a file has been sent since: too much to be held
	}
	n, at := lenenc(body)
	if at == 0 || n == 0 || n > maxColumns || h.size > at+1 || h.size == at+1 && body[at] > 1 {
		return protocol.No
	}
	h, body, ok = front(rest)
	switch {
	case !ok:
		return protocol.Wait
	case h.seq != 2:
		return protocol.No
	}
	return startsDefinition(body)
}

// startsNext judges a packet behind the first.
func startsNext(p []byte) protocol.Verdict {
	h, _, ok := front(p)
	switch {
	case len(p) == 0:
		return protocol.Yes
	case !ok:
		return protocol.Wait
	case h.seq != 2:
		return protocol.No
	}
	return protocol.Yes
}

// startsDefinition judges a column: its catalog is always def.
// page_protocol_com_query_response_text_resultset_column_definition.
func startsDefinition(p []byte) protocol.Verdict {
	const catalog = "\x03def"
	n := min(len(p), len(catalog))
	switch {
	case string(p[:n]) != catalog[:n]:
		return protocol.No
	case n < len(catalog):
		return protocol.Wait
	}
	return protocol.Yes
}

func startsOK(h header, body []byte) protocol.Verdict {
	switch {
	case h.size > maxMessage, body[0] == headEOF && h.size > 7:
		return protocol.No
	case len(body) < h.size:
		return protocol.Wait
	case h.size == eofLen && body[0] == headEOF:
		body = append([]byte{headOK, 0, 0}, body[3], body[4], body[1], body[2])
	}
	f := fields{p: body[1:]}
	f.integer()
	f.integer()
	st := status(f.uint16())
	f.uint16()
	// Autocommit or a transaction: who has neither is recognised later.
	if f.cut || st&(statusTransaction|statusAutocommit) == 0 {
		return protocol.No
	}
	if st&statusStateChanged == 0 && !utf8.Valid(f.p) { // a message
		return protocol.No
	}
	return protocol.Yes
}

// startsError judges an ERR packet: a number, and an SQL state behind '#'.
// page_protocol_basic_err_packet.
func startsError(h header, body []byte) protocol.Verdict {
	const head = 1 + 2 + 1 + 5
	if h.size < head || h.size > maxMessage {
		return protocol.No
	}
	if len(body) < head {
		return protocol.Wait
	}
	if n := binary.LittleEndian.Uint16(body[1:]); n < firstNumber || body[3] != '#' {
		return protocol.No
	}
	for _, v := range body[4:head] {
		if (v < '0' || v > '9') && (v < 'A' || v > 'Z') {
			return protocol.No
		}
	}
	return protocol.Yes
}

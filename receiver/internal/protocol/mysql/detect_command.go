package mysql

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/perisco-io/perisco/receiver/internal/protocol"
)

const (
	shownSQL    = 24      // bytes of a statement that have to look like one
	plausibleID = 1 << 24 // of a statement: servers count them by connection
)

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

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
	args, size := body[1:], h.size-1
	switch cmd.shape().argument {
	case argumentSQL:
		return startsSQL(args, size)
	case argumentSchema, argumentTable:
		return startsName(cmd, args, size)
	case argumentUser:
		return startsUser(args, size)
	case argumentID:
		return startsID(cmd, args, size)
	}
	return protocol.Yes
}

// startsName judges the name of a schema, or of a table and columns, of size bytes.
func startsName(cmd command, p []byte, size int) protocol.Verdict {
	for _, v := range p {
		if v < ' ' && (v != 0 || cmd == comInitDB) || v == 0x7f {
			return protocol.No
		}
	}
	switch {
	case len(p) < size:
		return protocol.Wait
	case !utf8.Valid(p):
		return protocol.No
	}
	return protocol.Yes
}

// startsUser judges what COM_CHANGE_USER carries, size bytes: a name, behind
// which the length of a password stands.
func startsUser(p []byte, size int) protocol.Verdict {
	for i, v := range p {
		if v == 0 && i > 0 && i <= maxName && i+1 < len(p) && int(p[i+1]) <= size-i {
			return protocol.Yes
		}
		if v < ' ' || v == 0x7f {
			return protocol.No
		}
	}
	return protocol.No
}

// startsID judges what a command carries, size bytes, that begins with the number
// of a statement.
func startsID(cmd command, p []byte, size int) protocol.Verdict {
	if len(p) < min(size, 9) {
		return protocol.Wait
	}
	switch id := binary.LittleEndian.Uint32(p); {
	case cmd == comExecute:
		// page_protocol_com_stmt_execute: one iteration, always.
		if p[4] > 0x0f || binary.LittleEndian.Uint32(p[5:]) != 1 {
			return protocol.No
		}
	case id > plausibleID && id != lastPrepared:
		return protocol.No
	case cmd == comBulkExecute:
		if binary.LittleEndian.Uint16(p[4:])&^(bulkTypes|bulkResults) != 0 {
			return protocol.No
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

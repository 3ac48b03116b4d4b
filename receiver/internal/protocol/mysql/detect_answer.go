package mysql

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/perisco-io/perisco/receiver/internal/protocol"
)

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
		return startsWith(body, "Uptime: ")
	case answerPrepared:
		return startsPrepared(h, body)
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
	return startsResult(h, body, rest)
}

// startsResult judges the first packet of a result, a number of columns, and the
// one behind it, with which rest begins.
func startsResult(h header, body, rest []byte) protocol.Verdict {
	n, at := lenenc(body)
	if at == 0 || n == 0 || n > maxColumns || h.size > at+1 || h.size == at+1 && body[at] > 1 {
		return protocol.No
	}
	h, body, ok := front(rest)
	switch {
	case !ok:
		return protocol.Wait
	case h.seq != 2:
		return protocol.No
	}
	return startsDefinition(body)
}

// startsPrepared judges the first packet of the answer to COM_STMT_PREPARE.
func startsPrepared(h header, body []byte) protocol.Verdict {
	const least, filler = 12, 9
	switch {
	case body[0] != headOK || h.size < least || h.size > least+1:
		return protocol.No
	case len(body) < least:
		return protocol.Wait
	case body[filler] != 0:
		return protocol.No
	}
	return protocol.Yes
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
func startsDefinition(p []byte) protocol.Verdict { return startsWith(p, "\x03def") }

// startsWith judges whether p begins with text.
func startsWith(p []byte, text string) protocol.Verdict {
	n := min(len(p), len(text))
	switch {
	case string(p[:n]) != text[:n]:
		return protocol.No
	case n < len(text):
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

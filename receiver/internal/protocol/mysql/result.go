package mysql

import (
	"bytes"
	"encoding/binary"

	"github.com/perisco-io/perisco/receiver/internal/sqltext"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// First bytes of payloads. page_protocol_basic_response_packets.
const (
	headOK   = 0x00
	headFile = 0xfb // page_protocol_com_query_response_local_infile_request
	headEOF  = 0xfe
	headERR  = 0xff

	eofLen = 5 // page_protocol_basic_eof_packet
	// maxMessage is how much of a packet is looked at that ends an answer. A
	// message has 512 bytes; the changes of a session can be longer.
	maxMessage = 4 << 10

	protocolVersion = 10
)

// progress reports whether p, which begins with headERR, is a report on the
// progress of a statement (MariaDB KB, "ERR_Packet"): no error has the number.
func progress(p []byte) bool { return len(p) >= 3 && p[1] == 0xff && p[2] == 0xff }

// fail takes an ERR packet. page_protocol_basic_err_packet.
func (c *conn) fail(b *stream.Buffer, h header, x *call, p []byte) error {
	if len(p) < 3 {
		if len(p) < h.size {
			return stream.ErrHole
		}
		return errAnswer
	}
	b.Discard(int64(headerLen + h.size))
	if progress(p) {
		x.seq++
		return nil
	}
	x.code = binary.LittleEndian.Uint16(p[1:])
	x.ErrorType = c.protocol.number(x.code)
	if x.command == connect && !c.greeted {
		c.system = x.system
	}
	c.over(b, x)
	return nil
}

// result takes the first packet of a result. page_protocol_com_query_response.
func (c *conn) result(b *stream.Buffer, h header, x *call, p []byte) error {
	switch p[0] {
	case headOK:
		return c.okay(b, h, x, p)
	case headFile:
		x.file = true
		x.seq++
		c.stage = inFile
		b.Discard(int64(headerLen + h.size))
		return nil
	}
	n, at := lenenc(p)
	if at == 0 || n == 0 || n > maxColumns || h.size > at+1 {
		return errAnswer
	}
	// MySQL, optional metadata, and MariaDB, cached metadata: a byte says
	// whether the definitions follow.
	if h.size == at+1 && len(p) < h.size {
		return stream.ErrHole
	}
	c.columns, c.further = int(n), 0
	if h.size == at+1 && p[at] == 0 {
		c.columns = 0
	}
	x.results = true
	x.seq++
	c.stage = inColumns
	b.Discard(int64(headerLen + h.size))
	return nil
}

// prepared takes the first packet of the answer to COM_STMT_PREPARE.
// page_protocol_com_stmt_prepare.
func (c *conn) prepared(b *stream.Buffer, h header, x *call, p []byte) error {
	f := fields{p: p}
	head, id := f.uint8(), f.uint32()
	columns, parameters := f.uint16(), f.uint16()
	f.next(1 + 2) // filler, warnings
	if f.cut || head != headOK {
		if len(p) < h.size {
			return stream.ErrHole
		}
		return errAnswer
	}
	x.parameters = parameters > 0
	if len(x.text) > 0 {
		if n := c.statements.put(id, x.text, x.cut, int(parameters)); n > 0 {
			c.lose(statementEvicted, n)
		}
	}
	c.columns, c.further = int(parameters), int(columns)
	if len(f.p) > 0 && f.p[0] == 0 { // optional metadata: none follows
		c.columns, c.further = 0, 0
	}
	x.seq++
	b.Discard(int64(headerLen + h.size))
	if c.columns == 0 {
		c.columns, c.further = c.further, 0
	}
	if c.columns == 0 {
		c.over(b, x)
		return nil
	}
	c.stage = inParameters
	return nil
}

// walk steps over definitions of columns, or over rows.
//
// What ends the rows is told from a row by its length: a row can begin with 0xfe
// only if its first value has 16 MiB, and then it fills its packet
// (page_protocol_com_query_response_text_resultset); one in the binary protocol
// begins with 0x00.
func (c *conn) walk(b *stream.Buffer) error {
	x := c.Answering
	p := b.Bytes()
	at := 0
	var err error
	for at+headerLen < len(p) {
		h := headerOf(p[at:])
		if h.seq != x.seq && !x.loose {
			err = errSequence
			break
		}
		if !c.carries {
			if c.stage != inRows && c.columns == 0 {
				break
			}
			if h.size == 0 {
				err = errAnswer
				break
			}
			first := p[at+headerLen]
			if first == headERR || first == headEOF && (c.stage != inRows || c.terminator(h.size)) {
				b.Discard(int64(at))
				return c.ends(b, h, x)
			}
			if c.stage != inRows {
				c.columns--
			} else if x.results {
				x.rows++
			}
		}
		c.carries = h.size == maxPayload
		x.seq = h.seq + 1
		at += headerLen + h.size
	}
	b.Discard(int64(at))
	switch {
	case err != nil:
		return err
	case c.stage != inRows && c.columns == 0 && !c.carries:
		return c.defined(b)
	case len(b.Bytes()) == headerLen && c.carries && headerOf(b.Bytes()).size == 0:
		// The message before filled its packets to the last byte.
		c.carries = false
		x.seq++
		b.Discard(headerLen)
		return nil
	case b.Owed() > 0:
		return stream.ErrShort
	}
	return nothing(b)
}

// terminator reports whether a packet that begins with headEOF ends the rows.
func (c *conn) terminator(size int) bool {
	if c.eof == yes {
		return size < 9
	}
	return size < maxPayload
}

// ends takes the packet that ends rows, too early or not.
func (c *conn) ends(b *stream.Buffer, h header, x *call) error {
	p, err := payload(b, h, maxMessage)
	if err != nil {
		return err
	}
	if p[0] == headERR {
		return c.fail(b, h, x, p)
	}
	if c.stage != inRows {
		return errAnswer
	}
	return c.okay(b, h, x, p)
}

// defined goes on after the last definition. Whether an EOF packet follows was
// agreed on in the handshake; where that was not seen the next packet shows it,
// since nothing else has both the length and the first byte of one.
func (c *conn) defined(b *stream.Buffer) error {
	x := c.Answering
	if b.Owed() > 0 {
		return stream.ErrShort
	}
	if c.eof == unknown && c.stage == inParameters && c.further == 0 {
		// Nothing need follow. If something does it will be known by its number.
		seq := x.seq
		c.over(b, x)
		c.ending, c.endingSeq = true, seq
		return nil
	}
	if c.eof != no {
		p, err := b.Peek(headerLen)
		if err != nil {
			return err
		}
		h := headerOf(p)
		if h.seq != x.seq && !x.loose {
			return errSequence
		}
		if p, err = payload(b, h, maxMessage); err != nil {
			return err
		}
		ends := h.size == eofLen && p[0] == headEOF
		switch {
		case len(p) > 0 && p[0] == headERR:
			return c.fail(b, h, x, p)
		case ends && len(p) < eofLen:
			return stream.ErrHole
		case ends:
			c.eof = yes
			x.seq++
			b.Discard(int64(headerLen + h.size))
			st := status(binary.LittleEndian.Uint16(p[3:]))
			c.note(st)
			if c.stage == inColumns && x.command == comExecute && st&statusCursor != 0 {
				c.done(b, x, st)
				return nil
			}
		case c.eof == yes:
			return errAnswer
		default:
			c.eof = no
		}
	}
	switch {
	case c.stage == inColumns:
		c.stage = inRows
	case c.further > 0:
		c.columns, c.further = c.further, 0
	default:
		c.over(b, x)
	}
	return nil
}

// okay takes an OK packet, whatever its first byte is, or an EOF packet.
// page_protocol_basic_ok_packet, page_protocol_basic_eof_packet.
func (c *conn) okay(b *stream.Buffer, h header, x *call, p []byte) error {
	f := fields{p: p}
	head := f.uint8()
	var st status
	var affected uint64
	switch {
	case head == headEOF && h.size == eofLen:
		f.uint16() // warnings
		st = status(f.uint16())
	case head == headOK || head == headEOF:
		affected = f.integer()
		f.integer() // last insert id
		st = status(f.uint16())
		f.uint16() // warnings
	default:
		return errAnswer
	}
	if f.cut {
		if len(p) < h.size {
			return stream.ErrHole
		}
		return errAnswer
	}
	x.affected += affected
	c.note(st)
	if st&statusStateChanged != 0 {
		c.session(&f)
	}
	// Set for any schema that is dropped, be it in use or not.
	if st&statusSchemaDropped != 0 && !c.tracked && len(c.schema.name) > 0 && (x.cut || bytes.Contains(x.text, c.schema.name)) {
		c.schema.lose()
	}
	b.Discard(int64(headerLen + h.size))
	c.done(b, x, st)
	return nil
}

// note takes what every status tells of the session.
func (c *conn) note(st status) {
	c.dialect, c.moded = sqltext.MySQL, true
	if st&statusNoBackslash != 0 {
		c.dialect = sqltext.MySQLNoBackslashEscapes
	}
}

// session takes the changes of the session's state behind an OK packet.
func (c *conn) session(f *fields) {
	f.text() // message
	changes := fields{p: f.text()}
	if f.cut {
		c.schema.lose()
		return
	}
	for len(changes.p) > 0 {
		kind := changes.uint8()
		change := fields{p: changes.text()}
		if kind == sessionSchema {
			name := change.text()
			if change.cut {
				c.schema.lose()
				continue
			}
			c.schema.set(name)
			c.tracked = true
		}
	}
}

// done goes on after a result.
func (c *conn) done(b *stream.Buffer, x *call, st status) {
	if st&statusMoreResults == 0 || x.command.shape().answer != answerResult {
		c.over(b, x)
		return
	}
	x.several = true
	x.seq++
	c.stage = atResult
}

package mysql

import (
	"bytes"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// maxColumns is how many a table can have, and a select list too (Reference
// Manual 10.4.7).
const maxColumns = 4096

// stage is where in an answer the server is.
type stage uint8

const (
	atAnswer     stage = iota // the next packet begins one
	atResult                  // or a further result of the same one
	inColumns                 // definitions of columns
	inParameters              // definitions, for a prepared statement
	inRows                    // up to an EOF or OK packet; definitions, for COM_FIELD_LIST
	inAuth                    // until the server says OK or ERR
	inFile                    // the client sends one
)

// serverPacket takes one packet of the server's, or several rows.
func (c *conn) serverPacket(b *stream.Buffer) error {
	if c.stage != atAnswer && c.Answering == nil {
		c.lostServer() // its exchange ended with a loss of the client's
	}
	defines := c.stage == inColumns || c.stage == inParameters
	switch {
	case b.Owed() > 0:
		return stream.ErrShort
	case defines && c.columns == 0 && !c.carries:
		return c.defined(b)
	case len(b.Bytes()) == 0:
		return nothing(b)
	case defines || c.stage == inRows:
		return c.walk(b)
	}
	p, err := b.Peek(headerLen)
	if err != nil {
		return err
	}
	h := headerOf(p)
	if c.stage == atAnswer {
		return c.begin(b, h)
	}
	x := c.Answering
	if h.seq != x.seq && !x.loose {
		return errSequence
	}
	return c.packet(b, h, x)
}

// begin takes the first packet of an answer, or one that is none.
func (c *conn) begin(b *stream.Buffer, h header) error {
	switch {
	case c.ending:
		c.ending = false
		if h.seq == c.endingSeq && h.size == eofLen {
			p, err := payload(b, h, 1)
			if err != nil {
				c.ending = true
				return err
			}
			if p[0] == headEOF {
				c.eof = yes
				b.Discard(int64(headerLen + h.size))
				return nil
			}
		}
		c.eof = no
	case !c.met && h.seq == 0 && h.size > 0:
		return c.greeting(b, h)
	}
	c.met = true
	pos := b.Pos()
	x, ok := c.Due(b)
	switch {
	case !ok:
		return c.unasked(b, h)
	case b.Pos() != pos:
		return nil // that was the answer to another
	case h.seq != x.seq && !x.loose && (!c.more || c.Sending != x):
		return errSequence
	}
	if c.Answering != x {
		c.Answering = x
		c.place(x)
	}
	return c.packet(b, h, x)
}

// unasked takes a packet while no command waits. A server that closes an idle
// connection says why (ER_CLIENT_INTERACTION_TIMEOUT, 4031).
func (c *conn) unasked(b *stream.Buffer, h header) error {
	if p, err := payload(b, h, 3); err == nil && len(p) == 3 && p[0] == headERR && !progress(p) && h.size < maxMessage {
		b.Discard(int64(headerLen + h.size))
		return nil
	}
	return protocol.ErrEarly
}

// greeting takes the server's first packet.
// page_protocol_connection_phase_packets_protocol_handshake_v10.
func (c *conn) greeting(b *stream.Buffer, h header) error {
	p, err := payload(b, h, maxMessage)
	if err != nil {
		return err
	}
	c.met = true
	if p[0] == headERR {
		// Refused before it could say a word: too many connections, and the like.
		x, err := c.Open(b)
		if err != nil {
			return err
		}
		x.reset()
		x.command, x.options, x.system = connect, &c.protocol.options, c.system
		x.switchTo(nil)
		c.Sending, c.Answering = nil, x
		return c.fail(b, h, x, p)
	}
	f := fields{p: p}
	version := f.uint8()
	name := f.terminated(false)
	f.next(4 + 8 + 1) // thread, challenge, filler
	low := f.uint16()
	if version != protocolVersion || f.cut {
		if len(p) < h.size {
			return stream.ErrHole
		}
		return errAnswer
	}
	f.next(1 + 2) // character set, status
	c.offered = capabilities(low) | capabilities(f.uint16())<<16
	c.greeted = !f.cut || len(p) == h.size
	// MariaDB KB, "Connection": 10.2 and later do not set the first bit; older
	// ones put 5.5.5- before their version.
	if bytes.Contains(name, []byte("MariaDB")) || c.offered&clientLongPassword == 0 {
		c.system = mariadb
	}
	if x, ok := c.Oldest(); ok && x.command == connect {
		x.system = c.system
	}
	b.Discard(int64(headerLen + h.size))
	return nil
}

// packet takes one packet of the answer to x.
func (c *conn) packet(b *stream.Buffer, h header, x *call) error {
	if h.size == 0 && x.command != comStatistics {
		return errAnswer
	}
	p, err := payload(b, h, maxMessage)
	if err != nil {
		return err
	}
	if len(p) > 0 && p[0] == headERR {
		return c.fail(b, h, x, p)
	}
	if c.stage == inFile {
		return c.okay(b, h, x, p)
	}
	switch x.command.shape().answer {
	case answerResult:
		return c.result(b, h, x, p)
	case answerRows:
		x.results = true
		c.stage = inRows
		return nil
	case answerColumns:
		c.stage = inRows
		return nil
	case answerPrepared:
		return c.prepared(b, h, x, p)
	case answerText:
		b.Discard(int64(headerLen + h.size))
		c.over(b, x)
		return nil
	case answerAuth:
		c.stage = inAuth
		if p[0] == headOK {
			err := c.okay(b, h, x, p)
			if err == nil && x.command == connect && c.compressed() {
				return c.opaque(protocol.Compressed, b.Latest())
			}
			return err
		}
		x.seq++ // the client is asked for more
		b.Discard(int64(headerLen + h.size))
		return nil
	case answerStream:
		b.Discard(int64(headerLen + h.size))
		c.over(b, x)
		return c.opaque(protocol.Replication, b.Latest())
	}
	return c.okay(b, h, x, p)
}

// over ends x, whose answer has ended.
func (c *conn) over(b *stream.Buffer, x *call) {
	if x.code == 0 {
		c.apply(x)
	}
	c.stage = atAnswer
	c.Drop(x, exchange.Answered, b.Past())
}

// compressed reports whether all that follows on the handshake is, or may be.
func (c *conn) compressed() bool {
	both := c.wanted
	if c.greeted {
		both &= c.offered
	}
	return both&(clientCompress|clientZstd) != 0
}

// apply does to the connection what x did to it.
func (c *conn) apply(x *call) {
	switch {
	case x.switches && x.cut:
		c.schema.lose()
	case x.switches:
		c.schema.set(x.target)
	case !c.tracked && (x.veiled() || x.several && x.moves()):
		c.schema.lose()
	}
	switch x.command {
	case connect:
		c.agree()
	case comChangeUser, comResetConnection:
		c.statements.clear()
	}
}

// agree notes what both ends can do. What the client wants is not certain to be
// had where the greeting was missed.
func (c *conn) agree() {
	has := func(f capabilities) certainty {
		switch {
		case c.wanted&f == 0:
			return no
		case !c.greeted:
			return unknown
		case c.offered&f == 0:
			return no
		}
		return yes
	}
	c.attributes = has(clientAttributes)
	switch has(clientDeprecateEOF) {
	case yes:
		c.eof = no
	case no:
		c.eof = yes
	}
}

package mysql

import (
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// clientPacket takes one packet of the client's.
func (c *conn) clientPacket(b *stream.Buffer) error {
	p := b.Bytes()
	if len(p) == 0 {
		if b.Owed() > 0 {
			return stream.ErrShort
		}
		return nothing(b)
	}
	if c.astray {
		switch startsCommand(p) {
		case protocol.No:
			return c.skip(b)
		case protocol.Wait:
			return nothing(b)
		}
		c.astray = false
	}
	p, err := b.Peek(headerLen)
	if err != nil {
		return err
	}
	h := headerOf(p)
	switch {
	case c.more:
		return c.rest(b, h)
	case c.replies(h):
		return c.reply(b, h)
	case !c.begun && h.seq == 1:
		return c.handshake(b, h)
	case h.seq != 0:
		return errSequence
	}
	return c.request(b, h)
}

// skip steps over bytes that begin no command, after a loss: they are the rest
// of what was lost, and were counted with it.
func (c *conn) skip(b *stream.Buffer) error {
	if protocol.IsTLS(b.Bytes()) {
		return c.opaque(protocol.Encrypted, b.Latest())
	}
	if b.Truncated() {
		c.LostClient(true)
	}
	b.Reset()
	return stream.ErrShort
}

// rest goes on with a message that is longer than a packet.
func (c *conn) rest(b *stream.Buffer, h header) error {
	if h.seq != c.turn {
		return errSequence
	}
	c.turn++
	c.more = h.size == maxPayload
	if x := c.Sending; x != nil {
		x.seq = c.turn
	}
	b.Discard(int64(headerLen + h.size))
	return nil
}

// replies reports whether a packet is part of an answer that takes both sides: a
// file, or another password. Their sequence ids go on, and may pass zero.
func (c *conn) replies(h header) bool {
	x, ok := c.Oldest()
	switch {
	case !ok:
		return false
	case x.file:
		return true
	case h.seq != 0:
		return c.Unsure() || x.command.shape().answer == answerAuth
	}
	return c.within && c.turn == 0 && c.Unsure()
}

func (c *conn) reply(b *stream.Buffer, h header) error {
	x, _ := c.Oldest()
	c.within = true
	c.turn = h.seq + 1
	c.more = h.size == maxPayload
	x.seq = c.turn
	if h.size == 0 { // page_protocol_com_query_response_local_infile_request
		x.file = false
	}
	c.Sending = x
	b.Discard(int64(headerLen + h.size))
	return nil
}

// maxHandshake is how much of a handshake response is looked at to find the
// schema: a name and the answer to a challenge stand before it.
const maxHandshake = 1 << 10

// handshake opens the exchange of the connection phase.
// page_protocol_connection_phase_packets_protocol_handshake_response.
func (c *conn) handshake(b *stream.Buffer, h header) error {
	p, err := payload(b, h, maxHandshake)
	if err != nil {
		return err
	}
	f := fields{p: p}
	wanted := capabilities(f.uint32())
	switch {
	case f.cut && len(p) < h.size:
		return stream.ErrHole
	case f.cut:
		return errHandshake
	case wanted&clientSSL != 0: // an SSLRequest, whose answer is TLS
		return c.opaque(protocol.Encrypted, b.Latest())
	case wanted&clientProtocol41 == 0: // a client from before 2004
		return c.opaque(protocol.Upgraded, b.Latest())
	}
	f.next(4 + 1 + 23) // greatest packet, character set, filler
	f.terminated(false)
	switch {
	case wanted&clientAuthLenenc != 0:
		f.text()
	case wanted&clientSecure != 0:
		f.next(uint64(f.uint8()))
	default:
		f.terminated(false)
	}
	x, err := c.open(b, connect)
	if err != nil {
		return err
	}
	c.begun = true
	c.wanted = wanted
	x.seq = 2
	if wanted&clientConnectWithDB != 0 {
		if name := f.terminated(len(p) == h.size); !f.cut {
			x.switchTo(name)
		} else {
			x.Truncated = true
			x.switches, x.cut = true, true
		}
	} else {
		x.switchTo(nil)
	}
	b.Discard(int64(headerLen + h.size))
	return nil
}

// request takes a packet that begins a command.
func (c *conn) request(b *stream.Buffer, h header) error {
	if h.size == 0 {
		return errCommand
	}
	p, err := b.Peek(headerLen + 1)
	if err != nil {
		return err
	}
	cmd := command(p[headerLen])
	if cmd == connect {
		return errCommand
	}
	if p, err = payload(b, h, c.lookedAt(cmd)); err != nil {
		return err
	}
	cut := len(p) < h.size
	if cmd.shape().answer != answerNone {
		x, err := c.open(b, cmd)
		if err != nil {
			return err
		}
		c.argument(x, p, cut)
		if x.ambiguous() {
			x.Truncated = true
		}
		c.Weigh(x)
	} else if err := c.Begin(b); err != nil {
		return err
	} else if cmd == comClose {
		if id, ok := statementID(p); ok {
			c.statements.remove(id)
		} else { // any of them
			c.statements.clear()
		}
	}
	c.begun, c.within = true, false
	c.more, c.turn = h.size == maxPayload, 1
	b.Discard(int64(headerLen + h.size))
	if b.Owed() == 0 && !c.more {
		c.Sending = nil
	}
	return nil
}

// lookedAt is how many bytes of a command's payload are looked at.
func (c *conn) lookedAt(cmd command) int {
	switch cmd.shape().argument {
	case argumentSQL:
		if c.attributes == no {
			return 1 + maxText
		}
		return 1 + maxText + maxAttributes
	case argumentSchema, argumentTable:
		return 1 + maxName
	case argumentID:
		if cmd == comBulkExecute {
			return maxBatch
		}
		return 5
	case argumentUser:
		return maxHandshake
	}
	return 1
}

// argument reads what the command carries from the front of its payload.
func (c *conn) argument(x *call, p []byte, cut bool) {
	switch x.command.shape().argument {
	case argumentSQL:
		c.sql(x, p[1:], cut)
	case argumentSchema:
		x.keep(p[1:], cut)
		if x.command == comInitDB {
			x.switchTo(x.text)
			x.cut = cut
		}
	case argumentTable:
		f := fields{p: p[1:]}
		name := f.terminated(true)
		x.keep(name, cut && len(name) == len(p)-1)
	case argumentID:
		id, ok := statementID(p)
		switch {
		case ok && id == lastPrepared && len(c.latest.text) > 0:
			x.recall(&c.latest)
		case ok:
			s := c.statements.get(id)
			x.recall(s)
			switch {
			case x.command != comBulkExecute || s == nil:
			case cut:
				x.Truncated = true
			default:
				x.batch = batch(p[5:], s.parameters)
			}
		default:
			x.Truncated = true
		}
	case argumentUser: // page_protocol_com_change_user
		f := fields{p: p[1:]}
		f.terminated(false)
		f.next(uint64(f.uint8()))
		name := f.terminated(!cut)
		x.switchTo(name)
		if f.cut {
			x.cut, x.Truncated = true, true
		}
	}
}

// sql takes the text of a statement.
func (c *conn) sql(x *call, p []byte, cut bool) {
	if x.command == comQuery && (c.attributes == yes || c.attributes == unknown && len(p) >= 2 && p[1] == 1) {
		// No query begins with such a byte, so that a connection which was joined
		// later shows by itself whether its queries have attributes.
		text, ok := attributes(p, &x.Trace)
		if !ok {
			x.cut, x.Truncated = true, true
			return
		}
		p = text
	}
	x.keep(p, cut)
	if x.command == comPrepare {
		c.latest.text = append(c.latest.text[:0], x.text...)
		c.latest.cut, c.latest.parameters = x.cut, 0
		return
	}
	if x.cut {
		return
	}
	if x.Trace.ID.IsEmpty() {
		commented(x.text, &x.Trace)
	}
	if name, ok := use(x.text); ok {
		x.switchTo(name)
	}
}

// veiled reports whether x is a query of which nothing was seen: any, for all
// that is known.
func (x *call) veiled() bool { return x.command == comQuery && x.cut && len(x.text) == 0 }

// moves reports whether x may change the schema in use, for all that is known.
func (x *call) moves() bool {
	switch {
	case x.switches, x.command == comDropDB:
		return true
	case x.command.shape().argument == argumentSQL:
		if x.moving == unknown {
			x.moving = no
			if x.cut || moves(x.text) {
				x.moving = yes
			}
		}
		return x.moving == yes
	}
	return false
}

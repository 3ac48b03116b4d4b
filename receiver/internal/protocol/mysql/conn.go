package mysql

import (
	"errors"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/match"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/sqltext"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const (
	inOrder = 0 // the key of every exchange
	// maxOpen is how many commands may wait for their answers. Who pipelines
	// sends a few: a batch of MariaDB Connector/J has 100.
	maxOpen = 1024
)

// Why bytes made no sense. The engine counts each by its text.
var (
	errCommand   = errors.New("mysql: not a command")
	errHandshake = errors.New("mysql: not a handshake response")
	errSequence  = errors.New("mysql: packet out of sequence")
	errAnswer    = errors.New("mysql: not an answer to the command")
)

// conn follows one connection.
//
// Which answer is whose after a loss rests on positions, as in HTTP/1: no answer
// begins before the position that the server's stream had when the command
// arrived. A client that does not pipeline sends a command only after the last
// answer, so that its answer begins exactly there, and whatever the server says
// before that place belongs to others and is stepped over.
type conn struct {
	protocol *Protocol
	calls    match.Table[*call]

	// What the ends agreed on.
	system     string
	offered    capabilities // by the server
	wanted     capabilities // by the client
	greeted    bool         // offered is known
	eof        certainty    // columns and rows end with an EOF packet
	attributes certainty    // queries may have some
	schema     schema
	dialect    sqltext.Dialect
	moded      bool // dialect is that of the session's mode, as of the last answer
	tracked    bool // the server tells when it changes
	statements statements
	latest     statement // prepared last, answered or not

	// The client's side.
	begun     bool   // its first packet was seen
	astray    bool   // after a loss: the next write may begin a packet
	sent      uint64 // commands opened
	sending   *call  // whose packets are being sent, nil between them
	more      bool   // the next packet goes on with the same message
	turn      byte   // its sequence id; also of what a client sends in an answer's middle
	within    bool   // the last packet was sent in an answer's middle
	ack       uint64 // of the youngest command
	pipelined bool   // proven
	hidden    bool   // commands may be among what was lost

	// The server's side.
	stage     stage
	met       bool  // its first packet was seen
	answering *call // whose answer has begun; nil between them
	columns   int   // definitions to come
	further   int   // and as many after those
	carries   bool  // the next packet goes on with the same message
	ending    bool  // an EOF packet may follow the answer that ended last
	endingSeq byte  // then this is its sequence id
	last      stream.Time
	seen      uint64 // how far the server's stream has been seen
	answered  uint64 // where the last answer ended that was paired
	// gap says that the server's bytes were lost and it is not known what the
	// next are: the answers to commands before number unsure may have been
	// among them.
	gap    bool
	unsure uint64
	lossy  bool // anything was ever lost
}

// A schema is the one that is in use.
type schema struct {
	name  []byte
	known bool
	lost  bool // it was known, or would be if nothing had been lost
}

func (s *schema) set(name []byte) {
	*s = schema{name: append(s.name[:0], name[:min(len(name), maxName)]...), known: true}
}

func (s *schema) lose() { *s = schema{name: s.name[:0], lost: true} }

// Client implements protocol.Conn.
func (c *conn) Client(b *stream.Buffer) error {
	if c.sending != nil {
		c.sending.Active = b.Latest()
	}
	var err error
	for err == nil {
		err = c.clientPacket(b)
	}
	if err == stream.ErrShort {
		return nil
	}
	return err
}

// Server implements protocol.Conn.
func (c *conn) Server(b *stream.Buffer) error {
	if x := c.answering; x != nil {
		x.Active = max(x.Active, b.Latest())
	}
	var err error
	if c.gap && len(b.Bytes()) > 0 {
		err = c.settle(b)
	}
	c.last = b.Latest()
	for err == nil {
		err = c.serverPacket(b)
	}
	c.seen = b.Pos() + uint64(len(b.Bytes()))
	if err == stream.ErrShort {
		return nil
	}
	return err
}

// Lost implements protocol.Conn.
func (c *conn) Lost(side stream.Side, at stream.Time) error {
	c.lossy = true
	if side == stream.Client {
		c.lostClient()
		return nil
	}
	return c.lostServer(at)
}

func (c *conn) lostClient() {
	if c.sending != nil {
		c.sending.Truncated = true
		c.sending.loose = true
	}
	if x, ok := c.calls.Find(inOrder); ok {
		x.loose = true // it may have sent more of a file or of a password
	}
	c.begun, c.astray, c.hidden = true, true, true
	c.sending, c.more, c.within = nil, false, false
	// A proxy may give the number of a statement that was closed to another.
	c.statements.clear()
	c.latest.text = c.latest.text[:0]
	c.schema.lose()
	c.moded = false
}

func (c *conn) lostServer(at stream.Time) error {
	several := c.calls.Len() > 1
	for x := range c.calls.All() {
		if x.moves() {
			c.schema.lose()
		}
	}
	if c.answering != nil {
		c.answering.Truncated = true
	}
	c.met, c.moded = true, false
	c.stage, c.answering, c.carries, c.ending = atAnswer, nil, false, false
	c.gap, c.unsure = true, c.sent
	if c.pipelined && several {
		return c.giveUp(exchange.Lost, at)
	}
	return nil
}

// settle finds out what the bytes at the front of b are, which follow on a gap.
func (c *conn) settle(b *stream.Buffer) error {
	for {
		x, ok := c.calls.Find(inOrder)
		if !ok || x.ack >= b.Pos() {
			c.gap = false
			return nil
		}
		// The beginning of its answer is gone. All that follows is the rest
		// of it until another command arrives.
		x.Active = max(x.Active, b.Latest())
		if c.calls.Len() == 1 {
			b.Reset()
			return stream.ErrShort
		}
		c.drop(x, exchange.Lost, c.last)
	}
}

// resume judges whether the order of answers is certain when the first command
// after a loss of the client's bytes arrives.
func (c *conn) resume(b *stream.Buffer) error {
	c.hidden = false
	certain := !c.pipelined
	if x, ok := c.calls.Find(inOrder); ok {
		// It was answered before this one was sent, so that its answer must
		// be among bytes of the server that were not seen.
		certain = certain && b.Ack() > x.ack && (c.gap || b.Ack() > c.seen)
	} else {
		// What was hidden was answered: by bytes that belong to no exchange.
		certain = certain && b.Ack() > c.answered
	}
	if !certain {
		return c.giveUp(exchange.Lost, b.Latest())
	}
	return nil
}

// mine reports whether an answer that begins b can be that to x: it began after
// x had arrived, or it was sent by who knew of x. The latter is the case of a
// client whose threads race each other: see protocol.ErrEarly.
func (c *conn) mine(x *call, b *stream.Buffer) bool {
	return b.Pos() >= x.ack || b.Ack() > x.pos
}

// open adds the exchange of the command that begins b.
func (c *conn) open(b *stream.Buffer, cmd command) (*call, error) {
	if c.hidden {
		if err := c.resume(b); err != nil {
			return nil, err
		}
	}
	ack := b.Ack()
	for c.gap && !c.pipelined {
		// Whoever does not pipeline has had its answer.
		x, ok := c.calls.Find(inOrder)
		if !ok || x.number >= c.unsure || ack <= x.ack {
			break
		}
		c.drop(x, exchange.Lost, c.last)
	}
	if c.calls.Len() > 0 && (ack == c.ack || ack == c.seen && !c.gap) {
		// All that the server said was seen, and an answer is still due.
		if c.lossy {
			// Pipelined, or that answer was taken for another's.
			return nil, c.giveUp(exchange.Lost, b.Latest())
		}
		c.pipelined = true
	}
	x, ok := c.calls.Open(inOrder, b.Time())
	if !ok {
		return nil, c.giveUp(exchange.Evicted, b.Latest())
	}
	x.reset()
	x.Active = b.Latest()
	x.command, x.options, x.system = cmd, &c.protocol.options, c.system
	x.dialect = c.dialect
	x.number, x.pos, x.ack, x.seq = c.sent, b.Pos(), ack, 1
	if c.calls.Len() == 1 {
		c.place(x)
	}
	c.sent++
	c.ack = ack
	c.sending = x
	return x, nil
}

// place tells x what the commands before it have left behind.
func (c *conn) place(x *call) {
	x.schema = append(x.schema[:0], c.schema.name...)
	x.dialect, x.certain = c.dialect, c.moded
	if c.schema.lost {
		x.Truncated = true
	}
}

// Ended implements protocol.Conn.
func (c *conn) Ended(side stream.Side, at stream.Time) {
	if side == stream.Server {
		c.endAll(exchange.Closed, at)
	}
}

// Expire implements protocol.Conn.
func (c *conn) Expire(before, at stream.Time) {
	for c.gap {
		x, ok := c.calls.Find(inOrder)
		if !ok || x.number >= c.unsure || x.Active >= before {
			break
		}
		c.drop(x, exchange.Lost, x.Active)
	}
	c.calls.Expire(before, at)
}

// Close implements protocol.Conn.
func (c *conn) Close(why exchange.Outcome, at stream.Time) { c.endAll(why, at) }

// Open implements protocol.Conn.
func (c *conn) Open() int { return c.calls.Live() }

// drop ends the oldest exchange, which is x.
func (c *conn) drop(x *call, why exchange.Outcome, at stream.Time) {
	if c.sending == x {
		c.sending = nil
	}
	if c.answering == x {
		c.answering = nil
	}
	c.calls.End(inOrder, why, at)
}

// endAll ends all exchanges, but those whose answers may have been missed as Lost.
func (c *conn) endAll(why exchange.Outcome, at stream.Time) {
	for c.gap {
		x, ok := c.calls.Find(inOrder)
		if !ok || x.number >= c.unsure && x.ack >= c.seen {
			break
		}
		c.drop(x, exchange.Lost, x.Active)
	}
	c.calls.EndAll(why, at)
	c.sending, c.answering = nil, nil
	c.stage, c.carries, c.ending = atAnswer, false, false
}

// giveUp ends all exchanges of a connection that can be followed no more.
func (c *conn) giveUp(why exchange.Outcome, at stream.Time) error {
	c.endAll(why, at)
	return protocol.ErrUnpaired
}

// opaque ends all exchanges of a connection that can be read no more.
func (c *conn) opaque(at stream.Time) error {
	c.endAll(exchange.Lost, at)
	return protocol.ErrOpaque
}

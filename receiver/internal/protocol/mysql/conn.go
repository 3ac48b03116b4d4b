package mysql

import (
	"errors"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/match"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/sqltext"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// maxOpen is how many commands may wait for their answers. Who pipelines sends
// a few: a batch of MariaDB Connector/J has 100.
const maxOpen = 1024

// Why bytes made no sense. The engine counts each by its text.
var (
	errCommand   = errors.New("mysql: not a command")
	errHandshake = errors.New("mysql: not a handshake response")
	errSequence  = errors.New("mysql: packet out of sequence")
	errAnswer    = errors.New("mysql: not an answer to the command")
)

// statementEvicted counts prepared statements that are no longer known: what
// executes them does not say what it is.
const statementEvicted = "mysql_statement_evicted"

// conn follows one connection.
type conn struct {
	match.Queue[*call]
	protocol *Protocol
	lose     func(reason string, n uint64)

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
	begun  bool // its first packet was seen
	astray bool // after a loss: the next write may begin a packet
	more   bool // the next packet goes on with the same message
	turn   byte // its sequence id; also of what a client sends in an answer's middle
	within bool // the last packet was sent in an answer's middle

	// The server's side.
	met       bool // its first packet was seen
	carries   bool // the next packet goes on with the same message
	ending    bool // an EOF packet may follow the answer that ended last
	endingSeq byte // then this is its sequence id
	stage     stage
	columns   int // definitions to come
	further   int // and as many after those
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

// Account implements protocol.Accountant.
func (c *conn) Account(lose func(reason string, n uint64)) { c.lose = lose }

// Client implements protocol.Conn.
func (c *conn) Client(b *stream.Buffer) error {
	var err error
	for err == nil {
		err = c.clientPacket(b)
	}
	return c.Asked(b, err)
}

// Server implements protocol.Conn.
func (c *conn) Server(b *stream.Buffer) error {
	err := c.Resume(b)
	if err != nil {
		c.lostServer()
	}
	for err == nil {
		err = c.serverPacket(b)
	}
	return c.Said(b, err)
}

// Lost implements protocol.Conn.
func (c *conn) Lost(side stream.Side, at stream.Time) error {
	if side == stream.Client {
		c.lostClient()
		return nil
	}
	c.lostServer()
	return c.LostServer(at)
}

func (c *conn) lostClient() {
	if c.Sending != nil {
		c.Sending.Truncated = true
		c.Sending.loose = true
	}
	if x, ok := c.Oldest(); ok {
		x.loose = true // it may have sent more of a file or of a password
	}
	c.LostClient(true)
	c.begun, c.astray, c.more, c.within = true, true, false, false
	// A proxy may give the number of a statement that was closed to another.
	c.statements.clear()
	c.latest.text = c.latest.text[:0]
	c.schema.lose()
	c.moded = false
}

// lostServer starts over with the next answer: of those to the commands that are
// open, some or all were lost.
func (c *conn) lostServer() {
	for x := range c.All() {
		if x.moves() {
			c.schema.lose()
		}
		if x.command == comChangeUser || x.command == comResetConnection {
			c.statements.clear()
		}
	}
	if c.Answering != nil {
		c.Answering.Truncated = true
	}
	c.met, c.moded = true, false
	c.stage, c.carries, c.ending = atAnswer, false, false
}

// open adds the exchange of the command that begins b.
func (c *conn) open(b *stream.Buffer, cmd command) (*call, error) {
	if c.Len() == maxOpen { // they are evicted
		c.lostServer()
	}
	x, err := c.Open(b)
	if err != nil {
		return nil, err
	}
	x.reset()
	x.command, x.options, x.system = cmd, &c.protocol.options, c.system
	x.dialect = c.dialect
	x.seq = 1
	if c.Len() == 1 {
		c.place(x)
	}
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

// Weight implements protocol.Conn.
func (c *conn) Weight() int { return c.Queue.Weight() + c.statements.weight + cap(c.latest.text) }

// Shed implements protocol.Conn.
func (c *conn) Shed(at stream.Time) {
	c.lostServer() // what the open commands will have changed is not known then
	c.Queue.Shed(at)
	if n := len(c.statements.byID); n > 0 {
		c.lose(statementEvicted, uint64(n))
	}
	c.statements.clear()
	c.latest = statement{}
	c.Sleep()
}

// Sleep implements protocol.Sleeper.
func (c *conn) Sleep() {
	c.Shrink()
	c.statements.shrink()
}

// Continues implements protocol.Dialogue: the server asked for a file, or for
// another step of an authentication.
func (c *conn) Continues() bool {
	x, ok := c.Oldest()
	return ok && (x.file || c.stage == inAuth)
}

// Parts implements protocol.Dialogue: with COM_QUIT.
func (c *conn) Parts() bool { return true }

// Ended implements protocol.Conn.
func (c *conn) Ended(side stream.Side, at stream.Time) {
	if side == stream.Server {
		c.EndAll(exchange.Closed, at)
	}
}

// Close implements protocol.Conn.
func (c *conn) Close(why exchange.Outcome, at stream.Time) { c.EndAll(why, at) }

// opaque ends all exchanges of a connection that can be read no more.
func (c *conn) opaque(why protocol.Opaque, at stream.Time) error {
	c.EndAll(exchange.Lost, at)
	return why
}

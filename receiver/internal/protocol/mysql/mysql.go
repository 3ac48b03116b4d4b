// Package mysql follows connections of MySQL's client/server protocol, as
// MySQL 5.7 to 9, Percona Server and MariaDB speak it: the handshake and every
// command is an exchange. Sources cite pages of the MySQL source documentation
// (page_protocol_…) and MariaDB's Knowledge Base.
//
// The shape of an answer follows from its command; what it holds is stepped over
// packet by packet, by length. Passwords, and the values of parameters, are
// never kept. A connection that turns to TLS, to compression or into a stream
// of replication is left alone: to follow a compressed one, every byte of every
// result would have to be copied and inflated, where now rows are neither.
package mysql

import (
	"sync"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/match"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/sqltext"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Values of db.system.name.
const (
	mysql   = "mysql"
	mariadb = "mariadb"
)

// Protocol is MySQL's.
type Protocol struct {
	options Options
	calls   sync.Pool // of *call
	numbers string    // of errors, as text
}

var (
	_ protocol.Unbroken   = (*Protocol)(nil)
	_ protocol.Dialogue   = (*conn)(nil)
	_ exchange.Exchange   = (*call)(nil)
	_ protocol.Accountant = (*conn)(nil)
	_ protocol.Sleeper    = (*conn)(nil)
)

// New returns the protocol with options that are valid.
func New(o Options) *Protocol {
	return &Protocol{options: o, calls: sync.Pool{New: func() any { return new(call) }}, numbers: readyNumbers()}
}

// Name implements protocol.Protocol.
func (p *Protocol) Name() string { return "mysql" }

// Opening implements protocol.Unbroken: drivers read some 100 KiB of a result
// at once, with rows all over it. What begins a greeting differs by version.
func (p *Protocol) Opening() stream.Opening { return stream.Opening{} }

// Detect implements protocol.Protocol. A connection is recognised by the
// server's greeting or the client's response to it, and one that was joined
// later by a command together with its answer.
func (p *Protocol) Detect(client, server []byte) protocol.Verdict {
	switch {
	case len(client) == 0 && len(server) == 0:
		return protocol.Wait
	case len(client) == 0:
		return startsGreeting(server)
	}
	if v := startsHandshake(client); v != protocol.No {
		if len(server) > 0 {
			return min(v, max(startsGreeting(server), startsVerdict(server)))
		}
		return v
	}
	return startsExchange(client, server)
}

// NewConn implements protocol.Protocol.
func (p *Protocol) NewConn(ep *exchange.Endpoint, emit func(exchange.Exchange)) protocol.Conn {
	c := &conn{
		Queue:    match.NewQueue[*call](maxOpen, &p.calls, ep, emit),
		protocol: p,
		system:   mysql,
		dialect:  sqltext.MySQL,
	}
	c.Silent = true // COM_STMT_CLOSE, COM_STMT_SEND_LONG_DATA
	return c
}

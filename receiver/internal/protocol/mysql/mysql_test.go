package mysql

import (
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/protocol/protocoltest"
)

func TestConversations(t *testing.T) {
	protocoltest.Run(t, sparing{Protocol: New(DefaultOptions())}, "mysql")
}

func TestConversationsThatWereJoined(t *testing.T) {
	protocoltest.Run(t, sparing{New(DefaultOptions()), true}, "mysql/joined")
}

func FuzzConversation(f *testing.F) {
	protocoltest.Fuzz(f, New(DefaultOptions()), "mysql")
}

// sparing is the protocol as it stands before protocoltest.Run, which wants of an
// exchange of which bytes were lost that nothing of it differs from what it is
// otherwise. What is less specific then, and right, is left out: the name,
// the system where the greeting was missed, and the schema of a connection that
// was joined later still.
type sparing struct {
	*Protocol
	joined bool
}

func (p sparing) NewConn(ep *exchange.Endpoint, emit func(exchange.Exchange)) protocol.Conn {
	var c *conn
	s := new(spared)
	c = p.Protocol.NewConn(ep, func(x exchange.Exchange) {
		s.call, s.greeted = x.(*call), c.greeted || p.joined
		if !s.greeted || p.joined && len(s.namespace()) == 0 {
			s.Truncated = true
		}
		emit(s)
	}).(*conn)
	return c
}

type spared struct {
	*call
	greeted bool
}

func (x *spared) SpanName() string { return "exchange" }

func (x *spared) Attributes(m pcommon.Map) {
	x.call.Attributes(m)
	if !x.Truncated {
		m.PutStr("name", x.call.SpanName())
	}
	if !x.greeted {
		m.Remove("db.system.name")
	}
}

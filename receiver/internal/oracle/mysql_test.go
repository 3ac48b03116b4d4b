package oracle

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/protocol/mysql"
)

var mysqlOracle = oracle{
	folder:   "zeek/mysql",
	protocol: unnamed{mysql.New(mysql.Options{QueryText: mysql.Raw})},
	// Of rows, Zeek notes those that were changed, which are no attribute here.
	columns: []string{"cmd", "arg", "success"},
	// Where the login was lost it is not known that a schema is in use.
	unmarked: []string{"db.namespace"},
	judged:   judgedMySQL,
	told:     toldMySQL,
	differences: map[string][]difference{
		"auth": {{here: "login * F", why: notAllowed}, {here: "login * F", why: notAllowed}, {here: "login * F", why: notAllowed}},
	},
}

const notAllowed = "the server refuses the client's host (1130) in the place of a greeting; the log is silent on it"

// judgedMySQL brings a row of Zeek's into our words.
func judgedMySQL(r row) bool {
	switch r["cmd"] {
	case "quit", "stmt_close", "stmt_send_long_data": // nothing answers them
		return false
	case "login", "change_user":
		r["arg"] = anything // who it was is not told here
	}
	return true
}

// toldMySQL brings an exchange into the words of Zeek.
func toldMySQL(x *record) row {
	a := x.attributes
	r := row{"cmd": strings.ToLower(a["db.operation.name"]), "arg": a["db.query.text"], "success": "T"}
	switch r["cmd"] {
	case "":
		r["cmd"] = "query"
	case "connect":
		r["cmd"], r["arg"] = "login", anything
	case "change_user":
		r["arg"] = anything
	case "init_db":
		r["arg"] = a["db.namespace"]
	case "field_list":
		r["arg"] = a["db.collection.name"]
	}
	if x.errorType != "" {
		r["success"] = "F"
	}
	return r
}

// unnamed does not tell the name of the system, which is MySQL's wherever the
// greeting was lost. The log does not have it.
type unnamed struct{ protocol.Protocol }

func (p unnamed) NewConn(ep *exchange.Endpoint, emit func(exchange.Exchange)) protocol.Conn {
	return p.Protocol.NewConn(ep, func(x exchange.Exchange) { emit(nameless{x}) })
}

type nameless struct{ exchange.Exchange }

func (x nameless) Attributes(m pcommon.Map, s *exchange.Strings) {
	x.Exchange.Attributes(m, s)
	m.Remove("db.system.name")
}

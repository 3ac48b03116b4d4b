package mysql

import (
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/sqltext"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const (
	maxSummary = 255 // OpenTelemetry 1.44, db.query.summary
	maxShown   = 128 // bytes of a name in a summary
)

// digest returns the value of db.query.summary. Valid until x changes.
func (x *call) digest() []byte {
	if x.summarized {
		return x.summary
	}
	x.summarized = true
	x.summary = x.summary[:0]
	if !x.query() || x.ambiguous() {
		return x.summary
	}
	switch x.command {
	case comQuery, comExecute:
	case comBulkExecute: // OpenTelemetry 1.44, database spans, batches
		x.summary = append(x.summary, "BATCH "...)
	default: // it is not what the statement says that is done
		x.summary = append(append(x.summary, x.command.shape().name...), ' ')
	}
	before := len(x.summary)
	if len(x.outline) > 0 {
		x.summary = append(x.summary, x.outline...)
	} else {
		x.summary = sqltext.Summary(x.summary, uncut(x.text, x.cut), x.dialect)
	}
	if len(x.summary) == before {
		x.summary = x.summary[:0]
	}
	if len(x.summary) > maxSummary { // the prefix made it so
		n := maxSummary
		for n > 0 && x.summary[n] != ' ' {
			n--
		}
		x.summary = x.summary[:n]
	}
	return x.summary
}

// operation is what the protocol calls what is done; empty for a query, which
// says so itself.
func (x *call) operation() string { return x.command.shape().name }

// SpanName implements exchange.Exchange.
func (x *call) SpanName(s *exchange.Strings) string {
	if d := x.digest(); len(d) > 0 {
		return s.Valid(d)
	}
	name := append(x.scratch[:0], x.operation()...)
	if len(name) > 0 {
		name = append(name, ' ')
	}
	target := x.collection()
	if len(target) == 0 {
		target = x.namespace()
	}
	switch server := x.server(); {
	case len(target) > 0:
		name = append(name, target...)
	case server.IsValid():
		name = server.AddrPort().AppendTo(name)
	case len(name) == 0:
		return x.system
	default:
		return x.operation()
	}
	x.scratch = name
	return s.Valid(name)
}

// collection is the table that the protocol, not a statement, names.
func (x *call) collection() []byte {
	if x.command.shape().argument == argumentTable {
		return x.text
	}
	return nil
}

// namespace is the schema that the command is about: that which it changes to
// or names, if it is known to have done so, or the one in use.
func (x *call) namespace() []byte {
	switch {
	case x.veiled(): // it may have changed to another
		return nil
	case x.switches && x.Outcome == exchange.Answered && x.code == 0 && !x.cut:
		return x.target
	case x.switches && (x.cut || x.Outcome == exchange.Lost || x.Outcome == exchange.Evicted):
		return nil
	case x.command.shape().argument == argumentSchema && !x.switches:
		return x.text
	}
	return x.schema
}

// server is the server's end of the connection.
func (x *call) server() exchange.Address {
	switch ep := x.Endpoint; {
	case ep == nil:
		return exchange.Address{}
	case ep.Side == stream.Client:
		return ep.Peer
	default:
		return ep.Local
	}
}

// Attributes implements exchange.Exchange.
//
// error.type, network.peer.* and perisco.truncated are the same for every
// protocol and added by its caller.
func (x *call) Attributes(m pcommon.Map, s *exchange.Strings) {
	m.PutStr(string(semconv.DBSystemNameKey), x.system)
	put(m, s, string(semconv.DBNamespaceKey), x.namespace())
	put(m, s, string(semconv.DBCollectionNameKey), x.collection())
	if o := x.operation(); o != "" {
		m.PutStr(string(semconv.DBOperationNameKey), o)
	}
	if x.batch > 1 {
		m.PutInt(string(semconv.DBOperationBatchSizeKey), int64(x.batch))
	}
	put(m, s, string(semconv.DBQuerySummaryKey), x.digest())
	put(m, s, string(semconv.DBQueryTextKey), x.shownText())
	if x.code != 0 {
		m.PutStr(string(semconv.DBResponseStatusCodeKey), x.ErrorType)
	}
	if x.results && x.code == 0 && x.Outcome == exchange.Answered {
		m.PutInt(string(semconv.DBResponseReturnedRowsKey), int64(x.rows))
	}
	if server := x.server(); server.IsValid() {
		m.PutStr(string(semconv.ServerAddressKey), s.Address(server))
		m.PutInt(string(semconv.ServerPortKey), int64(server.Port()))
	}
	if ep := x.Endpoint; ep != nil && ep.Side == stream.Server && ep.Peer.IsValid() {
		m.PutStr(string(semconv.ClientAddressKey), s.Address(ep.Peer))
		m.PutInt(string(semconv.ClientPortKey), int64(ep.Peer.Port()))
	}
}

// shownText returns the value of db.query.text. Valid until x changes or is
// named.
func (x *call) shownText() []byte {
	if !x.query() || x.options == nil {
		return nil
	}
	switch {
	case x.options.QueryText == Off:
		return nil
	case x.options.QueryText == Raw, x.parameters:
		return x.text
	case x.ambiguous():
		return nil
	case x.command == comPrepare && x.Outcome != exchange.Answered:
		return nil // whether it has parameters was not seen
	}
	x.scratch = sqltext.Sanitize(x.scratch[:0], x.text, x.dialect, maxText)
	return x.scratch
}

// put adds a value unless it is empty.
func put(m pcommon.Map, s *exchange.Strings, key string, v []byte) {
	if len(v) > 0 {
		m.PutStr(key, s.Valid(v))
	}
}

// Size implements exchange.Exchange.
func (x *call) Size() int { return len(x.text) + len(x.schema) + maxSummary }

// Summary implements exchange.Exchange.
func (x *call) Summary(dst []byte) []byte {
	if s := x.digest(); len(s) > 0 {
		dst = exchange.AppendVisible(dst, s, maxSummary)
	} else {
		o := x.operation()
		if o == "" {
			o = "QUERY"
		}
		dst = append(dst, o...)
		target := x.collection()
		switch {
		case x.switches:
			target = x.target
		case x.command.shape().argument == argumentSchema:
			target = x.text
		}
		if len(target) > 0 {
			dst = append(dst, ' ')
			dst = exchange.AppendVisible(dst, target, maxShown)
		}
	}
	dst = append(dst, ' ')
	switch {
	case x.Outcome != exchange.Answered:
		if x.ErrorType != "" {
			return append(dst, x.ErrorType...)
		}
		return append(dst, x.Outcome.String()...)
	case x.code != 0:
		dst = append(dst, "error "...)
		return strconv.AppendUint(dst, uint64(x.code), 10)
	case x.results:
		dst = append(dst, "ok "...)
		dst = strconv.AppendUint(dst, x.rows, 10)
		if x.rows == 1 {
			return append(dst, " row"...)
		}
		return append(dst, " rows"...)
	case x.affected > 0:
		dst = append(dst, "ok "...)
		dst = strconv.AppendUint(dst, x.affected, 10)
		return append(dst, " affected"...)
	}
	return append(dst, "ok"...)
}

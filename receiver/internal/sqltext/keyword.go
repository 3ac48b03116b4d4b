package sqltext

// verb is what an operation does with the names that follow it.
type verb uint8

const (
	noVerb      verb = iota
	verbPlain        // names nothing the summary tells: SHOW, SET, COMMIT
	verbSelect       // from FROM on
	verbInsert       // the next name
	verbUpdate       // the next names, and those behind FROM
	verbDelete       // those behind FROM
	verbMerge        // the next, and the one behind USING
	verbCreate       // the one behind the kind of object: CREATE TABLE t
	verbAlter        // the same
	verbDrop         // those behind the kind of object
	verbTable        // the next ones, with or without the kind: TRUNCATE t
	verbName         // the next one: USE shop
	verbCall         // the next one, a procedure
	verbExecute      // a procedure in SQL Server; elsewhere a prepared statement, whose name is mostly made up
	verbLoad         // the one behind INTO
	verbExplain      // none, a statement follows
	verbGrant        // none; the rest has operations that are not performed
	verbWith         // no operation itself
)

// role is what a word means behind an operation.
type role uint8

const (
	noRole       role = iota
	roleFrom          // FROM
	roleJoin          // JOIN
	roleInto          // INTO
	roleUsing         // USING
	roleOn            // ON
	roleAs            // AS
	roleStop          // ends a list of tables
	roleRef           // stands between FROM and the name
	roleSkip          // stands between another operation and the name
	rolePart          // a kind of object goes on
	roleObject        // a kind of object
	roleIndex         // one that lies on a table: named behind ON
	roleRoutine       // one whose statements follow
	roleTrigger       // both
	roleNameless      // one whose name is a person's or made up
	roleDistinct      // IS DISTINCT FROM
)

type keyword struct {
	verb verb
	role role
}

// longestKeyword is the length of NO_WRITE_TO_BINLOG.
const longestKeyword = 18

// lookup knows a keyword in any case.
func lookup(w []byte) keyword {
	if len(w) < 2 || len(w) > longestKeyword {
		return keyword{}
	}
	var buf [longestKeyword]byte
	for i, c := range w {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		buf[i] = c
	}
	switch string(buf[:len(w)]) {
	case "select":
		return keyword{verb: verbSelect, role: roleStop}
	case "insert", "replace":
		return keyword{verb: verbInsert}
	case "update":
		return keyword{verb: verbUpdate}
	case "delete":
		return keyword{verb: verbDelete}
	case "merge":
		return keyword{verb: verbMerge}
	case "create":
		return keyword{verb: verbCreate}
	case "alter", "start", "release", "refresh", "reindex", "unlock":
		return keyword{verb: verbAlter}
	case "drop":
		return keyword{verb: verbDrop}
	case "truncate", "rename", "lock", "optimize", "analyze", "repair", "check", "checksum":
		return keyword{verb: verbTable}
	case "use", "copy", "handler":
		return keyword{verb: verbName}
	case "call", "exec":
		return keyword{verb: verbCall}
	case "execute":
		return keyword{verb: verbExecute}
	case "load":
		return keyword{verb: verbLoad}
	case "explain", "describe", "desc":
		return keyword{verb: verbExplain}
	case "grant", "revoke":
		return keyword{verb: verbGrant}
	case "with":
		return keyword{verb: verbWith}
	case "show", "begin", "commit", "rollback", "savepoint", "end", "abort", "kill", "flush", "reset", "purge",
		"change", "xa", "help", "prepare", "deallocate", "discard", "listen", "notify", "unlisten", "close", "declare",
		"open", "move", "cluster", "vacuum", "checkpoint", "comment", "signal", "do", "install", "uninstall", "binlog",
		"clone", "shutdown", "restart", "stop", "import", "cache", "print", "waitfor":
		return keyword{verb: verbPlain}
	case "set", "values", "fetch":
		return keyword{verb: verbPlain, role: roleStop}

	case "from":
		return keyword{role: roleFrom}
	case "join", "straight_join":
		return keyword{role: roleJoin}
	case "into":
		return keyword{role: roleInto}
	case "using":
		return keyword{role: roleUsing}
	case "on":
		return keyword{role: roleOn}
	case "as":
		return keyword{role: roleAs}
	case "distinct":
		return keyword{role: roleDistinct}
	case "where", "group", "order", "having", "limit", "union", "except", "intersect", "window", "for", "returning",
		"offset", "prewhere", "qualify", "connect":
		return keyword{role: roleStop}
	case "only", "lateral":
		return keyword{role: roleRef}
	case "if", "not", "exists", "concurrently", "low_priority", "high_priority", "delayed", "quick", "ignore",
		"overwrite", "verbose", "no_write_to_binlog", "local", "format", "immediate":
		return keyword{role: roleSkip}

	case "table":
		return keyword{verb: verbName, role: roleObject}
	case "tables", "view", "database", "schema", "sequence", "type", "extension", "tablespace",
		"server", "domain", "collation", "publication", "subscription", "synonym", "aggregate", "operator", "cast", "keyspace":
		return keyword{role: roleObject}
	case "materialized":
		return keyword{role: rolePart}
	case "index", "policy", "rule", "statistics":
		return keyword{role: roleIndex}
	case "procedure", "function", "event", "package":
		return keyword{role: roleRoutine}
	case "trigger":
		return keyword{role: roleTrigger}
	case "user", "role", "login", "transaction":
		return keyword{role: roleNameless}
	}
	return keyword{}
}

package sqltext

// Dialect decides what begins and ends a literal, a name and a comment.
type Dialect uint8

const (
	// Standard is ISO SQL, for databases without a dialect here. Where systems
	// differ it reads what hides more: comments nest, and $$ quotes. Names stand
	// in "", in `` or in []. Not covered: Oracle's q'[...]'.
	Standard Dialect = iota
	// MySQL also serves MariaDB and Percona. MySQL Reference Manual 9.x,
	// 11.1 "Literal Values", 11.2 "Schema Object Names", 11.7 "Comments".
	//
	// Double quotes are strings. With the SQL mode ANSI_QUOTES they are names,
	// and are replaced all the same: the mode cannot be seen on the wire.
	MySQL
	// MySQLNoBackslashEscapes is MySQL in the SQL mode NO_BACKSLASH_ESCAPES, where
	// '\' is a whole string. Every OK and EOF packet tells of the mode in its
	// status flags (SERVER_STATUS_NO_BACKSLASH_ESCAPES, 0x0200). To take one mode
	// for the other may show what stands in a literal.
	MySQLNoBackslashEscapes
	// PostgreSQL with standard_conforming_strings on, the default since 9.1.
	// PostgreSQL manual, 4.1 "Lexical Structure".
	PostgreSQL
)

func (d Dialect) mysql() bool { return d == MySQL || d == MySQLNoBackslashEscapes }

// class is what a byte can be in a dialect.
type class uint8

const (
	begins    class = 1 << iota // an unquoted name can begin with it; with every byte of a character beyond ASCII, too
	continues                   // an unquoted name can go on with it
	letter                      // both, in every dialect
	digit
	blank   // white space, and control characters: MySQL ends "--" at either
	unclean // cannot be copied as it is
)

var classes = func() (all [PostgreSQL + 1][256]class) {
	for d := range all {
		for c := range all[d] {
			all[d][c] = classify(Dialect(d), byte(c))
		}
	}
	return all
}()

func classify(d Dialect, c byte) class {
	switch {
	case c == ' ', c == '\t', c == '\n':
		return blank
	case c < ' ', c == 0x7f:
		return blank | unclean
	case c >= '0' && c <= '9':
		return digit | continues
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
		return letter | begins | continues
	case c >= 0x80:
		return letter | begins | continues | unclean
	case c == '$' && d.mysql(), c == '#' && d == Standard: // #t: a temporary table of SQL Server
		return begins | continues
	case c == '$':
		return continues
	}
	return 0
}

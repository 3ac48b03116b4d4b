package sqltext

import "bytes"

type kind uint8

const (
	end       kind = iota
	space          // any run of white space and control characters
	comment        // a comment; the server does not read it
	code           // the border of a comment that MySQL executes: /*!80000 or its */
	word           // a keyword or an unquoted name
	quoted         // a quoted name, its quotes included
	literal        // anything that could be a value, its prefix or sign included
	parameter      // ? or $1
	symbol         // one byte of anything else
)

// scanner cuts a query into tokens that, put together, are the query.
type scanner struct {
	src        []byte
	start, pos int // the token is src[start:pos]
	d          Dialect
	classes    *[256]class // of the dialect
	unclean    bool        // the token has to be cleaned
	last       kind        // of the token before
	member     bool        // the token before was the dot behind a name
	executable bool        // within /*! */
	escapes    bool        // the literal before was E''
	continued  bool        // and a new line followed it: a string there is one, too (PostgreSQL, 4.1.2.1)
}

func newScanner(query []byte, d Dialect) scanner {
	return scanner{src: query, d: d, classes: &classes[d]}
}

func (s *scanner) token() []byte { return s.src[s.start:s.pos] }

// peek is the byte n after what was read, 0 behind the end.
func (s *scanner) peek(n int) byte {
	if s.pos+n < len(s.src) {
		return s.src[s.pos+n]
	}
	return 0
}

// while moves on over all bytes of a class.
func (s *scanner) while(c class) {
	src, table, seen := s.src, s.classes, class(0)
	i := s.pos
	for i < len(src) && table[src[i]]&c != 0 {
		seen |= table[src[i]]
		i++
	}
	s.pos = i
	s.unclean = s.unclean || seen&unclean != 0
}

// digit says whether the byte n after what was read is one.
func (s *scanner) digit(n int) bool { return s.classes[s.peek(n)]&digit != 0 }

func (s *scanner) next() kind {
	s.start = s.pos
	if s.pos >= len(s.src) {
		return end
	}
	s.unclean = false
	of := s.classes[s.src[s.pos]]
	switch {
	case of&blank != 0:
		s.while(blank)
		s.member = false
		s.last = space
	case of&begins != 0:
		s.member = false
		s.last = s.word()
	default:
		s.last = s.read(of)
	}
	if s.escapes {
		s.follow()
	}
	return s.last
}

// follow looks what follows an escape string.
func (s *scanner) follow() {
	switch {
	case s.last == space:
		s.continued = s.continued || bytes.ContainsAny(s.token(), "\r\n")
	case s.last == literal && (s.src[s.start]|0x20 == 'e' || s.continued && s.src[s.start] == '\''):
		s.continued = false // the string itself, or another piece of it
	case s.last != comment || s.src[s.start] == '/':
		s.escapes, s.continued = false, false
	}
}

// read reads what begins with neither white space nor a letter.
func (s *scanner) read(of class) kind {
	c := s.src[s.pos]
	member := s.member
	s.member = false
	if of&digit != 0 {
		// MySQL, 11.2: "Identifiers may begin with a digit". Behind a dot that is
		// sure, elsewhere it is taken for a number.
		if member && s.d.mysql() {
			return s.word()
		}
		return s.number()
	}
	s.pos++ // c is read
	switch c {
	case '\'':
		return s.string('\'', s.d == MySQL || s.continued)
	case '"':
		if s.d.mysql() {
			return s.string('"', s.d == MySQL)
		}
		return s.name('"')
	case '`':
		if s.d != PostgreSQL {
			return s.name('`')
		}
	case '[':
		if s.d == Standard && s.bracket() {
			return quoted
		}
	case '+', '-':
		if c == '-' && s.peek(0) == '-' && s.lineComment() {
			return comment
		}
		if n := s.peek(0); !s.operand() && (s.digit(0) || n == '.' && s.digit(1)) {
			return s.number()
		}
	case '.':
		s.member = s.last == word || s.last == quoted
		if !s.member && s.digit(0) {
			return s.number()
		}
	case '#': // a comment in MySQL only, a name in Standard
		if s.d.mysql() {
			s.line()
			return comment
		}
	case '/':
		if s.peek(0) == '*' {
			return s.blockComment()
		}
	case '*':
		if s.executable && s.peek(0) == '/' {
			s.pos++
			s.executable = false
			return code
		}
	case '$':
		return s.dollar()
	case '?':
		return parameter
	}
	return symbol
}

// operand says whether the sign that was read stands directly behind a value
// that is no literal, so that it is an operator. By the published cases,
// "99+100" is two literals, as "99 +100" is.
func (s *scanner) operand() bool {
	switch s.last {
	case word, quoted:
		return true
	case symbol:
		c := s.src[s.start-1]
		return c == ')' || c == ']'
	}
	return false
}

// word reads a name, or the literal whose prefix it is.
func (s *scanner) word() kind {
	s.while(continues)
	w := s.token()
	switch c := s.peek(0); {
	case c != '\'' && c != '"' && c != '&':
	// MySQL, 11.1.1: _charset'string'.
	case w[0] == '_' && s.d.mysql() && (c == '\'' || c == '"'):
		s.pos++
		return s.string(c, s.d == MySQL)
	case c == '\'' && len(w) == 1:
		switch w[0] | 0x20 {
		case 'n', 'x', 'b':
			s.pos++
			return s.string('\'', s.d == MySQL)
		case 'e': // PostgreSQL, 4.1.2.2
			if !s.d.mysql() {
				s.pos++
				s.escapes = true
				return s.string('\'', true)
			}
		}
	// PostgreSQL, 4.1.2.3, and ISO SQL: U&'\0061'. The backslash does not hide a quote.
	case c == '&' && s.peek(1) == '\'' && len(w) == 1 && w[0]|0x20 == 'u' && !s.d.mysql():
		s.pos += 2
		return s.string('\'', false)
	}
	if (len(w) == len("true") || len(w) == len("false")) && truth(w) && (s.start == 0 || s.src[s.start-1] != '.' && s.src[s.start-1] != '@') {
		return literal
	}
	return word
}

func truth(w []byte) bool { return fold(w, "true") || fold(w, "false") }

// fold says whether w is the lower case ASCII word, in any case.
func fold(w []byte, lower string) bool {
	if len(w) != len(lower) {
		return false
	}
	for i, c := range w {
		if c|0x20 != lower[i] {
			return false
		}
	}
	return true
}

// number reads from a digit or a dot on, all that could belong to it: what
// a server would cut off as the next name is rather hidden than a part of the
// number shown.
func (s *scanner) number() kind {
	hex := s.peek(0) == '0' && s.peek(1)|0x20 == 'x'
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		exponent := (c == '+' || c == '-') && !hex && s.pos > s.start && s.src[s.pos-1]|0x20 == 'e' && s.digit(1)
		// No dollar in PostgreSQL: a quote may begin with it.
		if !exponent && c != '.' && s.classes[c]&(digit|begins) == 0 {
			break
		}
		s.pos++
	}
	return literal
}

// string reads on from behind the opening quote. The quote itself is written
// twice, or behind a backslash where that escapes.
func (s *scanner) string(quote byte, escapes bool) kind {
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		s.pos++
		switch {
		case c == '\\' && escapes:
			s.pos = min(s.pos+1, len(s.src))
		case c == quote && s.peek(0) == quote:
			s.pos++
		case c == quote:
			return literal
		}
	}
	return literal
}

// name reads on from behind the opening quote. A name without its end may be
// a string that was taken for a name.
func (s *scanner) name(quote byte) kind {
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		s.pos++
		if c == quote {
			if s.peek(0) != quote {
				s.unclean = true // perhaps
				return quoted
			}
			s.pos++
		}
	}
	return literal
}

// SQL Server: "Identifiers can be a maximum of 128 characters".
const longestBracket = 128

// bracket reads the rest of a name in brackets, if that is what it is, and not
// an array: of names there is one, of letters, with digits where a name has them.
func (s *scanner) bracket() bool {
	for i := 0; i < longestBracket; i++ {
		switch c := s.peek(i); {
		case c == ']' && i > 0:
			if truth(s.src[s.pos : s.pos+i]) {
				return false
			}
			s.pos += i + 1
			s.unclean = true // perhaps
			return true
		case s.classes[c]&begins != 0:
		case i > 0 && (c == ' ' || s.peek(i-1) != ' ' && s.classes[c]&continues != 0):
		default:
			return false
		}
	}
	return false
}

// line reads up to the end of the line.
func (s *scanner) line() {
	if n := bytes.IndexByte(s.src[s.pos:], '\n'); n >= 0 {
		s.pos += n
	} else {
		s.pos = len(s.src)
	}
}

// lineComment reads on from the second dash, unless it begins no comment.
func (s *scanner) lineComment() bool {
	// MySQL, 11.7: "the -- comment style requires the second dash to be
	// followed by at least one whitespace or control character".
	if s.d.mysql() && s.pos+1 < len(s.src) && s.classes[s.src[s.pos+1]]&blank == 0 {
		return false
	}
	s.line()
	return true
}

// blockComment reads on from the star.
func (s *scanner) blockComment() kind {
	s.pos++
	if s.d.mysql() && !s.executable && s.versioned() {
		s.executable = true
		return code
	}
	for depth := 1; depth > 0 && s.pos < len(s.src); {
		c := s.src[s.pos]
		s.pos++
		switch {
		case c == '*' && s.peek(0) == '/':
			s.pos++
			depth--
		case c == '/' && s.peek(0) == '*' && !s.d.mysql(): // PostgreSQL, 4.1.5: "these block comments nest"
			s.pos++
			depth++
		}
	}
	return comment
}

// versioned reads what makes a comment of MySQL code: ! with or without the
// version from which on it is (MySQL, 11.7), five or six digits; M! for MariaDB.
func (s *scanner) versioned() bool {
	n := 0
	if s.peek(n) == 'M' {
		n++
	}
	if s.peek(n) != '!' {
		return false
	}
	n++
	digits := 0
	for digits < 6 && s.digit(n+digits) {
		digits++
	}
	if digits >= 5 {
		n += digits
	}
	s.pos += n
	return true
}

// dollar reads on from behind a dollar sign that stands in no name.
func (s *scanner) dollar() kind {
	// PostgreSQL, 4.1.2.4: $tag$...$tag$, the tag is a name or nothing.
	n := 0
	for s.classes[s.peek(n)]&letter != 0 || n > 0 && s.digit(n) {
		n++
	}
	if s.peek(n) == '$' {
		s.pos += n + 1
		tag := s.token()
		if i := bytes.Index(s.src[s.pos:], tag); i >= 0 {
			s.pos += i + len(tag)
		} else {
			s.pos = len(s.src)
		}
		return literal
	}
	if !s.digit(0) {
		return symbol
	}
	s.while(digit)
	if s.d == PostgreSQL {
		return parameter
	}
	return s.number() // money, in SQL Server
}

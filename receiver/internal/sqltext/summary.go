package sqltext

// longestSummary is the semantic conventions' limit, which they give in
// characters.
const longestSummary = 255

// deepest is how many parentheses are told apart; those within count as one.
const deepest = 32

// Summary appends the operations of the query and what they are about, in the
// order and the spelling of the query: "INSERT shipping_details SELECT orders".
// Quoted names keep their quotes. It is at most 255 bytes, whole names only,
// and empty if the query has no operation known. Several statements follow
// each other as their operations do.
//
// A name is what stands where the grammar has one: a common table expression
// is a target like a table, an alias and a function are none. What may be a
// literal is never a target, neither is a prepared statement or a user.
func Summary(dst, query []byte, d Dialect) []byte {
	s := summary{scanner: newScanner(query, d), dst: dst, base: len(dst), first: true}
	for !s.done {
		switch k := s.next(); k {
		case end:
			s.done = true
		case space, comment, code:
		case word:
			s.word()
		case quoted:
			s.first = false
			if s.want {
				s.target()
			}
		case symbol:
			s.symbol(s.src[s.start])
		default:
			s.first = s.first && (k == parameter || s.level().verb == verbExplain) // {? = call f()}
			s.want = false
			s.after = noRole
		}
	}
	return s.dst
}

// level is what is known within a pair of parentheses.
type level struct {
	verb verb
	role role // the kind of object that was read
	from bool // tables may be joined
	list bool // a comma is followed by a table
}

type summary struct {
	scanner
	dst    []byte
	base   int
	done   bool
	first  bool // a word here is an operation
	want   bool // a name here is a target
	after  role // of the word before
	depth  int
	levels [deepest]level
}

func (s *summary) level() *level { return &s.levels[min(s.depth, deepest-1)] }

func (s *summary) symbol(c byte) {
	at := s.level()
	after := s.after
	s.after = noRole
	switch c {
	case '(':
		// Tables in parentheses, or a query instead of one.
		s.want = s.want && at.list
		s.first = s.first && at.verb == noVerb || after == roleAs
		inner := level{from: s.want, list: s.want}
		s.depth++
		*s.level() = inner
	case ')':
		s.depth = max(s.depth-1, 0)
		s.want = false
		v := s.level().verb
		s.first = v == verbWith || v == verbExplain
	case ',':
		s.want = at.list
		s.first = false
	case ';':
		s.depth = 0
		s.levels[0] = level{}
		s.want = false
		s.first = true
	case '@': // EXEC @result = procedure
		s.want = s.want && at.verb == verbCall
		s.first = false
	case '{', '=':
		s.want = s.want && at.verb == verbCall
	default:
		s.want = false
		s.first = s.first && at.verb == verbExplain
	}
}

func (s *summary) word() {
	if s.start > 0 && (s.src[s.start-1] == '.' || s.src[s.start-1] == '@') {
		return // part of a name, whatever it says
	}
	at := s.level()
	k := lookup(s.token())
	after := s.after
	s.after = k.role
	switch {
	case k.verb == verbSelect && s.levels[0].verb != verbGrant:
		s.operation(k.verb)
	case k.verb == verbTable && s.first && at.verb == verbExplain: // EXPLAIN ANALYZE
	case k.verb == verbWith && (s.first || s.want && at.list):
		at.verb = verbWith
		s.first, s.want = false, false
	case k.verb != noVerb && s.first:
		s.operation(k.verb)
	case s.want:
		s.wanted(k.role)
	default:
		s.clause(k.role, after)
	}
}

// operation begins a statement, or a query within one.
func (s *summary) operation(v verb) {
	s.write()
	if v == verbExecute {
		v = verbPlain
		if s.d == Standard {
			v = verbCall
		}
	}
	at := s.level()
	*at = level{verb: v}
	s.first = v == verbExplain
	s.want = false
	switch v {
	case verbInsert, verbMerge, verbName, verbCall:
		s.want = true
	case verbUpdate:
		s.want, at.from, at.list = true, true, true
	case verbTable:
		s.want, at.list = true, true
	case verbDelete:
		s.want = !s.d.mysql() // there it is DELETE FROM t, or DELETE t FROM t
	}
}

// wanted is a word where a name is expected.
func (s *summary) wanted(r role) {
	at := s.level()
	query := at.verb == verbSelect || at.verb == noVerb // where few words stand before a name
	s.first = false
	switch {
	case r == roleRef:
	case query:
		s.target()
	case r == roleSkip, r == roleInto, r == roleOn: // CREATE INDEX ON t
	case r == roleFrom:
		s.clause(r, noRole)
	case r >= roleObject && at.verb == verbTable && at.role == noRole:
		s.object(r)
	case r == roleObject && at.verb == verbLoad: // INTO TABLE t
	default:
		s.target()
	}
}

// clause is any other word.
func (s *summary) clause(r, after role) {
	at := s.level()
	s.first = s.first && at.verb == verbExplain
	define := at.verb == verbCreate || at.verb == verbAlter || at.verb == verbDrop
	switch {
	case r == noRole:
	case define && at.role == noRole && r >= rolePart:
		s.object(r)
	case define && r == roleOn:
		s.want = at.role == roleIndex || at.role == roleTrigger
		if at.role == roleTrigger {
			at.role = roleRoutine // its table is the last that is named before its statements
		}
	case r == roleFrom && after != roleDistinct:
		if at.verb == verbSelect || at.verb == verbUpdate || at.verb == verbDelete {
			s.want, at.from, at.list = true, true, true
		}
	case r == roleJoin:
		s.want = at.from
	case r == roleInto:
		s.want = at.verb == verbLoad || at.verb == verbSelect && !s.d.mysql() // in MySQL a variable or a file
	case r == roleUsing:
		s.want = at.verb == verbMerge || at.verb == verbDelete && !s.parenthesis() // JOIN t USING (c)
	case r == roleStop:
		at.list = false
	}
}

// object is the kind of what an operation defines, told as a part of it.
func (s *summary) object(r role) {
	s.write()
	if r == rolePart {
		return
	}
	at := s.level()
	at.role = r
	at.list = at.list || at.verb == verbDrop
	s.want = r != roleNameless
}

// parenthesis says whether one follows.
func (s *summary) parenthesis() bool {
	n := 0
	for s.pos+n < len(s.src) && s.classes[s.src[s.pos+n]]&blank != 0 {
		n++
	}
	return s.peek(n) == '('
}

// target takes the name that begins with the token, up to its last part.
func (s *summary) target() {
	s.want = false
	at := s.level()
	mark := len(s.dst)
	s.write()
	for s.peek(0) == '.' && s.next() == symbol {
		dots := 1
		for s.peek(0) == '.' && s.next() == symbol { // SQL Server: shop..orders
			dots++
		}
		if c := s.peek(0); s.classes[c]&continues == 0 && c != '"' && c != '`' && c != '[' {
			break // t.*
		}
		if k := s.next(); k != word && k != quoted {
			break
		}
		for ; dots > 0; dots-- {
			s.append('.')
		}
		s.append(s.token()...)
	}
	if s.done {
		s.dst = s.dst[:mark]
		return
	}
	if at.from && s.peek(0) == '(' {
		s.dst = s.dst[:mark] // a function
	}
	// What a routine does is not what its definition does.
	s.done = at.verb == verbCreate && at.role == roleRoutine
}

// write appends the token as a word of the summary.
func (s *summary) write() {
	mark := len(s.dst)
	if mark > s.base {
		s.dst = append(s.dst, ' ')
	}
	s.append(s.token()...)
	if s.done {
		s.dst = s.dst[:mark]
	}
}

// append adds to the word, unless the summary is full, which ends it.
func (s *summary) append(text ...byte) {
	room := longestSummary - (len(s.dst) - s.base)
	if s.done = s.done || len(text) > room; s.done {
		return
	}
	s.dst = appendClean(s.dst, text)
	s.done = len(s.dst)-s.base > longestSummary
}

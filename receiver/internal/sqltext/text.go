package sqltext

import "unicode/utf8"

// Sanitize appends the query to dst, with every literal replaced by "?": text,
// numbers with their sign, binary values, TRUE and FALSE; NULL is none. Comments
// are left out, but for those that MySQL executes; white space stays, except
// around the whole. Parameters stay. A list of nothing but literals behind IN
// becomes "(?)", so that its length does not make another query of it.
//
// What is appended is at most limit bytes, if that is positive, whole tokens
// only, and always valid UTF-8 without control characters but tab and newline.
// Sanitizing it again changes nothing. The query may be cut off anywhere: what
// has no end is replaced up to the end.
//
// The character set is one where no byte of a longer character is a quote or a
// backslash: UTF-8 and all of ISO 8859, but not GBK, Big5 or Shift JIS.
func Sanitize(dst, query []byte, d Dialect, limit int) []byte {
	if limit <= 0 {
		limit = 3 * len(query) // U+FFFD for every byte
	}
	t := text{dst: dst, base: len(dst), limit: len(dst) + limit}
	s := newScanner(query, d)
	copied := 0 // of the query
	for {
		k := s.next()
		// Runs of tokens that stay as they are are copied at once.
		listed := t.at != outside || k == word && s.pos-s.start == len("IN")
		stays := k == word || k == symbol && query[s.start] != '-' || k == space && s.start > 0
		if stays && !s.unclean && !listed && !t.gap && len(t.dst)+s.pos-copied <= t.limit {
			continue
		}
		t.dst = append(t.dst, query[copied:s.start]...)
		copied = s.pos
		switch k {
		case end:
			return t.finish()
		case comment:
			t.gap = true
			continue
		case space:
		default:
			if listed {
				t.step(k, s.token())
			}
		}
		if !t.full {
			t.put(k, s.token(), s.unclean)
		}
		if t.full && t.at != element && t.at != comma {
			return t.finish()
		}
		if t.at == opened && k == symbol {
			t.mark = len(t.dst)
		}
	}
}

// text is the sanitized text as far as it is written.
type text struct {
	dst         []byte
	base, limit int  // dst began with base bytes, and may have limit
	gap         bool // a comment was left out before the next token
	full        bool // the next token did not fit
	at          place
	mark        int // behind the parenthesis of the list
}

// place is where in a list behind IN the text is.
type place uint8

const (
	outside place = iota
	before        // IN is read
	opened        // IN (
	element       // IN (1
	comma         // IN (1,
	mixed         // IN (1 +: no list of literals
)

// step follows lists. One that does not fit is followed as well: it may
// collapse to what does.
func (t *text) step(k kind, token []byte) {
	value := k == literal || k == parameter && len(token) == 1
	is := func(c byte) bool { return k == symbol && token[0] == c }
	switch {
	case t.at == element && is(')'):
		t.collapse()
		t.at = outside
	case t.at == element && is(','):
		t.at = comma
	case (t.at == opened || t.at == comma) && value:
		t.at = element
	case t.at == element || t.at == comma:
		t.at = mixed
	case t.at == before && is('('):
		t.at = opened
	case k == word && fold(token, "in"):
		t.at = before
	default:
		t.at = outside
	}
}

// collapse leaves one element of the list.
func (t *text) collapse() {
	t.dst = t.dst[:t.mark]
	t.gap = false
	t.full = t.mark >= t.limit
	if !t.full {
		t.dst = append(t.dst, '?')
	}
}

func (t *text) put(k kind, token []byte, unclean bool) {
	mark := len(t.dst)
	if mark == t.base && k == space {
		return
	}
	// What a comment kept apart stays apart, and two dashes become no comment.
	if mark > t.base && k != space {
		last := t.dst[mark-1]
		if t.gap && !white(last) || last == '-' && token[0] == '-' && k == symbol {
			t.dst = append(t.dst, ' ')
		}
	}
	t.gap = false
	switch {
	case k == literal:
		t.dst = append(t.dst, '?')
	case len(token) > t.limit-mark: // cleaned it is no shorter
		t.full = true
	case unclean:
		t.dst = appendClean(t.dst, token)
	default:
		t.dst = append(t.dst, token...)
	}
	if t.full = t.full || len(t.dst) > t.limit; t.full {
		t.dst = t.dst[:mark]
	}
}

func (t *text) finish() []byte {
	// The same list cut elsewhere gives the same text.
	if t.at == element || t.at == comma || t.at == mixed && t.full {
		t.collapse()
	}
	for len(t.dst) > t.base && white(t.dst[len(t.dst)-1]) {
		t.dst = t.dst[:len(t.dst)-1]
	}
	return t.dst
}

// white says whether c is what white space becomes.
func white(c byte) bool { return c == ' ' || c == '\n' || c == '\t' }

// appendClean appends text as valid UTF-8 without control characters but tab
// and newline: others become a space, as they separate tokens like one.
func appendClean(dst, text []byte) []byte {
	for len(text) > 0 {
		n := 0
		for n < len(text) && (text[n] >= ' ' && text[n] < 0x7f || text[n] == '\t' || text[n] == '\n') {
			n++
		}
		dst = append(dst, text[:n]...)
		if text = text[n:]; len(text) == 0 {
			break
		}
		r, size := utf8.DecodeRune(text)
		switch {
		case r < utf8.RuneSelf:
			dst = append(dst, ' ')
		case r < 0xa0 || r == utf8.RuneError: // 0x80 to 0x9f are controls, too
			dst = append(dst, "\uFFFD"...)
		default:
			dst = append(dst, text[:size]...)
		}
		text = text[size:]
	}
	return dst
}

package mysql

import (
	"bytes"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
)

// maxAttributes bounds the attributes of a query (page_protocol_com_query) that
// are stepped over to reach its text, in bytes.
const maxAttributes = 4 << 10

// attributes steps over the attributes that stand before a query's text and
// returns the rest. ok is false if p, which is the payload behind the command,
// ends within them or they make no sense.
func attributes(p []byte, trace *exchange.Trace) (text []byte, ok bool) {
	f := fields{p: p}
	count, sets := f.integer(), f.integer()
	if f.cut || sets != 1 || count > maxAttributes {
		return nil, false
	}
	if count == 0 {
		return f.p, true
	}
	nulls := f.next((count + 7) / 8)
	if f.uint8() != 1 { // types and names are sent with every query
		return nil, false
	}
	values := f
	for n := count; n > 0 && !values.cut; n-- { // to where the values begin
		values.uint16()
		values.text()
	}
	for i := range count {
		kind := byte(f.uint16())
		name := f.text()
		if f.cut || values.cut {
			return nil, false
		}
		if nulls[i/8]&(1<<(i%8)) != 0 {
			continue
		}
		v := value(&values, kind)
		if string(name) == "traceparent" { // Connector/J, Connector/Python and others send it
			trace.SetParent(v)
		}
	}
	return values.p, !values.cut
}

// commented takes the trace of a comment at the end of a statement, as
// sqlcommenter and its likes write it: /*key='value',traceparent='00-…'*/
// (google.github.io/sqlcommenter/spec). Values are URL encoded, which changes
// nothing in this one.
func commented(text []byte, trace *exchange.Trace) {
	text = bytes.TrimRight(text, " \t\r\n;")
	if !bytes.HasSuffix(text, []byte("*/")) {
		return
	}
	_, value, ok := bytes.Cut(text[max(0, bytes.LastIndex(text, []byte("/*"))):], []byte("traceparent='"))
	if !ok {
		return
	}
	if end := bytes.IndexByte(value, '\''); end >= 0 {
		trace.SetParent(value[:end])
	}
}

// value reads one of a type. page_protocol_binary_resultset, "Binary Protocol
// Value"; enum_field_types.
func value(f *fields, kind byte) []byte {
	switch kind {
	case 6: // NULL
		return nil
	case 1: // TINY
		return f.next(1)
	case 2, 13: // SHORT, YEAR
		return f.next(2)
	case 3, 4, 9: // LONG, FLOAT, INT24
		return f.next(4)
	case 5, 8: // DOUBLE, LONGLONG
		return f.next(8)
	case 7, 10, 11, 12: // TIMESTAMP, DATE, TIME, DATETIME
		return f.next(uint64(f.uint8()))
	}
	return f.text()
}

// maxBatch is how much of a batch is looked at to count what is in it, in bytes.
const maxBatch = 16 << 10

// Flags of COM_STMT_BULK_EXECUTE.
const (
	bulkResults = 64  // one for each set
	bulkTypes   = 128 // those of the parameters are sent
)

// batch counts the sets of parameters that COM_STMT_BULK_EXECUTE carries behind
// the statement's id; 0 if that cannot be told. MariaDB KB, "COM_STMT_BULK_EXECUTE".
func batch(p []byte, parameters int) (sets int) {
	const isValue = 0 // there is one; null, default and ignore have none
	f := fields{p: p}
	flags := f.uint16()
	types := f.next(uint64(2 * parameters))
	if flags&bulkTypes == 0 || parameters == 0 || f.cut {
		return 0
	}
	for ; len(f.p) > 0; sets++ {
		for i := range parameters {
			if f.uint8() == isValue {
				value(&f, types[2*i])
			}
		}
	}
	if f.cut {
		return 0
	}
	return sets
}

// use returns the schema that a statement changes to, if that is all it does.
func use(text []byte) (name []byte, ok bool) {
	const word = "use"
	p := blank(text)
	if len(p) < len(word)+1 || !bytes.EqualFold(p[:len(word)], []byte(word)) {
		return nil, false
	}
	p = p[len(word):]
	rest := blank(p)
	if len(rest) == 0 || len(rest) == len(p) && rest[0] != '`' {
		return nil, false
	}
	if rest[0] == '`' {
		end := bytes.IndexByte(rest[1:], '`') + 1
		if end <= 1 {
			return nil, false
		}
		name, p = rest[1:end], rest[end+1:]
	} else {
		n := 0
		for n < len(rest) && identifier(rest[n]) {
			n++
		}
		name, p = rest[:n], rest[n:]
	}
	p = blank(p)
	if len(p) > 0 && p[0] == ';' {
		p = blank(p[1:])
	}
	return name, len(name) > 0 && len(p) == 0
}

// blank cuts spaces and comments off the front.
func blank(p []byte) []byte {
	for {
		p = bytes.TrimLeft(p, " \t\r\n")
		if !bytes.HasPrefix(p, []byte("/*")) || len(p) > 2 && (p[2] == '!' || p[2] == '+') {
			return p
		}
		_, rest, ok := bytes.Cut(p[2:], []byte("*/"))
		if !ok {
			return p
		}
		p = rest
	}
}

func identifier(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c >= 0x80
}

// moves reports whether a statement may change the schema in use in a way that
// use does not see.
func moves(text []byte) bool { return mentions(text, "use") || mentions(text, "drop") }

// mentions reports whether a word of lower-case letters stands in text.
func mentions(text []byte, word string) bool {
	for i := 0; i+len(word) <= len(text); i++ {
		if text[i]|0x20 == word[0] && (i == 0 || !identifier(text[i-1])) && bytes.EqualFold(text[i:i+len(word)], []byte(word)) {
			return true
		}
	}
	return false
}

// uncut is the part of a text in which every name is whole.
func uncut(text []byte, cut bool) []byte {
	if cut {
		return whole(text)
	}
	return text
}

// whole cuts off the end of a text that was cut short: the name that it ends
// with may be longer in truth.
func whole(text []byte) []byte {
	n := len(text)
	for n > 0 && (identifier(text[n-1]) || text[n-1] == '.' || text[n-1] == '`' || text[n-1] == '"') {
		n--
	}
	return text[:n]
}

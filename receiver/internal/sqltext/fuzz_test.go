package sqltext_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/perisco-io/perisco/receiver/internal/sqltext"
)

var dialects = []sqltext.Dialect{std, my, myRaw, pg}

// check holds what is true of every query, and gives its text and summary.
func check(t *testing.T, query []byte, d sqltext.Dialect, limit int) (text, summary []byte) {
	t.Helper()
	text = sqltext.Sanitize(nil, query, d, limit)
	if limit > 0 && len(text) > limit {
		t.Errorf("dialect %d: %q: %d bytes, at most %d", d, query, len(text), limit)
	}
	if again := sqltext.Sanitize(nil, text, d, limit); !bytes.Equal(again, text) {
		t.Errorf("dialect %d: %q: %q, sanitized again %q", d, query, text, again)
	}
	summary = sqltext.Summary(nil, query, d)
	if len(summary) > atMost {
		t.Errorf("dialect %d: %q: summary of %d bytes", d, query, len(summary))
	}
	control := func(r rune) bool { return unicode.IsControl(r) && r != '\t' && r != '\n' }
	for _, s := range [][]byte{text, summary} {
		if !utf8.Valid(s) || bytes.ContainsFunc(s, control) {
			t.Errorf("dialect %d: %q: %q", d, query, s)
		}
	}
	return text, summary
}

func FuzzQuery(f *testing.F) {
	for _, q := range []string{
		"SELECT a, 'b' FROM t WHERE c IN (1, 2, -3.5e-7) -- d", "INSERT INTO `t` VALUES (\"a\\\"\", X'00')",
		"/*!50000 SELECT */ [a b] + $1 #c\n", "SELECT E'\\'' $a$ b $a$ U&'c' /* /* d */ */", "WITH a AS (DELETE FROM b.c) UPDATE d SET e = ?;",
		"CREATE OR REPLACE TRIGGER t AFTER INSERT ON u", "EXEC @a = b..c", "(((((", "a--\x00-/**/-\xff",
	} {
		f.Add([]byte(q), uint16(20))
	}
	f.Fuzz(func(t *testing.T, query []byte, limit uint16) {
		for _, d := range dialects {
			check(t, query, d, 0)
			check(t, query, d, int(limit)+1)
		}
	})
}

// Within literals and comments stand Q and 7 only, outside of them stands neither.
var (
	contents = []string{
		"Q", "7", " Q ", "Q--", "/*Q", "Q*/", "#Q\n", "Q$$", "$Q$", "`Q", "[Q]", "Q;", "Q),(", "\nQ", "Q, SELECT Q FROM Q", "\xff", "ж", "7.7", "(Q", "N", "E", "_x",
	}
	codes = []string{
		" ", "\n", ",", " , ", "(", ")", " SELECT ", " FROM t ", " a IN (", " JOIN u ", ";", "+", "- ", " = ", ".", "* ", "/ ", "||", " AND ", " b.c ", " UNION ", " INSERT INTO t ",
		" /*c*/ ", " --c\n", " ж ", " as x", " true ", " CREATE TABLE ", " CALL ", "\x00",
	}
	numbers = []string{"7", "-7", "+77.7", ".7", "7.", "7e7", "7.7E-77", "0x7", "7e+7"}
)

// quoted is the literal in which the content stands.
func quoted(d sqltext.Dialect, form byte, content string) string {
	single := strings.ReplaceAll(content, "'", "''")
	double := strings.ReplaceAll(content, `"`, `""`)
	escape := strings.NewReplacer(`\`, `\\`, "'", `\'`, `"`, `\"`).Replace
	open := strings.NewReplacer("*/", "", "/*", "").Replace
	forms := []string{"'" + single + "'", "N'" + single + "'", "x'" + single + "'", "/*" + open(content) + "*/", "-- " + strings.ReplaceAll(content, "\n", "") + "\n"}
	switch d {
	case my:
		forms = append(forms, "'"+escape(content)+"'", `"`+escape(content)+`"`, "_utf8'"+escape(content)+"'", "#"+strings.ReplaceAll(content, "\n", "")+"\n")
		forms[0], forms[1], forms[2] = "'"+strings.ReplaceAll(single, `\`, `\\`)+"'", "N'"+strings.ReplaceAll(single, `\`, `\\`)+"'", `"`+strings.ReplaceAll(double, `\`, `\\`)+`"`
	case myRaw:
		forms = append(forms, `"`+double+`"`, "_utf8'"+single+"'", `_utf8"`+double+`"`)
	case pg, std:
		forms = append(forms, "E'"+escape(content)+"'", "U&'"+single+"'", "/* /*"+open(content)+"*/ "+open(content)+"*/",
			"$$"+strings.ReplaceAll(content, "$$", "")+"$$", "$t_$"+strings.ReplaceAll(content, "$t_$", "")+"$t_$", "E'"+escape(content)+"'\n'"+escape(content)+"'")
	}
	return forms[int(form)%len(forms)]
}

// compose makes a query: every five bytes are a token and three parts of its content.
func compose(d sqltext.Dialect, tokens []byte, special string) (query []byte) {
	for in := tokens; len(in) >= 5; in = in[5:] {
		content := contents[int(in[2])%len(contents)] + special + contents[int(in[3])%len(contents)] + special + contents[int(in[4])%len(contents)]
		switch in[0] >> 6 {
		case 0, 1:
			query = append(query, codes[int(in[1])%len(codes)]...)
		case 2: // apart, as prefixes behind a name are a part of it, and strings in the line behind another one
			query = append(append(append(query, ' '), quoted(d, in[1], content)...), " x "...)
		case 3:
			query = append(append(append(query, ' '), numbers[int(in[1])%len(numbers)]...), ' ')
		}
	}
	return query
}

// checkLiterals looks for what stood in literals, in the whole query and in
// what the capture may leave of it.
func checkLiterals(t *testing.T, tokens []byte, special string, cut int) {
	t.Helper()
	for _, d := range dialects {
		query := compose(d, tokens, special)
		for _, q := range [][]byte{query, query[:min(cut, len(query))]} {
			text, summary := check(t, q, d, 0)
			if bytes.ContainsAny(text, "Q7") || bytes.ContainsAny(summary, "Q7") {
				t.Errorf("dialect %d: %q: %q, %q", d, q, text, summary)
			}
		}
	}
}

func FuzzLiterals(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x04\x80\x05\x00\x01\x02"), uint16(3), "'")
	f.Add([]byte("\x81\x01\x02\x03\x04\x82\x05\x00\x01\x02\x83\x05\x00\x01\x02\x40\x05\x00\x01\x02"), uint16(30), `\`)
	f.Add(bytes.Repeat([]byte("\x85\x08\x0a\x09\x0b\x07\x02\x03\x04\x05"), 5), uint16(50), `"`)
	f.Fuzz(func(t *testing.T, tokens []byte, cut uint16, special string) {
		// Any quote and backslash may stand in a literal, where it is escaped.
		special = strings.Map(func(r rune) rune {
			if r < 0x80 && unicode.IsPrint(r) {
				return r
			}
			return -1
		}, special)
		checkLiterals(t, tokens, special, int(cut))
	})
}

// Where the fuzzer is not run, the same is tried with queries made at random,
// the same ones every time.
func TestRandomQueriesShowNoLiteral(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		tokens := make([]byte, 5*(1+random.IntN(8)))
		for i := range tokens {
			tokens[i] = byte(random.Uint32())
		}
		specials := []string{"", "'", `"`, `\`, `\'`, `"\`, "''", "$", "*", "-", "!", "`"}
		checkLiterals(t, tokens, specials[random.IntN(len(specials))], random.IntN(60))
		if t.Failed() {
			return
		}
	}
}

func TestRandomPiecesAreSanitizedOnce(t *testing.T) {
	pieces := []string{
		"a", "N", "E", "U&", "_u", "true", "IN", "IN(", "1", "?", "$1", "$", "$$", "$a$", ".", "-", "--", "+", "*", "/", "/*", "*/", "/*!", "/*M!", "/*!50000", "#", "'", `"`,
		"`", "[", "]", "(", ")", ",", ";", " ", "\n", "\x00", "\r", `\`, "\xc3", "\xff", "ж", "0x", "1e", "e", "@", ":", "{", "SELECT", " FROM ", " CREATE ", " TABLE ", " WITH ", " AS ",
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		var query []byte
		for range 1 + random.IntN(15) {
			query = append(query, pieces[random.IntN(len(pieces))]...)
		}
		for _, d := range dialects {
			check(t, query, d, 0)
			check(t, query, d, 1+random.IntN(30))
		}
		if t.Failed() {
			return
		}
	}
}

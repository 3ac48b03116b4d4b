package sqltext_test

import (
	"strings"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/sqltext"
)

func TestSanitizedText(t *testing.T) {
	for _, c := range []struct {
		name  string
		d     sqltext.Dialect
		query string
		want  string
	}{
		{"nothing", my, "", ""},
		{"white space around the whole", my, " \n SELECT  1 ;\t\n", "SELECT  ? ;"},

		// MySQL Reference Manual, 11.1.
		{"a quote behind a backslash", my, `SELECT 'it\'s', 'a\\', "b\"c"`, "SELECT ?, ?, ?"},
		{"a backslash that escapes nothing", myRaw, `SELECT 'a\', 'b', "c\"`, "SELECT ?, ?, ?"},
		{"double quotes are strings", my, `SELECT "it's", "a""b"`, "SELECT ?, ?"},
		{"strings side by side", my, "SELECT 'a' 'b'", "SELECT ? ?"},
		{"strings with prefixes", my, `SELECT N'a', n'a', X'4D', x'4d', B'01', b'01', _utf8'a', _latin1"a"`, "SELECT ?, ?, ?, ?, ?, ?, ?, ?"},
		{"introducers apart from their string", my, "SELECT _binary 'a', _utf8mb4 0x41 COLLATE utf8mb4_bin", "SELECT _binary ?, _utf8mb4 ? COLLATE utf8mb4_bin"},
		{"hexadecimal and bit values", my, "SELECT 0xFFe-5, 0b01, 0XAB+1", "SELECT ??, ?, ??"},
		{"dates and times", my, "SELECT DATE '2020-01-01', TIMESTAMP'2020-01-01 00:00:00', {d '2020-01-01'}", "SELECT DATE ?, TIMESTAMP?, {d ?}"},
		{"intervals", my, "SELECT NOW() - INTERVAL 1 DAY", "SELECT NOW() - INTERVAL ? DAY"},
		{"truth, and what is none", my, "SELECT TRUE, False, NULL, t.true, trues", "SELECT ?, ?, NULL, t.true, trues"},
		{"a quoted user variable", my, "SELECT @'a b', @`c`, @d, @@session.e", "SELECT @?, @`c`, @d, @@session.e"},
		{"an account", my, "CREATE USER 'bob'@'%' IDENTIFIED BY 'secret'", "CREATE USER ?@? IDENTIFIED BY ?"},
		{"names with digits", my, "SELECT a1, db.2020_t, `1`, t.5 FROM 2b", "SELECT a1, db.2020_t, `1`, t.5 FROM ?"},
		{"quotes in a quoted name", my, "SELECT `it's`, `a``'b`", "SELECT `it's`, `a``'b`"},
		{"placeholders", my, "SELECT ?, :name WHERE a=? LIMIT ?,?", "SELECT ?, :name WHERE a=? LIMIT ?,?"},

		{"signs of numbers", my, "SELECT -1, a -1, (-1), 1 -1, 1*-1, LIMIT +1, .5-.5", "SELECT ?, a ?, (?), ? ?, ?*?, LIMIT ?, ??"},
		{"operators between names and numbers", my, "SELECT a-1, (a)-1, `a`+1, a - 1", "SELECT a-?, (a)-?, `a`+?, a - ?"},
		{"two signs are no comment", my, "SELECT 1--1, a--b, 5---6", "SELECT ?-?, a- -b, ?- -?"},
		{"exponents", my, "SELECT 1e5, 1E-5, 1.e+5, 1e-x", "SELECT ?, ?, ?, ?-x"},
		{"ranges", pg, "SELECT a[1:2], 1..10, 1_000", "SELECT a[?:?], ?, ?"},

		// MySQL Reference Manual, 11.7.
		{"comments of all kinds", my, "SELECT a, -- b\nc, # d\ne /* f */, g/* 'h */", "SELECT a, \nc, \ne , g"},
		{"a comment between two words", my, "SELECT/**/a/* b */FROM/*c*//*d*/t", "SELECT a FROM t"},
		{"a comment at the end of the query", my, "SELECT a --", "SELECT a"},
		{"optimizer hints are comments", my, "SELECT /*+ MAX_EXECUTION_TIME(1000) */ a", "SELECT  a"},
		{"a comment that MySQL executes", my, "CREATE TABLE t (a INT) /*!50100 PARTITION BY HASH(a) PARTITIONS 4 */", "CREATE TABLE t (a INT) /*!50100 PARTITION BY HASH(a) PARTITIONS ? */"},
		{"a comment that MySQL executes with another in it", my, "/*! SELECT /* 'x */ 'y' */ 'z'", "/*! SELECT  ? */ ?"},
		{"a comment that MariaDB executes", my, "SELECT 1 /*M!100100 +2 */", "SELECT ? /*M!100100 ? */"},
		{"a number that is no version", my, "SELECT /*!123 */ a, /*!1234567 */ b", "SELECT /*!? */ a, /*!123456? */ b"},
		{"the same comment elsewhere", pg, "SELECT 1 /*!50000 +2 */", "SELECT ?"},
		{"comments that do not nest", my, "SELECT /* a /* b */ c", "SELECT  c"},
		{"comments that nest", pg, "SELECT /* a /* b */ c */ d", "SELECT  d"},
		{"what no comment keeps apart", my, "SELECT a -/**/-/**/b //*c*/* d", "SELECT a - - b / * d"},

		// PostgreSQL manual, 4.1.
		{"a backslash is a character", pg, `SELECT 'a\', 'b'`, "SELECT ?, ?"},
		{"a backslash in an escape string", pg, `SELECT E'it\'s', e'\\', fe'x'`, "SELECT ?, ?, fe?"},
		{"an escape string goes on in the next line", pg, "SELECT E'a' -- c\n 'b\\'c', 'd\\'", "SELECT ? \n ?, ?"},
		{"a string behind an escape string is none", pg, `SELECT E'a' 'b\', 'c'`, "SELECT ? ?, ?"},
		{"Unicode strings and names", pg, `SELECT U&'\0061''b', U&"d\0061t" UESCAPE '!'`, `SELECT ?, U&"d\0061t" UESCAPE ?`},
		{"dollar quotes", pg, "SELECT $$it's$$, $a$ $$ $b$ $a$, $größe_1$x$größe_1$", "SELECT ?, ?, ?"},
		{"dollars that do not quote", pg, "SELECT $1, $12+1, a$b$c FROM t$1", "SELECT $1, $12?, a$b$c FROM t$1"},
		{"a number before a dollar quote", pg, "SELECT 1$$a 'b$$", "SELECT ??"},
		{"casts and operators", pg, "SELECT '1'::int, a #> '{b}', c ? 'd', @-1, e @> f", "SELECT ?::int, a #> ?, c ? ?, @?, e @> f"},
		{"double quotes are names", pg, `SELECT "a'b", "c""d"`, `SELECT "a'b", "c""d"`},

		{"names in brackets, and arrays", std, "SELECT [a b].[c] FROM t WHERE x IN ['d', 5] AND [1] AND [true]", "SELECT [a b].[c] FROM t WHERE x IN [?, ?] AND [?] AND [?]"},
		{"money", std, "SELECT $1, $1.50", "SELECT ?, ?"},

		{"lists", my, "a IN (1, 'b', ?) AND b in(\n-1\n,\n2\n) OR c NOT IN (1)", "a IN (?) AND b in(?) OR c NOT IN (?)"},
		{"lists of more than literals", my, "a IN (1, b, 2) OR a IN (1, NULL) OR a IN ((1,2),(3,4)) OR a IN (1+2, 99+3) OR f(1, 2)", "a IN (?, b, ?) OR a IN (?, NULL) OR a IN ((?,?),(?,?)) OR a IN (??, ??) OR f(?, ?)"},
		{"a list with comments", my, "a IN (1, /* b */ 2) c", "a IN (?) c"},
		{"a list of a query", my, "a IN (SELECT b FROM t WHERE c IN (1,2))", "a IN (SELECT b FROM t WHERE c IN (?))"},
		{"rows of values do not collapse", my, "VALUES (1, 2), (3, 4)", "VALUES (?, ?), (?, ?)"},

		// What the capture cut, and what was meant so.
		{"a string without an end", my, "SELECT a, 'secret", "SELECT a, ?"},
		{"a string that ends in a backslash", my, `SELECT a, 'secret\`, "SELECT a, ?"},
		{"a name without an end may be a string", my, "SELECT a, `secret", "SELECT a, ?"},
		{"a dollar quote without an end", pg, "SELECT $a$ secret $b$ 'x'", "SELECT ?"},
		{"a comment without an end", my, "SELECT a /* secret", "SELECT a"},
		{"an executed comment without an end", my, "SELECT a /*! + 'secret", "SELECT a /*! + ?"},
		{"a list without an end", my, "SELECT a IN (1, 2, 'secr", "SELECT a IN (?"},
		{"a number without an end", my, "SELECT 12.34e", "SELECT ?"},
		{"a half of a character", my, "SELECT gr\xc3", "SELECT gr\uFFFD"},

		{"bytes that are no UTF-8", my, "SELECT caf\xe9, `\xff`, '\xff'", "SELECT caf\uFFFD, `\uFFFD`, ?"},
		{"control characters", my, "SELECT\x00a,\r\n\tb\x7fc, `d\x01e`, \u0085", "SELECT a, \n\tb c, `d e`, \uFFFD"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := string(sqltext.Sanitize(nil, []byte(c.query), c.d, 0))
			if got != c.want {
				t.Errorf("%s\n got %q\nwant %q", c.query, got, c.want)
			}
			if again := string(sqltext.Sanitize(nil, []byte(got), c.d, 0)); again != got {
				t.Errorf("sanitized again: %q", again)
			}
		})
	}
}

func TestTextIsCutBetweenItsTokens(t *testing.T) {
	list := "a IN (" + strings.Repeat("1, ", 1000)
	for _, c := range []struct {
		name  string
		query string
		limit int
		want  string
	}{
		{"it fits to the byte", "SELECT abc", 10, "SELECT abc"},
		{"a word does not fit", "SELECT abc", 9, "SELECT"},
		{"nothing fits", "SELECT", 5, ""},
		{"a literal is as long as its placeholder", "SELECT 'abcdefgh'", 8, "SELECT ?"},
		{"a character is not cut", "a größe", 8, "a"},
		{"what is replaced counts as what replaces it", "`\xff\xff`", 7, ""},
		{"nothing follows what does not fit", "SELECT abc, d", 9, "SELECT"},
		{"a list longer than the limit collapses", list + "2) AND b = 1", 19, "a IN (?) AND b = ?"},
		{"a list that turns out to be none is cut behind its first", list + "b) AND c", 30, "a IN (?"},
		{"a list without an end", list, 30, "a IN (?"},
		{"a list whose end does not fit", "a IN (1, 2)", 7, "a IN (?"},
		{"a list whose first does not fit", "a IN (1, 2)", 6, "a IN ("},
	} {
		t.Run(c.name, func(t *testing.T) {
			dst := []byte("before ")
			if got := string(sqltext.Sanitize(dst, []byte(c.query), my, c.limit)); got != "before "+c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

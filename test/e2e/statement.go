package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A command is what every witness of it can tell: the client, the server's log
// and the span.
type command struct {
	What string // the protocol's name: QUERY, PING
	Text string // of the statement without literals, or the table that it names
}

func (c command) String() string { return strings.TrimSpace(c.What + " " + c.Text) }

// older is what was prepared before the collector was there.
const older = "SELECT id FROM books WHERE id = ?"

// forget takes the text from commands where it was not seen.
func forget(c *command) {
	if c.What == "EXECUTE" && c.Text == withoutLiterals(older) {
		c.Text = ""
	}
}

// A deal is a command and what came of it.
type deal struct {
	command
	reply
}

// A reply is what a client was told.
type reply struct {
	Code     int // of the error; 0: none
	Rows     int // of all results; -1: there was none
	Affected int // where there was no result
}

func (d deal) String() string {
	return fmt.Sprintf("%s: error %d, %d rows, %d affected", d.command, d.Code, d.Rows, d.Affected)
}

// shownText is how much of a statement is looked at, in bytes.
const shownText = 4 << 10

var (
	literals = regexp.MustCompile(`(?is)` + strings.Join([]string{
		`/\*.*?\*/`, `--[ \t][^\n]*`, // comments, which are left out
		`[xnb]?'(?:[^'\\]|''|\\.)*(?:'|$)`, `"(?:[^"\\]|""|\\.)*(?:"|$)`,
		`(?:[-+])?(?:\b0x[0-9a-f]+|\b\d+(?:\.\d+)?(?:e[-+]?\d+)?)\b`, `\b(?:true|false)\b`,
	}, "|"))
	lists = regexp.MustCompile(`(?i)\bIN \(\?(?:, ?\?)*\)`)
)

// withoutLiterals does to the statements of the tests what the receiver does to
// all: what it knows of SQL suffices for them.
func withoutLiterals(statement string) string {
	s := literals.ReplaceAllStringFunc(statement, func(l string) string {
		if strings.HasPrefix(l, "/*") || strings.HasPrefix(l, "--") {
			return ""
		}
		return "?"
	})
	// What the server cuts off before it logs.
	s = strings.Trim(lists.ReplaceAllString(s, "IN (?)"), " \t\r\n;")
	return strings.ToValidUTF8(s, "\uFFFD")
}

// longMark stands in statements that are longer than that.
const longMark = " AS longer"

// isCommand reports whether s is about a command to a database.
func (s span) isCommand() bool { return text(s.Attributes(), "db.system.name") != "" }

// command returns what the span says was asked for.
func (s span) command() command {
	m := s.Attributes()
	c := command{What: text(m, "db.operation.name")}
	switch c.What {
	case "":
		c.What = "QUERY"
		fallthrough
	case "PREPARE", "EXECUTE", "FETCH":
		c.Text = withoutLiterals(text(m, "db.query.text"))
	case "FIELD_LIST":
		c.Text = text(m, "db.collection.name")
	}
	return c
}

// wantTruncated returns what perisco.truncated must be: nothing, but for a
// statement that is longer than what is shown.
func (s span) wantTruncated() any {
	if strings.Contains(text(s.Attributes(), "db.query.text"), longMark) {
		return true
	}
	return nil
}

// checkCommand returns what error.type must be.
func (s span) checkCommand(l *flaws) (failure string) {
	m := s.Attributes()
	if v := text(m, "db.system.name"); v != "mariadb" && v != "mysql" {
		l.addf("db.system.name is %q", v)
	}
	if summary := text(m, "db.query.summary"); summary != "" {
		l.must("name", s.Name(), summary)
	} else if s.Name() == "" {
		l.addf("no name")
	}
	// What is prepared is shown as it is.
	if v := text(m, "db.query.text"); s.command().What == "QUERY" && len(withoutLiterals(v)) < len(strings.TrimRight(v, "; \n")) {
		l.addf("db.query.text is %q", v)
	}
	if _, rows := m.Get("db.response.returned_rows"); rows && text(m, "db.response.status_code") != "" {
		l.addf("rows and an error")
	}
	return text(m, "db.response.status_code")
}

// headline is how the line of a log record begins.
func (s span) headline() string {
	if summary := text(s.Attributes(), "db.query.summary"); summary != "" {
		return summary
	}
	return s.command().What
}

var affected = regexp.MustCompile(` ok (\d+) affected `)

// deals returns what spans and their log records say, in the order of ss.
func (ss spans) deals(records []record) []deal {
	lines := make(map[[8]byte]string)
	for _, r := range records {
		lines[r.SpanID()] = r.Body().Str()
	}
	var ds []deal
	for _, s := range ss {
		d := deal{command: s.command(), reply: reply{Rows: -1}}
		d.Code, _ = strconv.Atoi(text(s.Attributes(), "db.response.status_code"))
		if v, ok := s.Attributes().Get("db.response.returned_rows"); ok {
			d.Rows = int(v.Int())
		}
		if m := affected.FindStringSubmatch(lines[s.SpanID()]); m != nil {
			d.Affected, _ = strconv.Atoi(m[1])
		}
		ds = append(ds, d)
	}
	return ds
}

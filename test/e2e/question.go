package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// statements are what every client can say. %d is any number.
var statements = []string{
	"SELECT title FROM books WHERE id = %d",
	`SELECT id, title FROM books WHERE id < %d AND title <> 'x''y\'z' ORDER BY id LIMIT 3`,
	`INSERT INTO ledger (title, amount) VALUES ('it''s %d', -1), ("a \" b", 0x1F)`,
	"UPDATE ledger SET amount = amount + 1 WHERE title = 'it''s %d'",
	"SET @a = %d", "SHOW TABLES", "SHOW STATUS LIKE 'Uptime'", "DO %d",
	"BEGIN", "INSERT INTO ledger (title) VALUES ('never %d')", "SAVEPOINT a", "ROLLBACK TO a", "ROLLBACK",
	"SELECT * FROM missing WHERE a = '%d'",
	"SELEC %d",
	"INSERT INTO books (id, title) VALUES (1, 'again %d')",
	"SELECT * FROM locked FOR UPDATE NOWAIT",
	"START TRANSACTION", "DELETE FROM ledger WHERE amount = %d", "COMMIT",
	"SELECT REPEAT('x', 5000) AS a, 7 AS b UNION ALL SELECT '', %d",
	"SELECT n FROM numbers WHERE n IN (1, 2, %d)",
	"/* why */ SELECT %d /* what */ AS a -- that's why",
	"SELECT -1.5e3, TRUE, NULL, x'ff', 'a''b', \"c\", %d",
	"CREATE TEMPORARY TABLE scratch (a INT DEFAULT 5)", "DROP TEMPORARY TABLE scratch",
	"EXPLAIN SELECT * FROM books WHERE id = %d",
	"SELECT n, n FROM numbers",
	"KILL 99999999",
	longStatement,
}

// several are those with more than one result.
var several = []string{
	"CALL two(%d)", "CALL fails()",
	"SELECT %d; SELECT n FROM numbers WHERE n < 7; DO 1",
	"SELECT 1; SELECT * FROM missing; SELECT %d",
	"USE other", "SELECT DATABASE(), %d", "use `shop`;", "USE nowhere",
}

// longStatement has 8 KB, of which 4 are looked at.
var longStatement = "SELECT 1" + longMark + " WHERE 'a' < 'b'" + strings.Repeat(" AND 'a''b' <> 'c' AND 17 > 4", 280)

// texts returns n statements of all sorts.
func texts(n int, sorts ...string) (steps []step) {
	for i := range n {
		s := sorts[i%len(sorts)]
		if strings.Contains(s, "%d") {
			s = fmt.Sprintf(s, i%9)
		}
		steps = append(steps, step{Do: "query", SQL: s})
	}
	return steps
}

// prepared returns n statements with arguments, asked for in one way.
func prepared(way string, n int) (steps []step) {
	sorts := []step{
		{SQL: "SELECT title FROM books WHERE id = ?", Args: []any{2}},
		{SQL: "INSERT INTO ledger (title, amount) VALUES (?, ?)", Args: []any{"it's \\ \"new\"", 9}},
		{SQL: "SELECT n FROM numbers WHERE n IN (?, ?, 3) AND n < 100", Args: []any{1, 2}},
		{SQL: "UPDATE ledger SET amount = ? WHERE title = ?", Args: []any{-7, "new"}},
		{SQL: "SELECT * FROM missing WHERE id = ?", Args: []any{1}},
		{SQL: "INSERT INTO books (id, title) VALUES (?, ?)", Args: []any{1, "again"}},
		{SQL: "CALL two(?)", Args: []any{2}},
		{SQL: "SELECT n, 'shown' FROM numbers WHERE n < ?", Args: []any{300}},
	}
	for i := range n {
		s := sorts[i%len(sorts)]
		s.Do = way
		steps = append(steps, s)
	}
	return steps
}

// begins puts a statement before the steps by which the connection is known. The
// answer takes its time: see checkSlow.
func begins(name string, steps ...[]step) []step {
	return append([]step{{Do: "query", SQL: "SELECT SLEEP(0.1) AS chat_" + name}}, slices.Concat(steps...)...)
}

var chatName = regexp.MustCompile(` AS chat_(\w+)`)

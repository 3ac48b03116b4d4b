package sqltext_test

import (
	"strings"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/sqltext"
)

const (
	std    = sqltext.Standard
	my     = sqltext.MySQL
	myRaw  = sqltext.MySQLNoBackslashEscapes
	pg     = sqltext.PostgreSQL
	atMost = 255 // bytes of a summary
)

func TestSummaries(t *testing.T) {
	for _, c := range []struct {
		name  string
		d     sqltext.Dialect
		query string
		want  string
	}{
		// The examples in the text of the conventions.
		{"an operation on two tables", std, "SELECT *\nFROM songs,\n artists\nWHERE songs.artist_id == artists.id", "SELECT songs artists"},
		// Deviation: the conventions say SELECT "song list" 'artists'. A string is a literal, and no database has a table there.
		{"quoted names keep their quotes, a string is no name", std, `SELECT * FROM "song list", 'artists'`, `SELECT "song list"`},
		{"a procedure called as JDBC writes it", std, "{call some_stored_procedure}", "call some_stored_procedure"},

		{"no query has no summary", my, "", ""},
		{"what is no SQL has no summary", my, "hello from the other side, friend", ""},
		{"comments alone have no summary", my, "/* SELECT */ -- SELECT", ""},
		{"a query without a table", my, "SELECT 1", "SELECT"},
		{"a table in backticks", my, "SELECT * FROM `my table` t", "SELECT `my table`"},
		{"a qualified name is one target", my, "SELECT * FROM `shop`.orders o JOIN shop.`items`", "SELECT `shop`.orders shop.`items`"},
		{"a name in brackets", std, "SELECT * FROM [shop].[dbo].[order lines]", "SELECT [shop].[dbo].[order lines]"},
		{"a name with the schema left out", std, "SELECT * FROM shop..orders", "SELECT shop..orders"},
		{"a name that begins with a digit behind a dot", my, "SELECT * FROM db.2020_sales", "SELECT db.2020_sales"},
		{"double quotes are no name in MySQL", my, `SELECT * FROM "users"`, "SELECT"},
		{"double quotes are a name in PostgreSQL", pg, `SELECT * FROM "public"."users"`, `SELECT "public"."users"`},
		{"a temporary table of SQL Server", std, "SELECT * FROM #t", "SELECT #t"},
		{"names beyond ASCII", my, "SELECT * FROM größe", "SELECT größe"},
		{"a name of bytes that are no UTF-8", my, "SELECT * FROM caf\xe9", "SELECT caf\uFFFD"},

		{"all kinds of joins", my, "SELECT * FROM a JOIN b USING (id) LEFT JOIN c ON a.x = c.x STRAIGHT_JOIN d NATURAL JOIN e", "SELECT a b c d e"},
		{"a comma behind a join", my, "SELECT * FROM a JOIN b ON f(a.x, b.x), c WHERE x IN (y, z)", "SELECT a b c"},
		{"joins in parentheses", my, "SELECT * FROM (a JOIN b ON a.x = b.x), ((c, d)) WHERE 1", "SELECT a b c d"},
		{"columns and aliases are no tables", my, "SELECT a, b AS c, (d) FROM t u, v AS w WHERE x = y ORDER BY a, b", "SELECT t v"},
		{"a union", my, "(SELECT a FROM t) UNION ALL SELECT b FROM u LIMIT 1, 2", "SELECT t SELECT u"},
		{"a subquery in a condition", my, "SELECT * FROM t WHERE a IN (SELECT b FROM u WHERE c = (select max(d) from v))", "SELECT t SELECT u select v"},
		{"a subquery beside a table", my, "SELECT * FROM (SELECT 1) x, t", "SELECT SELECT t"},
		{"a lateral subquery", pg, "SELECT * FROM t, LATERAL (SELECT * FROM u) v, ONLY w", "SELECT t SELECT u w"},
		{"a table function is no table", pg, "SELECT * FROM generate_series(1, 10) g, t", "SELECT t"},
		{"FROM in a function names no table", pg, "SELECT extract(year FROM ts), trim(both 'x' FROM y) FROM t WHERE a IS DISTINCT FROM b", "SELECT t"},
		{"a common table expression", pg, "WITH RECURSIVE r (a) AS (SELECT x FROM t), s AS (SELECT 1) SELECT * FROM r", "SELECT t SELECT SELECT r"},
		{"an update behind a common table expression", pg, "WITH r AS (DELETE FROM t RETURNING *) UPDATE u SET a = 1 FROM r", "DELETE t UPDATE u r"},
		{"locking clauses", my, "SELECT * FROM t FOR UPDATE", "SELECT t"},
		{"an index hint", my, "SELECT * FROM t USE INDEX (i), u FORCE INDEX FOR ORDER BY (j)", "SELECT t u"},
		{"into a variable", my, "SELECT a INTO @x FROM t", "SELECT t"},
		{"into a table", pg, "SELECT a INTO u FROM t", "SELECT u t"},
		{"a column with the name of an operation", my, "SELECT t.select, `update` FROM t", "SELECT t"},

		{"an insert without INTO", my, "INSERT LOW_PRIORITY IGNORE t (a) VALUES (1)", "INSERT t"},
		{"an insert that updates", my, "INSERT INTO t(a) VALUES (1), (2) ON DUPLICATE KEY UPDATE a = 2", "INSERT t"},
		{"an upsert", pg, "INSERT INTO t (a) SELECT b FROM u ON CONFLICT DO UPDATE SET a = 2 RETURNING a", "INSERT t SELECT u"},
		{"a replace, and the function", my, "REPLACE INTO t SELECT REPLACE(a, 'b', 'c'), INSERT(d, 1, 2, 'e') FROM u", "REPLACE t SELECT u"},
		{"an update of several tables", my, "UPDATE LOW_PRIORITY a, b JOIN c ON a.x = c.x SET a.y = 1, b.z = 2", "UPDATE a b c"},
		{"an update from a table", pg, "UPDATE ONLY t SET a = u.a, b = 1 FROM u, v WHERE t.id = u.id", "UPDATE t u v"},
		{"a delete", my, "DELETE QUICK FROM t WHERE a = 1 ORDER BY b, c", "DELETE t"},
		{"a delete from several tables", my, "DELETE a, b FROM a JOIN b USING (id)", "DELETE a b"},
		{"a delete with USING", my, "DELETE FROM a USING a JOIN b USING (id)", "DELETE a a b"},
		{"a delete without FROM", std, "DELETE t WHERE a = 1", "DELETE t"},
		{"a merge", std, "MERGE INTO t USING (SELECT * FROM u) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET a = 1 WHEN NOT MATCHED THEN INSERT (a) VALUES (1)", "MERGE t SELECT u"},
		{"a merge of tables", std, "MERGE t USING u ON t.id = u.id WHEN MATCHED THEN DELETE", "MERGE t u"},
		{"a load", my, "LOAD DATA LOCAL INFILE 'x' INTO TABLE t FIELDS TERMINATED BY ','", "LOAD t"},

		{"create if not exists", my, "CREATE TEMPORARY TABLE IF NOT EXISTS t (a INT, b INT)", "CREATE TABLE t"},
		{"create from a query", my, "CREATE TABLE t AS SELECT * FROM u", "CREATE TABLE t SELECT u"},
		{"create an index", my, "CREATE UNIQUE INDEX i ON t (a, b)", "CREATE INDEX i t"},
		{"create an index without a name", pg, "CREATE INDEX CONCURRENTLY ON t USING btree (a)", "CREATE INDEX t"},
		{"create a view", my, "CREATE OR REPLACE ALGORITHM=MERGE DEFINER=`root`@`localhost` SQL SECURITY DEFINER VIEW v (a) AS SELECT a FROM t", "CREATE VIEW v SELECT t"},
		{"refresh a materialized view", pg, "REFRESH MATERIALIZED VIEW CONCURRENTLY v", "REFRESH MATERIALIZED VIEW v"},
		{"what a procedure does is not done", my, "CREATE PROCEDURE p() BEGIN SELECT 1 FROM t; DELETE FROM u; END", "CREATE PROCEDURE p"},
		{"what a trigger does is not done", my, "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW INSERT INTO log SELECT 1 FROM u", "CREATE TRIGGER tr t"},
		{"a user's name is not told", my, "CREATE USER bob IDENTIFIED BY 'secret'", "CREATE USER"},
		{"drop several", my, "DROP TABLE IF EXISTS a, b.c CASCADE", "DROP TABLE a b.c"},
		{"drop an index", my, "DROP INDEX i ON t", "DROP INDEX i t"},
		{"drop a database", my, "DROP DATABASE shop", "DROP DATABASE shop"},
		{"alter drops", my, "ALTER TABLE t DROP INDEX i, ADD COLUMN c INT AFTER d", "ALTER TABLE t"},
		{"truncate with and without TABLE", my, "TRUNCATE TABLE t; TRUNCATE u", "TRUNCATE TABLE t TRUNCATE u"},
		{"rename", my, "RENAME TABLE a TO b, c TO d", "RENAME TABLE a c"},
		{"lock", my, "LOCK TABLES a READ, b WRITE", "LOCK TABLES a b"},
		{"optimize", my, "OPTIMIZE NO_WRITE_TO_BINLOG TABLE a, b", "OPTIMIZE TABLE a b"},

		{"call", my, "CALL shop.refresh(1, (SELECT 2))", "CALL shop.refresh SELECT"},
		{"exec with a result", std, "EXEC @rc = dbo.refresh @a = 1", "EXEC dbo.refresh"},
		{"execute a procedure", std, "EXECUTE refresh", "EXECUTE refresh"},
		{"execute a prepared statement", my, "EXECUTE stmt_4711 USING @a", "EXECUTE"},
		{"prepare", my, "PREPARE stmt_4711 FROM 'SELECT 1'", "PREPARE"},

		{"begin", my, "BEGIN", "BEGIN"},
		{"start transaction", my, "START TRANSACTION READ ONLY", "START TRANSACTION"},
		{"commit", my, "commit", "commit"},
		{"rollback to a savepoint", my, "ROLLBACK TO SAVEPOINT sp_17", "ROLLBACK"},
		{"set", my, "SET NAMES utf8mb4, @a = (SELECT 1 FROM t)", "SET SELECT t"},
		{"show", my, "SHOW COLUMNS FROM t LIKE 'a%'", "SHOW"},
		{"use", my, "USE `shop`", "USE `shop`"},
		{"explain", my, "EXPLAIN FORMAT=JSON UPDATE t SET a = 1", "EXPLAIN UPDATE t"},
		{"explain with options", pg, "EXPLAIN (ANALYZE, BUFFERS) DELETE FROM t", "EXPLAIN DELETE t"},
		{"explain analyze", pg, "EXPLAIN ANALYZE VERBOSE INSERT INTO t VALUES (1)", "EXPLAIN INSERT t"},
		{"what is granted is not done", my, "GRANT SELECT, INSERT ON t TO bob; SELECT 1", "GRANT SELECT"},
		{"values", pg, "VALUES (1), (2)", "VALUES"},
		{"kill", my, "KILL QUERY 12", "KILL"},

		{"several statements", my, "SET @a = 1; INSERT INTO t VALUES (@a); ; SELECT * FROM t;", "SET INSERT t SELECT t"},
		{"a comment that is executed", my, "/*!40101 SET NAMES utf8 */", "SET"},
		{"the same elsewhere", pg, "/*!40101 SET NAMES utf8 */", ""},
		{"comments between all words", my, "/*a*/SELECT/*b*/*/*c*/FROM/*d*/t/*e*/,#f\nu", "SELECT t u"},
		{"a query that is cut", my, "SELECT * FROM t JOIN (SELECT * FROM us", "SELECT t SELECT us"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(sqltext.Summary(nil, []byte(c.query), c.d)); got != c.want {
				t.Errorf("%s\n got %q\nwant %q", c.query, got, c.want)
			}
		})
	}
}

func TestASummaryIsCutBetweenItsWords(t *testing.T) {
	long := strings.Repeat("a", 100)
	for _, c := range []struct{ name, query, want string }{
		{"the third name does not fit", "SELECT * FROM " + long + ", " + long + "," + long, "SELECT " + long + " " + long},
		{"nothing follows what does not fit", "SELECT * FROM " + strings.Repeat(long, 3) + ", b", "SELECT"},
		{"all of a name counts", "SELECT * FROM " + long + "." + long + "." + long, "SELECT"},
		{"a name fits to the byte", "SELECT * FROM " + strings.Repeat("b", atMost-7), "SELECT " + strings.Repeat("b", atMost-7)},
		{"a name is a byte too long", "SELECT * FROM " + strings.Repeat("b", atMost-6), "SELECT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dst := []byte("before ")
			if got := string(sqltext.Summary(dst, []byte(c.query), my)); got != "before "+c.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

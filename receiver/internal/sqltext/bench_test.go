package sqltext_test

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/sqltext"
)

// Queries as programs send them, by their length in bytes.
var queries = map[int]string{
	60: "SELECT id, name FROM users WHERE email = 'bob@example.com' ;",
	300: "SELECT o.id, o.total, c.name, c.email FROM `shop`.`orders` o JOIN customers c ON c.id = o.customer_id " +
		"LEFT JOIN payments p ON p.order_id = o.id WHERE o.created_at >= '2020-01-01 00:00:00' AND o.state IN (1, 2, 3) " +
		"AND c.country = 'DE' AND p.amount > 17.50 ORDER BY o.created_at DESC LIMIT 20, 10",
	8000: "INSERT INTO shipping_details (order_id, address, weight) VALUES " +
		strings.Repeat("(4711, '12 Main Street, Springfield', -1.25), ", 172) + "(1, 'x', 2)",
}

func TestNothingIsAllocated(t *testing.T) {
	dst := make([]byte, 0, 16<<10)
	for size, q := range queries {
		query := []byte(q)
		for _, d := range dialects {
			if n := testing.AllocsPerRun(20, func() {
				dst = sqltext.Sanitize(dst[:0], query, d, 0)
				dst = sqltext.Summary(dst[:0], query, d)
			}); n != 0 {
				t.Errorf("%d bytes, dialect %d: %v allocations", size, d, n)
			}
		}
	}
}

// Whatever is repeated, eight times as much of it takes about eight times as
// long; were it quadratic, it would be 64.
func TestHostileQueriesTakeLinearTime(t *testing.T) {
	if testing.Short() {
		t.Skip("measures time")
	}
	for _, piece := range []string{
		"(", ")", "SELECT (", "a IN (", "a IN (1,", "1,", "'", "''", "\\'", `"`, "`", "[", "[a ", "/*", "/* */", "*/", "/*!", "--", "-- ", "-", "#", "$", "$a", "$a$", "$a$ $", "E'' ",
		"FROM a.", ".", "..", "1e-", "1.", "_", "a", "@", ";", "WITH a AS (", "FROM (", "JOIN USING ", "USING" + strings.Repeat(" ", 100), "\x00", "\xff", " ",
	} {
		for _, d := range dialects {
			took := func(size int) time.Duration {
				query := []byte("SELECT " + strings.Repeat(piece, size/len(piece)))
				dst := make([]byte, 0, 4*size)
				best := time.Hour
				for range 3 {
					start := time.Now()
					dst = sqltext.Sanitize(dst[:0], query, d, 0)
					dst = sqltext.Summary(dst[:0], query, d)
					best = min(best, time.Since(start))
				}
				return best
			}
			small, large := took(32<<10), took(256<<10)
			if large > 32*small && large > 50*time.Millisecond {
				t.Errorf("dialect %d, %q: %v for 32 KB, %v for 256 KB", d, piece, small, large)
			}
		}
	}
}

func TestMegabytesOfOneLiteralAreOnePlaceholder(t *testing.T) {
	query := append([]byte("INSERT INTO t VALUES ('"), bytes.Repeat([]byte("ab''"), 1<<20)...)
	if got := string(sqltext.Sanitize(nil, query, my, 0)); got != "INSERT INTO t VALUES (?" {
		t.Errorf("%.100q", got)
	}
}

func BenchmarkSanitize(b *testing.B) {
	run(b, func(dst, query []byte) []byte { return sqltext.Sanitize(dst, query, my, 0) })
}

func BenchmarkSummary(b *testing.B) {
	run(b, func(dst, query []byte) []byte { return sqltext.Summary(dst, query, my) })
}

func run(b *testing.B, f func(dst, query []byte) []byte) {
	for _, size := range []int{60, 300, 8000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			query := []byte(queries[size])
			dst := make([]byte, 0, len(query))
			b.SetBytes(int64(len(query)))
			b.ReportAllocs()
			for b.Loop() {
				dst = f(dst[:0], query)
			}
		})
	}
}

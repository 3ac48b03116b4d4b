// Recommendations says what sells. It speaks HTTP/1.1, and to its database by
// statements in plain text.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"net/http"

	"github.com/perisco-io/perisco/examples/bookstore/internal/serve"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:7074", "`address` to serve HTTP on")
	dsn := flag.String("database", "bookstore:bookstore@tcp(127.0.0.1:7075)/bookstore?interpolateParams=true", "data source `name` of the MySQL server")
	flag.Parse()

	rs := recommendations{serve.Database(*dsn)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /popular", rs.popular)
	mux.HandleFunc("GET /bestsellers", rs.bestsellers)
	serve.HTTP(*listen, mux)
}

type recommendations struct{ db *sql.DB }

func (rs recommendations) popular(w http.ResponseWriter, r *http.Request) {
	books, err := rs.titles(r.Context(), "SELECT title FROM books WHERE stock > ? ORDER BY stock LIMIT 3", 0)
	answer(w, books, err)
}

// bestsellers is slow: its report keeps the database busy for a while.
func (rs recommendations) bestsellers(w http.ResponseWriter, r *http.Request) {
	books, err := rs.titles(r.Context(), `SELECT title FROM books
		JOIN (SELECT book, SUM(copies) AS sold FROM orders GROUP BY book) AS sales ON sales.book = books.id
		JOIN (SELECT SLEEP(?)) AS report
		ORDER BY sold DESC LIMIT 3`, 0.4)
	answer(w, books, err)
}

func (rs recommendations) titles(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := rs.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	titles := []string{}
	for rows.Next() {
		var title string
		if err := rows.Scan(&title); err != nil {
			return nil, err
		}
		titles = append(titles, title)
	}
	return titles, rows.Err()
}

func answer(w http.ResponseWriter, titles []string, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(titles) // who does not wait for the answer has gone
}

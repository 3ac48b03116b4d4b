// Catalogue knows the books. It speaks gRPC, and to its database by statements
// that it prepares once.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"log"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/perisco-io/perisco/examples/bookstore/internal/pb"
	"github.com/perisco-io/perisco/examples/bookstore/internal/serve"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:7071", "`address` to serve gRPC on")
	dsn := flag.String("database", "bookstore:bookstore@tcp(127.0.0.1:7075)/bookstore", "data source `name` of the MySQL server")
	flag.Parse()

	db := serve.Database(*dsn)
	c := &catalogue{
		db:   db,
		list: prepare(db, "SELECT id, title, author, cents FROM books WHERE title LIKE CONCAT('%', ?, '%') ORDER BY title LIMIT 20"),
		get:  prepare(db, "SELECT id, title, author, cents FROM books WHERE id = ?"),
	}
	serve.GRPC(*listen, func(s grpc.ServiceRegistrar) { pb.RegisterCatalogueServer(s, c) })
}

func prepare(db *sql.DB, query string) *sql.Stmt {
	stmt, err := db.Prepare(query)
	if err != nil {
		log.Fatal(err)
	}
	return stmt
}

type catalogue struct {
	pb.UnimplementedCatalogueServer
	db        *sql.DB
	list, get *sql.Stmt
}

func (c *catalogue) List(ctx context.Context, r *pb.ListRequest) (*pb.ListResponse, error) {
	rows, err := c.list.QueryContext(ctx, r.GetWord())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found pb.ListResponse
	for rows.Next() {
		var b pb.Book
		if err := rows.Scan(&b.Id, &b.Title, &b.Author, &b.Cents); err != nil {
			return nil, err
		}
		found.Books = append(found.Books, &b)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return &found, nil
}

func (c *catalogue) Get(ctx context.Context, r *pb.GetRequest) (*pb.Book, error) {
	var b pb.Book
	err := c.get.QueryRowContext(ctx, r.GetId()).Scan(&b.Id, &b.Title, &b.Author, &b.Cents)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, status.Errorf(codes.NotFound, "there is no book %d", r.GetId())
	case err != nil:
		return nil, err
	}
	return &b, nil
}

// Reviews is the bug of this bookstore: its table was forgotten in schema.sql.
func (c *catalogue) Reviews(ctx context.Context, r *pb.GetRequest) (*pb.ReviewsResponse, error) {
	var text string
	if err := c.db.QueryRowContext(ctx, "SELECT text FROM reviews WHERE book = ?", r.GetId()).Scan(&text); err != nil {
		return nil, err
	}
	return &pb.ReviewsResponse{Texts: []string{text}}, nil
}

// Orders takes orders: it reserves the copies in a transaction, then asks for
// payment, then keeps or undoes what it reserved. It speaks gRPC, and HTTP/2 to
// payments.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/perisco-io/perisco/examples/bookstore/internal/pb"
	"github.com/perisco-io/perisco/examples/bookstore/internal/serve"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:7072", "`address` to serve gRPC on")
	payments := flag.String("payments", "127.0.0.1:7073", "`address` of payments")
	dsn := flag.String("database", "bookstore:bookstore@tcp(127.0.0.1:7075)/bookstore", "data source `name` of the MySQL server")
	flag.Parse()

	o := &orders{db: serve.Database(*dsn), payments: "http://" + *payments, client: serve.Client(true)}
	serve.GRPC(*listen, func(s grpc.ServiceRegistrar) { pb.RegisterOrdersServer(s, o) })
}

type orders struct {
	pb.UnimplementedOrdersServer
	db       *sql.DB
	client   *http.Client
	payments string // base URL
}

func (o *orders) Place(ctx context.Context, r *pb.PlaceRequest) (*pb.Order, error) {
	if r.GetCopies() < 1 {
		return nil, status.Error(codes.InvalidArgument, "order at least one copy")
	}
	order, err := o.reserve(ctx, r)
	if err != nil {
		return nil, err
	}
	switch err = o.pay(ctx, r.GetCard(), order.GetCents()); {
	case errors.Is(err, errDeclined):
		if err := o.release(ctx, order); err != nil {
			return nil, err
		}
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	case err != nil:
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	if _, err := o.db.ExecContext(ctx, "UPDATE orders SET state = 'paid' WHERE id = ?", order.GetKey()); err != nil {
		return nil, err
	}
	order.State = "paid"
	return order, nil
}

// reserve takes the copies off the stock.
func (o *orders) reserve(ctx context.Context, r *pb.PlaceRequest) (*pb.Order, error) {
	order := &pb.Order{Key: r.GetKey(), Book: r.GetBook(), Copies: r.GetCopies(), State: "reserved"}
	err := o.transact(ctx, func(tx *sql.Tx) error {
		var stock, cents int64
		err := tx.QueryRowContext(ctx, "SELECT stock, cents FROM books WHERE id = ? FOR UPDATE", r.GetBook()).Scan(&stock, &cents)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return status.Errorf(codes.NotFound, "there is no book %d", r.GetBook())
		case err != nil:
			return err
		case stock < r.GetCopies():
			return status.Errorf(codes.ResourceExhausted, "book %d: %d copies are left", r.GetBook(), stock)
		}
		order.Cents = cents * r.GetCopies()
		if _, err := tx.ExecContext(ctx, "INSERT INTO orders (id, book, copies, cents, state) VALUES (?, ?, ?, ?, 'reserved')",
			order.GetKey(), order.GetBook(), order.GetCopies(), order.GetCents()); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE books SET stock = stock - ? WHERE id = ?", order.GetCopies(), order.GetBook())
		return err
	})
	const duplicateEntry = 1062 // ER_DUP_ENTRY of MySQL
	if e := new(mysql.MySQLError); errors.As(err, &e) && e.Number == duplicateEntry {
		return nil, status.Errorf(codes.AlreadyExists, "order %s was taken before", order.GetKey())
	}
	return order, err
}

// release undoes reserve.
func (o *orders) release(ctx context.Context, order *pb.Order) error {
	return o.transact(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE orders SET state = 'declined' WHERE id = ?", order.GetKey()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE books SET stock = stock + ? WHERE id = ?", order.GetCopies(), order.GetBook())
		return err
	})
}

func (o *orders) transact(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := o.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback() // err says more
		return err
	}
	return tx.Commit()
}

var errDeclined = errors.New("the card was declined")

func (o *orders) pay(ctx context.Context, card string, cents int64) error {
	charge := url.Values{"card": {card}, "cents": {strconv.FormatInt(cents, 10)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.payments+"/charges", strings.NewReader(charge.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := o.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	switch resp.StatusCode {
	case http.StatusCreated:
		return nil
	case http.StatusPaymentRequired:
		return errDeclined
	}
	return fmt.Errorf("payments: %s", resp.Status)
}

func (o *orders) Get(ctx context.Context, r *pb.OrderRequest) (*pb.Order, error) {
	order := &pb.Order{Key: r.GetKey()}
	err := o.db.QueryRowContext(ctx, "SELECT book, copies, cents, state FROM orders WHERE id = ?", r.GetKey()).
		Scan(&order.Book, &order.Copies, &order.Cents, &order.State)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, status.Errorf(codes.NotFound, "there is no order %s", r.GetKey())
	case err != nil:
		return nil, err
	}
	return order, nil
}

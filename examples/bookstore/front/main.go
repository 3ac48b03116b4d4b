// Front is what shoppers see: HTTP/1.1 with JSON. It asks the other services,
// over gRPC and HTTP/1.1.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/perisco-io/perisco/examples/bookstore/internal/pb"
	"github.com/perisco-io/perisco/examples/bookstore/internal/serve"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:7070", "`address` to serve HTTP on")
	catalogue := flag.String("catalogue", "127.0.0.1:7071", "`address` of the catalogue")
	orders := flag.String("orders", "127.0.0.1:7072", "`address` of orders")
	recommendations := flag.String("recommendations", "127.0.0.1:7074", "`address` of recommendations")
	flag.Parse()

	f := front{
		catalogue:       pb.NewCatalogueClient(serve.Dial(*catalogue)),
		orders:          pb.NewOrdersClient(serve.Dial(*orders)),
		recommendations: "http://" + *recommendations,
		client:          serve.Client(false),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", f.home)
	mux.HandleFunc("GET /bestsellers", f.bestsellers)
	mux.HandleFunc("GET /books", f.list)
	mux.HandleFunc("GET /books/{id}", f.book)
	mux.HandleFunc("GET /books/{id}/reviews", f.reviews)
	mux.HandleFunc("POST /orders", f.place)
	mux.HandleFunc("GET /orders/{key}", f.order)
	serve.HTTP(*listen, mux)
}

type front struct {
	catalogue       pb.CatalogueClient
	orders          pb.OrdersClient
	client          *http.Client
	recommendations string // base URL
}

func (f front) home(w http.ResponseWriter, r *http.Request) {
	popular, err := f.recommend(r, "/popular")
	if err != nil {
		answer(w, http.StatusOK, nil, err)
		return
	}
	books, err := f.catalogue.List(r.Context(), &pb.ListRequest{})
	answer(w, http.StatusOK, map[string]any{"popular": popular, "books": books.GetBooks()}, err)
}

func (f front) bestsellers(w http.ResponseWriter, r *http.Request) {
	titles, err := f.recommend(r, "/bestsellers")
	answer(w, http.StatusOK, titles, err)
}

func (f front) recommend(r *http.Request, path string) (titles []string, err error) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, f.recommendations+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("recommendations: %s", resp.Status)
	}
	return titles, json.NewDecoder(resp.Body).Decode(&titles)
}

func (f front) list(w http.ResponseWriter, r *http.Request) {
	books, err := f.catalogue.List(r.Context(), &pb.ListRequest{Word: r.FormValue("word")})
	answer(w, http.StatusOK, books.GetBooks(), err)
}

func (f front) book(w http.ResponseWriter, r *http.Request) {
	book, err := f.catalogue.Get(r.Context(), &pb.GetRequest{Id: number(r.PathValue("id"))})
	answer(w, http.StatusOK, book, err)
}

func (f front) reviews(w http.ResponseWriter, r *http.Request) {
	reviews, err := f.catalogue.Reviews(r.Context(), &pb.GetRequest{Id: number(r.PathValue("id"))})
	answer(w, http.StatusOK, reviews.GetTexts(), err)
}

func (f front) place(w http.ResponseWriter, r *http.Request) {
	order, err := f.orders.Place(r.Context(), &pb.PlaceRequest{
		Key:    r.FormValue("key"),
		Book:   number(r.FormValue("book")),
		Copies: number(r.FormValue("copies")),
		Card:   r.FormValue("card"),
	})
	answer(w, http.StatusCreated, order, err)
}

func (f front) order(w http.ResponseWriter, r *http.Request) {
	order, err := f.orders.Get(r.Context(), &pb.OrderRequest{Key: r.PathValue("key")})
	answer(w, http.StatusOK, order, err)
}

// number returns 0, which nothing has for its id, for what is none.
func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

// statuses are those of errors that shoppers can do something about.
var statuses = map[codes.Code]int{
	codes.InvalidArgument:    http.StatusBadRequest,
	codes.NotFound:           http.StatusNotFound,
	codes.AlreadyExists:      http.StatusConflict,
	codes.ResourceExhausted:  http.StatusGone,
	codes.FailedPrecondition: http.StatusPaymentRequired,
	codes.Unavailable:        http.StatusServiceUnavailable,
}

// answer writes what was asked for, or the error.
func answer(w http.ResponseWriter, ok int, body any, err error) {
	if err != nil {
		code, known := statuses[status.Code(err)]
		if !known {
			code = http.StatusInternalServerError
		}
		http.Error(w, status.Convert(err).Message(), code)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(ok)
	_ = json.NewEncoder(w).Encode(body) // who does not wait for the answer has gone
}

// Load goes shopping: so many shoppers, together so many requests a second, each
// in a trace of its own. It prints a line for each of them.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/perisco-io/perisco/examples/bookstore/internal/serve"
	"github.com/perisco-io/perisco/examples/bookstore/internal/trace"
)

func main() {
	front := flag.String("front", "127.0.0.1:7070", "`address` of the front")
	shoppers := flag.Int("shoppers", 4, "`number` of shoppers, each with one request at a time")
	rate := flag.Int("rate", 10, "requests a second of all shoppers together, at most")
	rounds := flag.Int("rounds", 0, "end after this `number` of rounds of all errands; 0: never")
	flag.Parse()
	if *rate < 1 || *shoppers < 1 {
		log.Fatal("-rate and -shoppers must be 1 or more")
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	errands := make(chan errand)
	pace := time.NewTicker(time.Second / time.Duration(*rate))
	var wg sync.WaitGroup
	for range *shoppers {
		wg.Go(func() {
			s := shopper{client: serve.Client(false), front: "http://" + *front, pace: pace.C}
			for e := range errands {
				s.run(ctx, e)
			}
		})
	}
	for n := 0; ctx.Err() == nil && (*rounds == 0 || n < *rounds); n++ {
		for _, e := range round() {
			select {
			case <-ctx.Done():
			case errands <- e:
			}
		}
	}
	close(errands)
	wg.Wait()
}

// A shopper makes one request at a time.
type shopper struct {
	client *http.Client
	front  string           // base URL
	pace   <-chan time.Time // of all shoppers together
}

func (s shopper) run(ctx context.Context, e errand) {
	for _, r := range e {
		select {
		case <-ctx.Done():
			return
		case <-s.pace:
		}
		ctx := trace.New(ctx)
		began := time.Now()
		status, err := s.send(ctx, r)
		if err != nil {
			status = err.Error()
		}
		fmt.Printf("%s %s %s: %s %s\n", trace.Of(ctx), r.method(), r.path, status, time.Since(began).Round(time.Millisecond))
	}
}

func (s shopper) send(ctx context.Context, r request) (status string, err error) {
	req, err := http.NewRequestWithContext(ctx, r.method(), s.front+r.path, strings.NewReader(r.form.Encode()))
	if err != nil {
		return "", err
	}
	if r.form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.Status, err
}

// A request is one that a shopper makes.
type request struct {
	path string
	form url.Values // posted, so that no card number stands in a URL; nil: a GET
}

func (r request) method() string {
	if r.form != nil {
		return http.MethodPost
	}
	return http.MethodGet
}

// An errand is requests of one shopper, in their order.
type errand []request

// round returns errands of all sorts: what goes well more often than what does
// not, and in an order of chance.
func round() []errand {
	const cheap, rare = 3, 12 // books: schema.sql says how many copies there are
	anyone := func() string { return fmt.Sprint("/books/", 1+rand.IntN(rare)) }
	buy := func(book, copies int, card string) request {
		return request{"/orders", url.Values{
			"key": {fmt.Sprintf("%016x", rand.Uint64())}, "card": {card}, "book": {strconv.Itoa(book)}, "copies": {strconv.Itoa(copies)},
		}}
	}
	const good, bad = "4242424242424242", "4000000000000002"
	one, two, twice := buy(cheap, 1, good), buy(cheap+1, 2, good), buy(cheap, 1, good)
	look := func(r request) request { return request{path: "/orders/" + r.form.Get("key")} }

	errands := []errand{
		{{path: "/"}, {path: "/books?word=sea"}, {path: anyone()}},
		{{path: "/"}, {path: anyone()}, one, look(one)},
		{{path: "/books"}, {path: anyone()}, two, look(two)},
		{{path: "/books?word=the"}, {path: anyone()}, {path: anyone()}},
		{{path: "/bestsellers"}},           // slow
		{{path: "/favicon.ico"}},           // 404 of the front
		{{path: "/books/404"}},             // NOT_FOUND of the catalogue
		{{path: "/books/7/reviews"}},       // 1146 of the database: no such table
		{twice, twice},                     // 1062 of the database: duplicate entry
		{buy(cheap, 1, bad)},               // 402 of payments
		{buy(rare, 1, good)},               // RESOURCE_EXHAUSTED of orders: out of stock
		{buy(cheap, 0, good), {path: "/"}}, // INVALID_ARGUMENT of orders
	}
	rand.Shuffle(len(errands), func(i, j int) { errands[i], errands[j] = errands[j], errands[i] })
	return errands
}

// Payments charges cards. It speaks HTTP/2 without TLS, and HTTP/1.1.
package main

import (
	"flag"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/perisco-io/perisco/examples/bookstore/internal/serve"
)

const bank = 20 * time.Millisecond // what asking it takes

func main() {
	listen := flag.String("listen", "127.0.0.1:7073", "`address` to serve HTTP on")
	flag.Parse()

	mux := http.NewServeMux()
	mux.HandleFunc("POST /charges", charge)
	serve.HTTP(*listen, mux)
}

// charge declines cards whose number begins with 4000, as test cards do.
func charge(w http.ResponseWriter, r *http.Request) {
	if cents, err := strconv.Atoi(r.FormValue("cents")); err != nil || cents <= 0 {
		http.Error(w, "cents must be a positive number", http.StatusBadRequest)
		return
	}
	time.Sleep(bank)
	if strings.HasPrefix(r.FormValue("card"), "4000") {
		http.Error(w, "the card was declined", http.StatusPaymentRequired)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

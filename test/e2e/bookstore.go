package e2e

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A bookstore is what examples/bookstore starts: services, a database and
// shoppers, each a process of its own.
type bookstore struct {
	*process
	port     int // of the front; see address
	database int
}

// startBookstore starts one whose shoppers do all their errands some times.
func startBookstore(t testing.TB, rounds, rate int) *bookstore {
	t.Helper()
	program(t, "mariadbd")
	if out, err := exec.Command("make", "-C", "../..", "_build/bookstore").CombinedOutput(); err != nil {
		t.Fatalf("build the bookstore: %v\n%s", err, out)
	}
	const ports = 6
	s := &bookstore{port: freePorts(t, ports)}
	s.database = s.port + ports - 1
	cmd := exec.Command("../../examples/bookstore/run", "--no-collector", "-rounds", fmt.Sprint(rounds), "-rate", fmt.Sprint(rate))
	// In a TMPDIR that root keeps for itself: its database is somebody else.
	cmd.Env = append(os.Environ(), fmt.Sprint("BOOKSTORE_PORT=", s.port), "TMPDIR="+tempDir(t))
	s.process = start(t, cmd)
	return s
}

// freePorts returns the first of some ports in a row that nobody listens on.
func freePorts(t testing.TB, n int) int {
	t.Helper()
next:
	for range 100 {
		first := freePort(t)
		for port := first; port < first+n; port++ {
			l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
			if err != nil {
				continue next
			}
			l.Close()
		}
		return first
	}
	t.Fatalf("no %d ports in a row are free", n)
	return 0
}

// A purchase is a request of a shopper.
type purchase struct {
	trace string
	exchange
}

// close waits until the shoppers have done their errands, and returns them.
func (s *bookstore) close(t testing.TB) []purchase {
	t.Helper()
	select {
	case <-s.done:
	case <-time.After(4 * patience): // a database is made first
		t.Fatal("the shoppers do not come to an end")
	}
	f, err := os.Open(s.output)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var purchases []purchase
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var parent string
		var p purchase
		if _, err := fmt.Sscan(strings.Replace(lines.Text(), ": ", " ", 1), &parent, &p.Method, &p.URI, &p.Status); err != nil {
			t.Fatalf("a shopper says %q: %v", lines.Text(), err)
		}
		p.trace = strings.Split(parent, "-")[1]
		purchases = append(purchases, p)
	}
	return purchases
}

// A hop is one end of an exchange of the bookstore.
type hop struct {
	trace, service, kind, what string
}

func (h hop) String() string {
	return fmt.Sprintf("%s: %s of %s, in trace %s", h.what, h.kind, h.service, h.trace)
}

// hops returns what services say to each other for a purchase: both ends of
// each exchange.
func (p purchase) hops() (hs []hop) {
	add := func(from, to, what string) {
		hs = append(hs, hop{p.trace, from, client.String(), what}, hop{p.trace, to, server.String(), what})
	}
	add("load", "front", p.String())
	path, _, _ := strings.Cut(p.URI, "?")
	switch {
	case path == "/":
		add("front", "recommendations", "GET /popular 200")
		add("front", "catalogue", "bookstore.Catalogue/List OK")
	case path == "/bestsellers":
		add("front", "recommendations", "GET /bestsellers 200")
	case path == "/books":
		add("front", "catalogue", "bookstore.Catalogue/List OK")
	case strings.HasSuffix(path, "/reviews"):
		add("front", "catalogue", "bookstore.Catalogue/Reviews UNKNOWN")
	case strings.HasPrefix(path, "/books/"):
		add("front", "catalogue", "bookstore.Catalogue/Get "+map[int]string{200: "OK", 404: "NOT_FOUND"}[p.Status])
	case p.Method == "POST" && p.Status == 201:
		add("front", "orders", "bookstore.Orders/Place OK")
		add("orders", "payments", "POST /charges 201")
	case p.Method == "POST" && p.Status == 402:
		add("front", "orders", "bookstore.Orders/Place FAILED_PRECONDITION")
		add("orders", "payments", "POST /charges 402")
	case p.Method == "POST" && p.Status == 400:
		add("front", "orders", "bookstore.Orders/Place INVALID_ARGUMENT")
	case p.Method == "POST" && p.Status == 409:
		add("front", "orders", "bookstore.Orders/Place ALREADY_EXISTS")
	case p.Method == "POST" && p.Status == 410:
		add("front", "orders", "bookstore.Orders/Place RESOURCE_EXHAUSTED")
	case strings.HasPrefix(path, "/orders/"):
		add("front", "orders", "bookstore.Orders/Get OK")
	}
	return hs
}

// hops returns what spans say.
func (ss spans) hops() (hs []hop) {
	for _, s := range ss {
		what := spans{s}.exchanges()[0].String()
		if s.isCall() {
			what = spans{s}.calls()[0].String()
		}
		hs = append(hs, hop{s.TraceID().String(), s.service(), s.Kind().String(), what})
	}
	return hs
}

// A statement is what client and server can tell of a command to a database.
type statement struct {
	summary string
	code    string // of the error; empty: there was none
}

func (s statement) String() string { return strings.TrimSpace(s.summary + " " + s.code) }

// statements returns what spans say.
func (ss spans) statements() (out []statement) {
	for _, s := range ss {
		out = append(out, statement{s.Name(), text(s.Attributes(), "error.type")})
	}
	return out
}

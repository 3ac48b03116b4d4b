package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// An exchange is what every witness of a request can tell of it: the client,
// the server's access log, and the span.
type exchange struct {
	Method string
	URI    string
	Status int // 0: there was no answer
}

func (x exchange) String() string { return fmt.Sprintf("%s %s %d", x.Method, x.URI, x.Status) }

// checkSame checks that two witnesses tell of the same exchanges or calls, each as
// often, in whatever order.
func checkSame[T interface {
	comparable
	fmt.Stringer
}](t testing.TB, what string, got, want []T) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d, want %d", what, len(got), len(want))
	}
	balance := make(map[T]int)
	for _, x := range want {
		balance[x]++
	}
	for _, x := range got {
		balance[x]--
	}
	var missing, invented findings
	for x, n := range balance {
		for ; n > 0; n-- {
			missing.addf("%s", x)
		}
		for ; n < 0; n++ {
			invented.addf("%s", x)
		}
	}
	missing.report(t, what+": missing")
	invented.report(t, what+": not what happened")
}

// findings are complaints of one kind. Thousands of spans can have the same
// flaw; a few examples tell as much.
type findings struct {
	n        int
	examples []string
}

func (f *findings) addf(format string, args ...any) {
	const shown = 5
	if f.n++; f.n <= shown {
		f.examples = append(f.examples, fmt.Sprintf(format, args...))
	}
}

// report fails the test if there were any.
func (f *findings) report(t testing.TB, what string) {
	t.Helper()
	if f.n > 0 {
		t.Errorf("%s: %d, such as\n\t%s", what, f.n, strings.Join(f.examples, "\n\t"))
	}
}

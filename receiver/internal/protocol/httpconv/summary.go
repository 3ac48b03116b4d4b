package httpconv

import (
	"bytes"
	"strconv"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
)

const maxShown = 128 // bytes of a path in a summary

// Summary implements exchange.Exchange. The query is left out: it is long and
// the likeliest place of a secret.
func (x *Exchange) Summary(dst []byte) []byte {
	switch {
	case x.method != other:
		dst = append(dst, methods[x.method]...)
	case x.original.empty(): // it was not seen
		dst = append(dst, "HTTP"...)
	default:
		dst = exchange.AppendVisible(dst, x.bytes(x.original), maxShown)
	}
	what := x.bytes(x.path)
	if bytes.IndexByte(what, ';') >= 0 {
		what = []byte(redactPath(string(what)))
	}
	if x.form == authority {
		what = x.bytes(x.target)
	}
	if len(what) > 0 {
		dst = append(dst, ' ')
		dst = exchange.AppendVisible(dst, what, maxShown)
	}
	if x.Status != 0 {
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, int64(x.Status), 10)
	}
	if x.Outcome == exchange.Answered {
		return dst
	}
	dst = append(dst, ' ')
	if t := x.ErrorType; t != "" {
		return append(dst, t...)
	}
	return append(dst, x.Outcome.String()...)
}

// Path is that of the target, without the query. Valid until x changes.
func (x *Exchange) Path() []byte { return x.bytes(x.path) }

// AppendPath appends it as a person may see it.
func (x *Exchange) AppendPath(dst []byte) []byte {
	return exchange.AppendVisible(dst, x.Path(), maxShown)
}

package httpconv

import (
	"strconv"
	"unicode"
	"unicode/utf8"

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
		dst = show(dst, x.bytes(x.original))
	}
	what := x.bytes(x.path)
	if x.form == authority {
		what = x.bytes(x.target)
	}
	if len(what) > 0 {
		dst = append(dst, ' ')
		dst = show(dst, what)
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

// show appends p without control characters, and not all of a long one.
func show(dst, p []byte) []byte {
	for n := 0; len(p) > 0; {
		if n >= maxShown {
			return append(dst, "…"...)
		}
		r, size := utf8.DecodeRune(p)
		switch {
		case r == utf8.RuneError && size == 1, r < ' ' || r == 0x7f:
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'x', hex[p[0]>>4], hex[p[0]&15])
		case !unicode.IsPrint(r):
			dst = append(dst, `\u{`...)
			dst = strconv.AppendInt(dst, int64(r), 16)
			dst = append(dst, '}')
		default:
			dst = append(dst, p[:size]...)
		}
		p = p[size:]
		n += size
	}
	return dst
}

package exchange

import (
	"strconv"
	"unicode"
	"unicode/utf8"
)

// AppendVisible appends text that a peer sent to a summary: without control
// characters and what else cannot be seen, and no more than about limit bytes
// of it.
func AppendVisible(dst, text []byte, limit int) []byte {
	n := 0
	for n < len(text) && n < limit && text[n] >= ' ' && text[n] < 0x7f { // nearly all of it
		n++
	}
	dst = append(dst, text[:n]...)
	for text = text[n:]; len(text) > 0; {
		if n >= limit {
			return append(dst, "…"...)
		}
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1, r < ' ' || r == 0x7f:
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'x', hex[text[0]>>4], hex[text[0]&15])
		case !unicode.IsPrint(r):
			dst = append(dst, `\u{`...)
			dst = strconv.AppendInt(dst, int64(r), 16)
			dst = append(dst, '}')
		default:
			dst = append(dst, text[:size]...)
		}
		text = text[size:]
		n += size
	}
	return dst
}

package httpconv

import (
	"net/url"
	"slices"
	"strings"
)

const redacted = "REDACTED"

// signatures are the query parameters whose values the conventions redact
// (url.query, url.full). Case-sensitive.
var signatures = []string{
	"AWSAccessKeyId", "Signature", "sig", "X-Amz-Credential", "X-Amz-Security-Token", "X-Amz-Signature", "X-Goog-Signature",
}

// redactQuery replaces the values of signatures and keeps their keys.
func redactQuery(q string) string {
	var out []byte // nil until something had to be replaced
	done := 0      // bytes of q that are in out
	for at := 0; at < len(q); {
		end := strings.IndexByte(q[at:], '&')
		if end < 0 {
			end = len(q)
		} else {
			end += at
		}
		key, _, ok := strings.Cut(q[at:end], "=")
		if ok && secret(key) {
			out = append(out, q[done:at+len(key)+1]...)
			out = append(out, redacted...)
			done = end
		}
		at = end + 1
	}
	if out == nil {
		return q
	}
	return string(append(out, q[done:]...))
}

func secret(key string) bool {
	if strings.IndexByte(key, '%') >= 0 {
		if plain, err := url.QueryUnescape(key); err == nil {
			key = plain
		}
	}
	return slices.Contains(signatures, key)
}

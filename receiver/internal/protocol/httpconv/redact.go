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

// Beyond these, parameters that carry credentials: whose key, in lower case and
// without what joins words, is one of credentialNames (RFC 6749 4.1.2: code;
// RFC 7522: assertion), or ends in one of credentialEnds, as access_token and
// userPassword do.
var (
	credentialNames = []string{"apikey", "assertion", "auth", "authorization", "code", "jwt", "key", "otp", "pass", "pin", "pwd", "samlresponse", "session", "sessionid", "sid"}
	credentialEnds  = []string{"apikey", "credential", "credentials", "passphrase", "passwd", "password", "secret", "sessionid", "signature", "token"}
)

// maxKey is longer than any key that carries a credential.
const maxKey = 64

// redactQuery replaces the values of signatures and credentials and keeps
// their keys.
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
	if slices.Contains(signatures, key) {
		return true
	}
	var buf [maxKey]byte
	name := plainName(buf[:0], key)
	for _, credential := range credentialNames {
		if string(name) == credential {
			return true
		}
	}
	for _, end := range credentialEnds {
		if len(name) >= len(end) && string(name[len(name)-len(end):]) == end {
			return true
		}
	}
	return false
}

// plainName appends the last letters and digits of a key to dst, in lower
// case, as far as there is room.
func plainName(dst []byte, key string) []byte {
	for _, c := range []byte(key[max(0, len(key)-cap(dst)):]) {
		switch {
		case 'A' <= c && c <= 'Z':
			dst = append(dst, c+'a'-'A')
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			dst = append(dst, c)
		}
	}
	return dst
}

// redactPath replaces the values of path parameters (RFC 3986 3.3) that carry
// credentials, such as Java's ;jsessionid=….
func redactPath(p string) string {
	var out []byte // nil until something had to be replaced
	done := 0      // bytes of p that are in out
	for at := strings.IndexByte(p, ';'); at >= 0; {
		at++
		end := len(p)
		if n := strings.IndexAny(p[at:], ";/"); n >= 0 {
			end = at + n
		}
		if key, _, ok := strings.Cut(p[at:end], "="); ok && secret(key) {
			out = append(out, p[done:at+len(key)+1]...)
			out = append(out, redacted...)
			done = end
		}
		next := strings.IndexByte(p[end:], ';')
		if next < 0 {
			break
		}
		at = end + next
	}
	if out == nil {
		return p
	}
	return string(append(out, p[done:]...))
}

package http1

import (
	"bytes"
	"strings"

	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
)

const (
	// maxHead is how long a head, a trailer section or a line may be. Servers
	// take less: Apache 8 KiB a line and 100 of them, nginx 4 times 8 KiB, Node 16 KiB,
	// Jetty 8 KiB; Go alone 1 MiB.
	maxHead = 64 << 10
	// maxMethod is how long a method may be that we do not know; the longest
	// registered one, UPDATEREDIRECTREF, has 17.
	maxMethod = 32
	// maxGuess is how long a line may be that is only thought to be the first of
	// a request; it is looked at again with every byte that comes.
	maxGuess = 8 << 10
	// maxBody keeps the arithmetic of positions away from overflow.
	maxBody = 1 << 60
)

// A start is a start line, taken apart; its slices are pieces of the line.
type start struct {
	method, target []byte
	minor          byte // digit of the version after "HTTP/1."
	status         int
}

// requestLine takes a whole line apart. RFC 9112 3.
func requestLine(line []byte) (s start, ok bool) {
	line = trimSpace(line)
	n := len(line) - len(" HTTP/1.1")
	if n < 0 || line[n] != ' ' && line[n] != '\t' || !startsVersion(line[n+1:]) || !isDigit(line[n+8]) {
		return s, false
	}
	s.minor = line[n+8]
	m := method(line)
	if m == 0 || m >= n {
		return s, false
	}
	s.method = line[:m]
	// RFC 9112 3: a recipient may take any whitespace as the delimiter.
	s.target = trimSpace(line[m:n])
	return s, len(s.target) > 0
}

// method returns how long the method is that p begins with, 0 if p does not
// begin with a token and a space.
func method(p []byte) int {
	for i, c := range p {
		switch {
		case c == ' ':
			return i
		case !isToken(c) || i == maxMethod:
			return 0
		}
	}
	return 0
}

// startsRequest judges whether p begins with a request line. A strict judge,
// for where p may be anything, wants methods of capital letters and targets
// without spaces and control characters.
func startsRequest(p []byte, strict bool) protocol.Verdict {
	if end := bytes.IndexByte(p, '\n'); end >= 0 {
		s, ok := requestLine(trimCR(p[:end]))
		if !ok || strict && (!isCapital(s.method) || !isPlain(s.target)) {
			return protocol.No
		}
		return protocol.Yes
	}
	return startsUnended(p, strict)
}

// startsUnended is startsRequest for p without the end of a line.
func startsUnended(p []byte, strict bool) protocol.Verdict {
	m := method(p)
	if m == 0 {
		for i, c := range p {
			if !isToken(c) || i == maxMethod {
				return protocol.No
			}
		}
		m = len(p)
	}
	if strict && !isCapital(p[:m]) {
		return protocol.No
	}
	if rest := p[m:]; strict && len(rest) > 0 {
		if len(p) > maxGuess {
			return protocol.No
		}
		for _, c := range rest {
			if c < ' ' && c != '\r' {
				return protocol.No
			}
		}
		if i := bytes.IndexByte(rest[1:], ' '); i >= 0 {
			if i == 0 || !startsVersion(rest[2+i:]) {
				return protocol.No
			}
		}
	}
	return protocol.Wait
}

// isPlain reports whether there is neither space nor control character in a target.
func isPlain(target []byte) bool {
	for _, c := range target {
		if c <= ' ' {
			return false
		}
	}
	return true
}

func isCapital(method []byte) bool {
	for _, c := range method {
		if (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// startsLongRequest judges whether p, after which bytes are missing, is the
// beginning of a request line.
func startsLongRequest(p []byte) bool {
	m := method(p)
	if m == 0 || !httpconv.Known(p[:m]) || len(p) < m+2 || p[m+1] != '/' && string(p[:m]) != "CONNECT" {
		return false
	}
	return isPlain(p[m+1:])
}

// startsVersion reports whether p begins with the name of a version 1.x, or is
// the beginning of one. RFC 9112 2.3 wants capitals; some servers do not know.
func startsVersion(p []byte) bool {
	const version = "HTTP/1."
	p = p[:min(len(p), len(version))]
	return string(p) == version[:len(p)] || strings.EqualFold(string(p), version[:len(p)])
}

const statusPrefix = "HTTP/1.1 200" // what is read of a status line

// startsResponse judges whether p begins with a status line. RFC 9112 4.
func startsResponse(p []byte) protocol.Verdict {
	if !startsVersion(p) {
		return protocol.No
	}
	if len(p) <= len(statusPrefix) {
		if bytes.IndexByte(p, '\n') >= 0 {
			return protocol.No
		}
		return protocol.Wait
	}
	if _, ok := statusLine(p); !ok {
		return protocol.No
	}
	return protocol.Yes
}

// statusLine reads the beginning of a status line, which is longer than
// statusPrefix.
func statusLine(p []byte) (s start, ok bool) {
	if !startsVersion(p) || !isDigit(p[7]) || p[8] != ' ' ||
		!isDigit(p[9]) || p[9] == '0' || !isDigit(p[10]) || !isDigit(p[11]) {
		return s, false
	}
	// RFC 9112 4: the space is required, the reason is not; some leave out both.
	if c := p[12]; c != ' ' && c != '\r' && c != '\n' {
		return s, false
	}
	s.minor = p[7]
	s.status = int(p[9]-'0')*100 + int(p[10]-'0')*10 + int(p[11]-'0')
	return s, true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isToken reports whether c may stand in a method or a field name. RFC 9110 5.6.2.
func isToken(c byte) bool { return c < 128 && tokens[c>>6]>>(c&63)&1 != 0 }

var tokens = func() (set [2]uint64) {
	const chars = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	for _, c := range []byte(chars) {
		set[c>>6] |= 1 << (c & 63)
	}
	return set
}()

// trimCR takes the carriage return off a line. RFC 9112 2.2: a recipient may
// take a line feed alone for the end of a line.
func trimCR(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}

// trimSpace takes optional whitespace off a field value, and the line ends that
// obs-fold left there.
func trimSpace(v []byte) []byte {
	for len(v) > 0 && isSpace(v[0]) {
		v = v[1:]
	}
	for len(v) > 0 && isSpace(v[len(v)-1]) {
		v = v[:len(v)-1]
	}
	return v
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

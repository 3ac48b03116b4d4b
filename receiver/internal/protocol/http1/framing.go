package http1

import (
	"bytes"

	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
)

// framing is what the fields of a head say of its body. RFC 9112 6.
type framing struct {
	length  int64
	sized   bool // Content-Length was there
	invalid bool // Content-Length makes no sense or says two things
	coded   bool // Transfer-Encoding was there
	chunked bool // and its last coding is chunked
	expects bool // Expect: 100-continue
}

// field takes any field of the head.
func (f *framing) field(name, value []byte) {
	switch len(name) {
	case len("expect"):
		if httpconv.Is(name, "expect") && httpconv.Is(value, "100-continue") {
			f.expects = true
		}
	case len("content-length"):
		if httpconv.Is(name, "content-length") {
			f.contentLength(value)
		}
	case len("transfer-encoding"):
		if httpconv.Is(name, "transfer-encoding") {
			f.coded = true
			if i := bytes.LastIndexByte(value, ','); i >= 0 {
				value = trimSpace(value[i+1:])
			}
			f.chunked = httpconv.Is(value, "chunked")
		}
	}
}

// contentLength takes a length, or a list of equal ones: RFC 9112 6.3, 5.
func (f *framing) contentLength(list []byte) {
	for more := true; more; {
		var v []byte
		v, list, more = bytes.Cut(list, []byte(","))
		v = trimSpace(v)
		var n int64
		for _, c := range v {
			if !isDigit(c) || n > maxBody/10 {
				f.invalid = true
				return
			}
			n = n*10 + int64(c-'0')
		}
		if len(v) == 0 || f.sized && n != f.length {
			f.invalid = true
			return
		}
		f.length, f.sized = n, true
	}
}

// body says how the body of a message ends.
type body uint8

const (
	none body = iota
	sized
	chunked
	tillClose // with the connection
	ambiguous // peers may read it in more than one way
)

// request says how the body of a request ends. RFC 9112 6.3.
func (f *framing) request(minor byte) body {
	switch {
	case f.coded && f.chunked && minor != '0':
		return chunked // 6.3, 3: Transfer-Encoding overrides Content-Length
	case f.coded: // 6.3, 4: the length cannot be told; 6.1 for HTTP/1.0
		return ambiguous
	case f.invalid: // 6.3, 5
		return ambiguous
	case f.sized && f.length > 0:
		return sized
	}
	return none // 6.3, 7
}

// response says how the body of a response ends that may have one.
func (f *framing) response(minor byte) body {
	switch {
	case f.coded && f.chunked && minor != '0':
		return chunked
	case f.coded:
		return tillClose // 6.3, 4
	case f.invalid:
		return ambiguous
	case !f.sized:
		return tillClose // 6.3, 8
	case f.length > 0:
		return sized
	}
	return none
}

// Package httpconv says an HTTP exchange of any version by the semantic
// conventions (OpenTelemetry 1.44, HTTP): which fields of a message matter,
// what they mean, and which attributes they become.
package httpconv

import (
	"bytes"
	"unsafe"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Bounds of what an exchange keeps of its messages. What is longer is cut or
// left out, and the exchange marked as truncated.
const (
	maxTarget  = 8 << 10  // RFC 9110 4.1: at least 8000 octets are to be supported
	maxValue   = 2 << 10  // of a header; user agents stay below 1 KiB
	maxHost    = 255 + 6  // RFC 1035 2.3.4, and a port
	maxMethod  = 32       // of a method we do not know; the longest registered has 17
	maxText    = 16 << 10 // of all together
	maxHeaders = 64       // values of listed headers
)

// A span is a piece of Exchange.text.
type span struct{ from, to uint32 }

func (s span) empty() bool { return s.from == s.to }

// A header is a value of a listed header.
type header struct {
	response bool
	name     int // place in the list of the options
	value    span
}

// An Exchange is a request and its response. HTTP/1 and HTTP/2 embed it and
// call its setters as they read; none of them keeps what it is given. Reset it
// before it is used for another exchange.
type Exchange struct {
	exchange.Core

	// Version is the value of network.protocol.version.
	Version string
	// Whole says that the head of the request was seen to its end, so that a
	// field that was not found is not there.
	Whole bool
	// Status is that of the final response, 0 before.
	Status int
	// Sizes of the bodies without their framing; -1 where unknown.
	RequestBody, ResponseBody int64

	options *Options
	method  method
	form    form

	text     []byte // what was kept of the messages
	original span   // the method, where we do not know it
	scheme   span   // of the target
	userinfo bool   // the target had some; it is not kept
	target   span   // authority that the target or :authority names
	path     span
	query    span // without '?'
	host     span
	agent    span

	forwarded                          span // RFC 7239, the first element
	forFirst, forwardedHost, protoSpan span // X-Forwarded-*
	headers                            []header
}

// Reset prepares x for a new exchange. It leaves Core alone.
func (x *Exchange) Reset(o *Options) {
	*x = Exchange{Core: x.Core, options: o, text: x.text[:0], headers: x.headers[:0], RequestBody: -1, ResponseBody: -1}
}

// Weight is how many bytes of memory x takes beside itself.
func (x *Exchange) Weight() int {
	return cap(x.text) + cap(x.headers)*int(unsafe.Sizeof(header{})) + cap(x.Trace.State)
}

// keep copies v; a longer one is cut.
func (x *Exchange) keep(v []byte, most int) span {
	if most = min(most, maxText-len(x.text)); len(v) > most {
		v = v[:most]
		x.Truncated = true
	}
	from := uint32(len(x.text))
	x.text = append(x.text, v...)
	return span{from, uint32(len(x.text))}
}

func (x *Exchange) bytes(s span) []byte { return x.text[s.from:s.to] }

// SetMethod takes the method of the request.
func (x *Exchange) SetMethod(m []byte) {
	x.method = known(m)
	if x.method == other {
		x.original = x.keep(m, maxMethod)
	}
}

// Head reports whether the answer has no body whatever its header says.
func (x *Exchange) Head() bool { return x.method == head }

// Connect reports whether a successful answer makes the connection a tunnel.
func (x *Exchange) Connect() bool { return x.method == connect }

// form is how a request names its target. RFC 9112 3.2.
type form uint8

const (
	unknown   form = iota // it was not seen whole
	origin                // /path?query
	absolute              // scheme://authority/path?query
	authority             // host:port, for CONNECT
	asterisk              // *, for OPTIONS
)

// SetTarget takes the request target of HTTP/1. Call SetMethod first.
func (x *Exchange) SetTarget(t []byte) {
	switch {
	case len(t) == 0:
	case t[0] == '/':
		x.form = origin
		x.SetPath(t)
	case x.method == connect:
		x.form = authority
		x.SetAuthority(t)
	case len(t) == 1 && t[0] == '*':
		x.form = asterisk
		x.path = x.keep(t, 1)
	default:
		scheme, rest, ok := bytes.Cut(t, []byte("://"))
		if !ok || !isScheme(scheme) {
			x.form = origin // not what a target may be, but what was sent
			x.SetPath(t)
			return
		}
		x.form = absolute
		x.SetScheme(scheme)
		i := bytes.IndexAny(rest, "/?")
		if i < 0 {
			x.SetAuthority(rest)
			x.SetPath(nil)
			return
		}
		x.SetAuthority(rest[:i])
		x.SetPath(rest[i:])
	}
}

// SetPath takes the path and query of the target, as HTTP/2 sends them.
func (x *Exchange) SetPath(p []byte) {
	if len(p) > maxTarget {
		p = p[:maxTarget]
		x.Truncated = true
	}
	path, query, _ := bytes.Cut(p, []byte("?"))
	if len(path) == 0 {
		path = []byte("/") // RFC 9110 4.2.3: the same, for http
	}
	x.path = x.keep(path, maxTarget)
	x.query = x.keep(query, maxTarget)
	if x.form == unknown {
		x.form = origin
	}
}

// SetCutTarget takes the beginning of a target whose end was not seen: its
// path is known if a query follows it.
func (x *Exchange) SetCutTarget(t []byte) {
	x.Truncated = true
	if i := bytes.IndexByte(t, '?'); i > 0 && t[0] == '/' {
		x.form = origin
		x.path = x.keep(t[:i], maxTarget)
	}
}

// SetScheme takes the scheme of the target, as HTTP/2 sends it.
func (x *Exchange) SetScheme(s []byte) {
	if isScheme(s) {
		x.scheme = x.keep(s, maxScheme)
	}
}

// SetAuthority takes the authority of the target. It outranks a Host field
// (RFC 9112 3.2.2).
func (x *Exchange) SetAuthority(a []byte) {
	if i := bytes.LastIndexByte(a, '@'); i >= 0 {
		x.userinfo = true
		a = a[i+1:]
	}
	if len(a) <= maxHost {
		x.target = x.keep(a, maxHost)
	}
}

// Judge sets ErrorType by the status. Call it when the response has ended.
func (x *Exchange) Judge() {
	least := 500
	if x.side() == stream.Client {
		least = 400
	}
	if x.Status >= least {
		x.ErrorType = statusText(x.Status)
	}
}

func (x *Exchange) side() stream.Side {
	if x.Endpoint == nil {
		return stream.Server
	}
	return x.Endpoint.Side
}

package httpconv

import (
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// SpanName implements exchange.Exchange. It never holds the path: a route is
// not visible in the bytes.
func (x *Exchange) SpanName(*exchange.Strings) string {
	if x.method == other {
		return "HTTP"
	}
	return methods[x.method]
}

// Attributes implements exchange.Exchange.
//
// network.peer.*, error.type and perisco.truncated are the same for every
// protocol and added by its caller.
func (x *Exchange) Attributes(m pcommon.Map, s *exchange.Strings) {
	a := x.told(s)

	if x.method != other || !x.original.empty() { // else it was not seen
		m.PutStr(string(semconv.HTTPRequestMethodKey), methods[x.method])
	}
	if x.method == other {
		a.put(m, string(semconv.HTTPRequestMethodOriginalKey), a.get(x.original))
	}
	if x.side() == stream.Client {
		a.client(m)
	} else {
		a.server(m)
	}
	if x.Version != "" {
		m.PutStr(string(semconv.NetworkProtocolVersionKey), x.Version)
	}
	if x.Status != 0 {
		m.PutInt(string(semconv.HTTPResponseStatusCodeKey), int64(x.Status))
	}
	if x.options != nil {
		a.optional(m)
	}
}

// Size implements exchange.Exchange.
func (x *Exchange) Size() int {
	const value = 64 // what a value of a list takes beside its text
	n := len(x.text) + len(x.headers)*value
	if x.side() == stream.Client { // url.full says most of it again
		n += len(x.text)
	}
	return n
}

// attributes is an exchange whose text became a string.
type attributes struct {
	x       *Exchange
	strings *exchange.Strings
	text    string
	valid   bool // in UTF-8, as OTLP wants it
}

// told makes the one copy: most values are a piece of it.
func (x *Exchange) told(s *exchange.Strings) attributes {
	return attributes{x: x, strings: s, text: s.Of(x.text), valid: utf8.Valid(x.text)}
}

// peer is the address of the other end.
func (a *attributes) peer() string { return a.strings.Address(a.x.Endpoint.Peer) }

func (a *attributes) get(s span) string {
	v := a.text[s.from:s.to]
	if !a.valid || a.splits(s.from) || a.splits(s.to) {
		v = strings.ToValidUTF8(v, string(utf8.RuneError))
	}
	return v
}

// splits reports whether what was kept before at and what was kept behind it
// make a character together.
func (a *attributes) splits(at uint32) bool {
	return int(at) < len(a.text) && !utf8.RuneStart(a.text[at])
}

// put adds a value unless it is empty.
func (a *attributes) put(m pcommon.Map, key, value string) {
	if value != "" {
		m.PutStr(key, value)
	}
}

// server adds what the conventions want of the side that accepted. What a
// proxy said of the original request comes before what this one says, so that
// the latter is certain only in a head that was seen whole.
func (a *attributes) server(m pcommon.Map) {
	x := a.x
	a.put(m, string(semconv.URLPathKey), redactPath(a.get(x.path)))
	a.put(m, string(semconv.URLQueryKey), redactQuery(a.get(x.query)))

	var forwarded string
	if !x.forwarded.empty() {
		forwarded = a.get(x.forwarded)
	}
	scheme := strings.ToLower(parameter(forwarded, "proto"))
	if !isScheme([]byte(scheme)) {
		scheme = strings.ToLower(a.get(x.protoSpan))
	}
	if scheme == "" && x.Whole {
		scheme = a.scheme()
	}
	a.put(m, string(semconv.URLSchemeKey), scheme)

	host, port := split(parameter(forwarded, "host"))
	if host == "" {
		host, port = split(a.get(x.forwardedHost))
	}
	if host == "" && x.Whole {
		host, port = split(a.authority())
	}
	a.address(m, host, port, scheme)

	client := node(parameter(forwarded, "for"))
	if client == "" {
		client = node(a.get(x.forFirst))
	}
	if ep := x.Endpoint; client == "" && x.Whole && ep != nil && ep.Peer.IsValid() {
		client = a.peer()
	}
	a.put(m, string(semconv.ClientAddressKey), client)
	a.put(m, string(semconv.UserAgentOriginalKey), a.get(x.agent))
}

// client adds what the conventions want of the side that connected. The server
// is the one that the request names, not the other end of the socket.
func (a *attributes) client(m pcommon.Map) {
	x := a.x
	authority := a.authority()
	scheme := a.scheme()
	host, port := split(authority)
	if ep := x.Endpoint; host == "" && x.Whole && ep != nil && ep.Peer.IsValid() {
		authority = ep.Peer.String()
		host, port = a.peer(), int64(ep.Peer.Port())
	}
	a.address(m, host, port, scheme)
	if host != "" && scheme != "" && (x.form == origin || x.form == absolute || x.form == asterisk) {
		m.PutStr(string(semconv.URLFullKey), a.url(scheme, authority))
	}
	if o := x.options; o != nil && o.ClientUserAgent {
		a.put(m, string(semconv.UserAgentOriginalKey), a.get(x.agent))
	}
}

// scheme is that of the target; where it has none, who could read the bytes saw
// http. In HTTP/2 it always has one (RFC 9113 8.3.1), if not one that was seen.
func (a *attributes) scheme() string {
	if s := a.x.scheme; !s.empty() {
		return strings.ToLower(a.get(s))
	}
	if a.x.Version == "2" {
		return ""
	}
	return "http"
}

// authority is that of the target, which outranks Host. RFC 9112 3.2.2.
func (a *attributes) authority() string {
	v := a.get(a.x.target)
	if v == "" {
		v = a.get(a.x.host)
	}
	for i := range len(v) {
		if foreign[v[i]] {
			return "" // RFC 3986 3.2.2: not a host
		}
	}
	return v
}

// foreign are characters that stand in no host. strings.ContainsAny would make
// such a set each time.
var foreign = [256]bool{' ': true, '\t': true, ',': true, '/': true, '?': true, '#': true, '\\': true, '"': true, '<': true, '>': true}

func (a *attributes) address(m pcommon.Map, host string, port int64, scheme string) {
	if host == "" {
		return
	}
	m.PutStr(string(semconv.ServerAddressKey), host)
	if port == 0 {
		port = defaultPort(scheme)
	}
	if port != 0 {
		m.PutInt(string(semconv.ServerPortKey), port)
	}
}

// url returns the value of url.full.
func (a *attributes) url(scheme, authority string) string {
	x := a.x
	query := redactQuery(a.get(x.query))
	path := redactPath(a.get(x.path))
	if x.form == asterisk {
		path = "" // RFC 9110 7.1: the target is the server, not a resource of it
	}
	var b strings.Builder
	b.Grow(len(scheme) + len("://") + len(authority) + len(path) + len("?") + len(query))
	b.WriteString(scheme)
	b.WriteString("://")
	if x.userinfo {
		b.WriteString(redacted + ":" + redacted + "@")
	}
	b.WriteString(authority)
	if path != "" && path[0] != '/' {
		b.WriteByte('/')
	}
	b.WriteString(path)
	if query != "" {
		b.WriteByte('?')
		b.WriteString(query)
	}
	return b.String()
}

// optional adds what the user asked for.
func (a *attributes) optional(m pcommon.Map) {
	x := a.x
	if x.options.BodySize {
		if x.RequestBody >= 0 {
			m.PutInt(string(semconv.HTTPRequestBodySizeKey), x.RequestBody)
		}
		if x.ResponseBody >= 0 {
			m.PutInt(string(semconv.HTTPResponseBodySizeKey), x.ResponseBody)
		}
	}
	for _, h := range x.headers {
		key, list := "http.request.header.", x.options.RequestHeaders
		if h.response {
			key, list = "http.response.header.", x.options.ResponseHeaders
		}
		key += list[h.name]
		v, ok := m.Get(key)
		if !ok {
			v = m.PutEmpty(key)
			v.SetEmptySlice()
		}
		v.Slice().AppendEmpty().SetStr(a.get(h.value))
	}
}

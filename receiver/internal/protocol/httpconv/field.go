package httpconv

import "bytes"

// Is reports whether a field name is lower, which must be in lower case. Field
// names are case-insensitive (RFC 9110 5.1).
func Is(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i, c := range name {
		if c != lower[i] && (c|0x20 != lower[i] || c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// Initials is a set of the letters that names of fields begin with: the
// cheapest way to pass over those that nobody wants.
type Initials uint32

// Add adds the initial of a name in lower case.
func (s *Initials) Add(name string) {
	switch {
	case name == "":
	case name[0] >= 'a' && name[0] <= 'z':
		*s |= 1 << (name[0] - 'a')
	default:
		*s |= others
	}
}

// others stands for all that are not letters.
const others = 1 << 31

// Has reports whether the name that line begins with can be one of s.
func (s Initials) Has(line []byte) bool {
	if i := line[0] | 0x20 - 'a'; i < 26 {
		return s>>i&1 != 0
	}
	return s&others != 0
}

// Initials returns those of the fields that RequestField and ResponseField
// look at.
func (o *Options) Initials() (request, response Initials) {
	for _, name := range []string{
		"host", "forwarded", "user-agent", "tracestate", "traceparent",
		"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
	} {
		request.Add(name)
	}
	for _, name := range o.RequestHeaders {
		request.Add(name)
	}
	for _, name := range o.ResponseHeaders {
		response.Add(name)
	}
	return request, response
}

// RequestField takes a field of the request. The value has no space around it.
func (x *Exchange) RequestField(name, value []byte) {
	switch len(name) {
	case len("host"):
		// RFC 9112 3.2: a request with two is invalid; the first stands.
		if x.host.empty() && Is(name, "host") {
			if i := bytes.LastIndexByte(value, '@'); i >= 0 {
				value = value[i+1:] // not allowed there, but a secret if it is
			}
			if len(value) <= maxHost {
				x.host = x.keep(value, maxHost)
			}
		}
	case len("forwarded"):
		if x.forwarded.empty() && Is(name, "forwarded") {
			x.forwarded = x.keep(first(value), maxValue)
		}
	case len("user-agent"): // and tracestate
		switch {
		case Is(name, "user-agent"):
			if x.agent.empty() {
				x.agent = x.keep(value, maxValue)
			}
		case Is(name, "tracestate"):
			x.Trace.AddState(value)
		}
	case len("traceparent"):
		if Is(name, "traceparent") {
			x.Trace.SetParent(value)
		}
	case len("x-forwarded-for"):
		if x.forFirst.empty() && Is(name, "x-forwarded-for") {
			x.forFirst = x.keep(first(value), maxHost)
		}
	case len("x-forwarded-host"):
		if x.forwardedHost.empty() && Is(name, "x-forwarded-host") {
			x.forwardedHost = x.keep(first(value), maxHost)
		}
	case len("x-forwarded-proto"):
		if x.protoSpan.empty() && Is(name, "x-forwarded-proto") {
			if p := first(value); isScheme(p) {
				x.protoSpan = x.keep(p, maxScheme)
			}
		}
	}
	if x.options != nil && len(x.options.RequestHeaders) > 0 {
		x.list(wanted(x.options.RequestHeaders, name), false, value)
	}
}

// ResponseField takes a field of the final response.
func (x *Exchange) ResponseField(name, value []byte) {
	if x.options != nil && len(x.options.ResponseHeaders) > 0 {
		x.list(wanted(x.options.ResponseHeaders, name), true, value)
	}
}

// list keeps a value of a header that the user listed.
func (x *Exchange) list(i int, response bool, value []byte) {
	switch {
	case i < 0:
	case len(x.headers) == maxHeaders:
		x.Truncated = true
	default:
		x.headers = append(x.headers, header{response, i, x.keep(value, maxValue)})
	}
}

// first returns the first element of a list.
func first(v []byte) []byte {
	if i := bytes.IndexByte(v, ','); i >= 0 {
		v = v[:i]
	}
	return bytes.TrimSpace(v)
}

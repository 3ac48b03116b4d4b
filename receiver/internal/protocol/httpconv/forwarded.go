package httpconv

import "strings"

const maxScheme = 16 // the longest registered that is in use is shorter

// isScheme reports whether s can be the scheme of a URI. RFC 3986 3.1.
func isScheme(s []byte) bool {
	if len(s) == 0 || len(s) > maxScheme || s[0]|0x20 < 'a' || s[0]|0x20 > 'z' {
		return false
	}
	for _, c := range s {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '+' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// parameter returns a parameter of an element of a Forwarded field, without
// its quotes. RFC 7239 4.
func parameter(element, name string) string {
	for element != "" {
		var pair string
		pair, element, _ = strings.Cut(element, ";")
		k, v, ok := strings.Cut(pair, "=")
		if ok && strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	return ""
}

// node returns the address of a node without brackets and port, or nothing if
// it is hidden. RFC 7239 6.
func node(n string) string {
	if n == "" || n[0] == '_' || strings.EqualFold(n, "unknown") {
		return ""
	}
	if strings.Count(n, ":") > 1 && n[0] != '[' {
		return n // an IPv6 address, as X-Forwarded-For has it
	}
	host, _ := split(n)
	return host
}

// split divides an authority into its host, without brackets, and its port, 0
// if there is none.
func split(authority string) (host string, port int64) {
	host = authority
	i := strings.LastIndexByte(authority, ':')
	if i >= 0 && i > strings.LastIndexByte(authority, ']') {
		host = authority[:i]
		for _, c := range []byte(authority[i+1:]) {
			if c < '0' || c > '9' || port > 1<<16 {
				port = 0
				break
			}
			port = port*10 + int64(c-'0')
		}
		if port > 1<<16-1 {
			port = 0
		}
	}
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	return host, port
}

// defaultPort returns the port that a scheme means. RFC 9110 4.2.
func defaultPort(scheme string) int64 {
	switch scheme {
	case "http", "ws":
		return 80
	case "https", "wss":
		return 443
	}
	return 0
}

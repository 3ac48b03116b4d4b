package oracle

import (
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/perisco-io/perisco/receiver/internal/protocol/http1"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
)

var httpOracle = oracle{
	folder: "zeek/http",
	protocol: http1.New(httpconv.Options{
		RequestHeaders: []string{"host", "content-encoding"}, ResponseHeaders: []string{"content-encoding"}, BodySize: true,
	}),
	columns: []string{"method", "host", "uri", "status_code", "request_body_len", "response_body_len"},
	// That a request's body was lost cannot be told from an answer that did not
	// wait for it, unless more of the client's bytes follow.
	unmarked: []string{"http.request.body.size"},
	judged:   judgedHTTP,
	told:     toldHTTP,
	differences: map[string][]difference{
		"methods": methodDifferences,
	},
}

var (
	port    = regexp.MustCompile(`:[0-9]*$`)
	escape  = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	special = regexp.MustCompile(`[^!-~]|\\`)
)

// judgedHTTP brings a row of Zeek's into our words.
func judgedHTTP(r row) bool {
	// HTTP/0.9 is not recognised: one line of text and then anything could be
	// any protocol. Without a method, it is an answer to what was no request.
	if r["version"] == "0.9" || r["method"] == "" {
		return false
	}
	// Versions of Zeek differ in whether they keep the port.
	r["host"] = port.ReplaceAllString(r["host"], "")
	// The absolute form of a target: its authority is compared with host.
	if _, rest, ok := strings.Cut(r["uri"], "://"); ok && r["uri"][0] != '/' {
		_, path, _ := strings.Cut(rest, "/")
		r["uri"] = "/" + path
	}
	return true
}

// toldHTTP brings an exchange into the words of Zeek.
func toldHTTP(x *record) row {
	a := x.attributes
	r := row{
		"method": a["http.request.method"], "uri": a["url.path"], "status_code": a["http.response.status_code"],
		"request_body_len": a["http.request.body.size"], "response_body_len": a["http.response.body.size"],
	}
	if r["method"] == "_OTHER" {
		r["method"] = a["http.request.method_original"]
	}
	// server.address may be what a proxy forwarded; Zeek notes Host.
	var hosts []string
	if json.Unmarshal([]byte(a["http.request.header.host"]), &hosts) == nil && len(hosts) > 0 {
		r["host"] = port.ReplaceAllString(hosts[len(hosts)-1], "")
	}
	if q := a["url.query"]; q != "" {
		r["uri"] += "?" + q
	}
	if r["method"] == "CONNECT" && r["uri"] == "" {
		r["uri"] = a["server.address"] + ":" + a["server.port"]
	}
	r["uri"] = escape.ReplaceAllStringFunc(r["uri"], func(e string) string { // Zeek decodes the target
		b, _ := hex.DecodeString(e[1:]) // they are hexadecimal digits
		return string(b)
	})
	if strings.Contains(r["uri"], "REDACTED") || special.MatchString(r["uri"]) {
		r["uri"] = anything // secrets are left out here, and unusual characters written differently
	}
	if r["status_code"] == "" || r["status_code"] == "101" || r["method"] == "CONNECT" && r["status_code"][0] == '2' {
		r["response_body_len"] = "0" // what follows, if anything, is no body, and of no size here
	}
	// Zeek counts what it decompressed, here it is what was sent.
	if a["http.request.header.content-encoding"] != "" {
		r["request_body_len"] = anything
	}
	if a["http.response.header.content-encoding"] != "" {
		r["response_body_len"] = anything
	}
	// Zeek counts what it saw of a body that has no end, here it has no size.
	for _, c := range []string{"request_body_len", "response_body_len"} {
		if r[c] == "" {
			r[c] = anything
		}
	}
	if x.gaps {
		// Zeek counts the bytes that it saw, here it is those that were sent.
		r["request_body_len"], r["response_body_len"] = anything, anything
	}
	return r
}

// The capture sends each method in ways that no client does, to see what a
// server makes of them.
var methodDifferences = []difference{
	{log: "OPTIONS www.google.com  400 0 925", why: "RFC 9112 3: a request line has three parts, this one two"},
	{log: "GET www.google.com / 200 0 43983", why: noVersion},
	{log: "CCM_POST www.google.com / 405 0 963", why: noVersion},
	{log: "CONNECT www.google.com / 400 0 925", why: noVersion},
	{log: "TRACE www.google.com / 405 0 960", why: noVersion},
	{log: "DELETE www.google.com / 405 0 961", why: noVersion},
	{log: "PUT www.google.com / 411 0 934", why: noVersion},
	{log: "POST www.google.com / 411 0 934", why: noVersion},
	{log: "HEAD www.google.com / 200 0 0", why: noVersion},
}

const noVersion = `RFC 9112 2.3: "HTTP/1." is no version; the log has the same request with one, too`

package httpconv

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Whatever a peer writes into its fields, what is said of them is text, bounded,
// and has no more attributes than there are names for.
func FuzzFields(f *testing.F) {
	for _, fields := range []string{
		"host: books.example:8080\nuser-agent: curl/8\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"forwarded: for=\"[2001:db8::1]:80\";proto=https;host=h, for=x\nx-forwarded-for: ,\nx-forwarded-proto: HTTPS",
		"x-forwarded-host: [::]:99999999999\nhost: a:b@[\ntracestate: a=b\nx-listed: \xff\x00",
	} {
		f.Add("GET", "/books;sid=1?token=2", fields, uint16(200))
		f.Add("CONNECT", "h:443", fields, uint16(0))
		f.Add("BREW", "http://user:pw@h?x#y", fields, uint16(999))
	}
	o := Options{RequestHeaders: []string{"x-listed", "host"}, ResponseHeaders: []string{"x-listed"}, BodySize: true, ClientUserAgent: true}
	f.Fuzz(func(t *testing.T, method, target, fields string, status uint16) {
		for side := stream.Client; side <= stream.Server; side++ {
			x := Exchange{Core: exchange.Core{Endpoint: &exchange.Endpoint{Side: side, Peer: exchange.AddressOf(netip.MustParseAddrPort("192.0.2.1:50000"))}}}
			x.Reset(&o)
			x.SetMethod([]byte(method))
			x.SetTarget([]byte(target))
			for field := range strings.SplitSeq(fields, "\n") {
				name, value, _ := strings.Cut(field, ":")
				x.RequestField([]byte(name), bytes.TrimSpace([]byte(value)))
				x.ResponseField([]byte(name), bytes.TrimSpace([]byte(value)))
			}
			x.Whole, x.Status = true, int(status)
			x.Judge()
			if len(x.text) > maxText || len(x.headers) > maxHeaders {
				t.Errorf("%d bytes and %d headers are kept", len(x.text), len(x.headers))
			}
			m := pcommon.NewMap()
			x.Attributes(m, new(exchange.Strings))
			const most = 12 // without listed headers
			if most := most + len(o.RequestHeaders) + len(o.ResponseHeaders) + 2; m.Len() > most {
				t.Errorf("%d attributes, want at most %d", m.Len(), most)
			}
			for k, v := range m.All() {
				if !utf8.ValidString(v.AsString()) {
					t.Errorf("%s = %q", k, v.AsString())
				}
			}
			if s := x.Summary(nil); bytes.ContainsFunc(s, unicode.IsControl) || len(s) > 1<<10 {
				t.Errorf("summary %q", s)
			}
		}
	})
}

// A secret under any spelling of its name stays one, whatever stands around it.
func FuzzRedaction(f *testing.F) {
	f.Add("page=2&", "access_token", "&x")
	f.Add("%&=&;", "%73ig", "")
	f.Add("/;a", "JSESSIONID", "/b;c=d")
	f.Fuzz(func(t *testing.T, before, key, after string) {
		const value = "0nly~for~me"
		if strings.Contains(before+key+after, value) {
			return
		}
		if !strings.ContainsAny(key, "&=") && secret(key) {
			if got := redactQuery(before + "&" + key + "=" + value + "&" + after); strings.Contains(got, value) {
				t.Errorf("query %q", got)
			}
		}
		if !strings.ContainsAny(key, ";/=") && secret(key) {
			if got := redactPath(before + ";" + key + "=" + value + "/" + after); strings.Contains(got, value) {
				t.Errorf("path %q", got)
			}
		}
		for _, text := range []string{before, key, after} { // what is redacted has nothing more to hide
			for _, redact := range []func(string) string{redactQuery, redactPath} {
				if once := redact(text); redact(once) != once {
					t.Errorf("%q became %q, and then %q", text, once, redact(once))
				}
			}
		}
	})
}

func FuzzForwarded(f *testing.F) {
	f.Add(`for="[2001:db8::1]:80";proto=https;host=h`)
	f.Add(`for=_hidden;For=192.0.2.1:65536;=;"`)
	f.Fuzz(func(t *testing.T, element string) {
		for _, name := range []string{"for", "host", "proto"} {
			v := parameter(element, name)
			if !strings.Contains(element, v) {
				t.Errorf("%s %q is not in %q", name, v, element)
			}
			host, port := split(v)
			if !strings.Contains(v, host) || port < 0 || port > 1<<16-1 {
				t.Errorf("%q: host %q, port %d", v, host, port)
			}
			if n := node(v); !strings.Contains(v, n) {
				t.Errorf("%q: node %q", v, n)
			}
		}
	})
}

package httpconv

import (
	"net/netip"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

func TestQueriesAreRedacted(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"page=2", "page=2"},
		{"sig=abc", "sig=REDACTED"},
		{"a=1&sig=abc&b=2", "a=1&sig=REDACTED&b=2"},
		{"sig=&X-Amz-Signature=x&sig=y", "sig=REDACTED&X-Amz-Signature=REDACTED&sig=REDACTED"},
		{"X-Amz-Credential=a/b&X-Amz-Security-Token=c&AWSAccessKeyId=d&Signature=e&X-Goog-Signature=f",
			"X-Amz-Credential=REDACTED&X-Amz-Security-Token=REDACTED&AWSAccessKeyId=REDACTED&Signature=REDACTED&X-Goog-Signature=REDACTED"},
		{"SIG=kept&design=kept&sig", "SIG=kept&design=kept&sig"},
		{"signature=a&access_token=b&Api-Key=c&user.Password=d", "signature=REDACTED&access_token=REDACTED&Api-Key=REDACTED&user.Password=REDACTED"},
		{"key=a&code=b&sid=c&pin=d", "key=REDACTED&code=REDACTED&sid=REDACTED&pin=REDACTED"},
		{"monkey=kept&barcode=kept&side=kept&spin=kept&tokens=kept", "monkey=kept&barcode=kept&side=kept&spin=kept&tokens=kept"},
		{strings.Repeat("long_", 30) + "token=a", strings.Repeat("long_", 30) + "token=REDACTED"},
		{"%73ig=abc&s%zzig=kept", "%73ig=REDACTED&s%zzig=kept"},
	} {
		if got := redactQuery(c.in); got != c.want {
			t.Errorf("%q became %q, want %q", c.in, got, c.want)
		}
	}
}

func TestPathsAreRedacted(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"/books/7", "/books/7"},
		{"/shop;jsessionid=1A2B", "/shop;jsessionid=REDACTED"},
		{"/shop;v=1;JSESSIONID=1A2B;w=2/books;token=x/7", "/shop;v=1;JSESSIONID=REDACTED;w=2/books;token=REDACTED/7"},
		{"/;;a;=b;", "/;;a;=b;"},
	} {
		if got := redactPath(c.in); got != c.want {
			t.Errorf("%q became %q, want %q", c.in, got, c.want)
		}
	}
}

func TestWhoTheServerIs(t *testing.T) {
	type fields = [][2]string
	for _, c := range []struct {
		name, target string
		fields       fields
		want         map[string]any
	}{
		{"Host", "/", fields{{"Host", "books.example:8080"}},
			map[string]any{"server.address": "books.example", "server.port": int64(8080), "url.scheme": "http", "client.address": "192.0.2.1"}},
		{"the port that the scheme means", "/", fields{{"Host", "books.example"}, {"X-Forwarded-Proto", "HTTPS, http"}},
			map[string]any{"server.address": "books.example", "server.port": int64(443), "url.scheme": "https"}},
		{"an address of IPv6", "/", fields{{"Host", "[2001:db8::1]:81"}},
			map[string]any{"server.address": "2001:db8::1", "server.port": int64(81)}},
		{"the target outranks Host", "http://inner.example/x", fields{{"Host", "books.example"}},
			map[string]any{"server.address": "inner.example", "server.port": int64(80), "url.path": "/x"}},
		{"what the proxy said outranks both", "/", fields{{"Host", "inner"}, {"X-Forwarded-Host", "books.example:444, other"}, {"X-Forwarded-For", "203.0.113.7:99, 10.0.0.1"}},
			map[string]any{"server.address": "books.example", "server.port": int64(444), "client.address": "203.0.113.7"}},
		{"Forwarded outranks the rest", "/", fields{{"X-Forwarded-Host", "other"}, {"X-Forwarded-For", "10.0.0.9"}, {"X-Forwarded-Proto", "ftp"},
			{"Forwarded", `For="[2001:db8::17]:4711" ; proto=https;host="books.example", for=10.0.0.1`}},
			map[string]any{"server.address": "books.example", "server.port": int64(443), "client.address": "2001:db8::17", "url.scheme": "https"}},
		{"a hidden node is no address", "/", fields{{"Forwarded", "for=_secret"}, {"X-Forwarded-For", "unknown"}},
			map[string]any{"client.address": "192.0.2.1"}},
		{"an address of IPv6 without brackets", "/", fields{{"X-Forwarded-For", "2001:db8::17"}},
			map[string]any{"client.address": "2001:db8::17"}},
		{"no Host", "/", nil, map[string]any{"server.address": nil, "server.port": nil}},
		{"a Host that is none", "/", fields{{"Host", "a, b"}}, map[string]any{"server.address": nil}},
		{"an absurd port", "/", fields{{"Host", "books.example:99999999999"}}, map[string]any{"server.address": "books.example", "server.port": int64(80)}},
		{"a scheme that is none", "/", fields{{"X-Forwarded-Proto", "<b>"}}, map[string]any{"url.scheme": "http"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := Exchange{Core: exchange.Core{Endpoint: &exchange.Endpoint{Side: stream.Server, Peer: exchange.AddressOf(netip.MustParseAddrPort("192.0.2.1:5555"))}}}
			x.Reset(nil)
			x.SetMethod([]byte("GET"))
			x.SetTarget([]byte(c.target))
			for _, f := range c.fields {
				x.RequestField([]byte(f[0]), []byte(f[1]))
			}
			x.Whole = true
			m := pcommon.NewMap()
			x.Attributes(m, new(exchange.Strings))
			got := m.AsRaw()
			for k, want := range c.want {
				if got[k] != want {
					t.Errorf("%s = %v, want %v", k, got[k], want)
				}
			}
		})
	}
}

func TestTheURLOfAClient(t *testing.T) {
	for _, c := range []struct{ method, target, host, want string }{
		{"GET", "/books?page=2", "books.example:8080", "http://books.example:8080/books?page=2"},
		{"GET", "http://me:pass@books.example/books", "other", "http://REDACTED:REDACTED@books.example/books"},
		{"GET", "HTTPS://books.example?sig=1", "", "https://books.example/?sig=REDACTED"},
		{"OPTIONS", "*", "books.example", "http://books.example"},
		{"CONNECT", "books.example:443", "books.example:443", ""},
		{"GET", "/", "", "http://198.51.100.2:81/"},
	} {
		x := Exchange{Core: exchange.Core{Endpoint: &exchange.Endpoint{Side: stream.Client, Peer: exchange.AddressOf(netip.MustParseAddrPort("198.51.100.2:81"))}}}
		x.Reset(nil)
		x.SetMethod([]byte(c.method))
		x.SetTarget([]byte(c.target))
		x.RequestField([]byte("host"), []byte(c.host))
		x.Whole = true
		m := pcommon.NewMap()
		x.Attributes(m, new(exchange.Strings))
		if got, _ := m.AsRaw()["url.full"].(string); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.method, c.target, got, c.want)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, c := range []struct {
		name  string
		valid bool
	}{
		{"x-request-id", true}, {"X-Request-ID", false}, {"", false}, {"a b", false},
		{"authorization", false}, {"cookie", false}, {"set-cookie", false}, {"proxy-authorization", false},
	} {
		o := Options{ResponseHeaders: []string{c.name}}
		if err := o.Check(); (err == nil) != c.valid {
			t.Errorf("%q: %v", c.name, err)
		}
	}
}

func TestStatusesThatFail(t *testing.T) {
	for _, c := range []struct {
		status         int
		client, server string
	}{
		{200, "", ""}, {304, "", ""}, {404, "404", ""}, {500, "500", "500"}, {599, "599", "599"}, {999, "999", "999"},
	} {
		for side, want := range map[stream.Side]string{stream.Client: c.client, stream.Server: c.server} {
			x := Exchange{Core: exchange.Core{Endpoint: &exchange.Endpoint{Side: side}}, Status: c.status}
			if x.Judge(); x.ErrorType != want {
				t.Errorf("%d at the %s: %q, want %q", c.status, side, x.ErrorType, want)
			}
		}
	}
}

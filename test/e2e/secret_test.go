package e2e

import (
	"os"
	"strings"
	"testing"
)

// TestNoSecretLeaves puts a secret in every place where there may be one, and
// looks for it in everything that the collector writes and serves by default.
func TestNoSecretLeaves(t *testing.T) {
	var v vault
	db, gate := startMariaDB(t), openGate(t)
	collector := startCollector(t, setup{LogLevel: "debug"})
	site := startGo(t, "127.0.0.1", freePort(t))
	shop, shopper := startGoShop(t), startGoShopper(t)

	requests := 0
	for _, version := range []string{"--http1.1", "--http2-prior-knowledge"} {
		in := func(what string) string { return v.secret(strings.TrimLeft(version, "-") + "-" + what) }
		args := []string{version, "--user", "me:" + in("password"), "--cookie", "session=" + in("cookie"), "--data", "password=" + in("body")}
		for _, name := range []string{"Proxy-Authorization", "X-Api-Key", "X-Auth-Token", "X-Amz-Security-Token", "X-Anything", "Referer"} {
			args = append(args, "--header", name+": "+in(name))
		}
		var query []string
		for _, key := range []string{
			"access_token", "refresh_token", "id_token", "token", "password", "passwd", "pwd", "client_secret", "api_key", "apikey", "key",
			"code", "X-Amz-Signature", "sig", "Signature", "session", "sid", "jwt", "SAMLResponse", "auth",
		} {
			query = append(query, key+"="+in(key))
		}
		curl(t, append(args, site.url()+"/answer/200/10/;jsessionid="+in("jsessionid")+"?"+strings.Join(query, "&"))...)
		requests++
	}
	shopper.run(t, list{Address: shop.address(), Hands: 1, Errands: []errand{{Method: "shop.Cart/Add", Metadata: map[string]string{
		"authorization": "Bearer " + v.secret("gRPC-bearer"), "x-api-key": v.secret("gRPC-key"), "x-anything": v.secret("gRPC-metadata"),
	}}}})
	commands := confide(t, db, &v)
	gate.enter(t, v.secret("clear-text-password"), v.secret("connection-attribute"))
	collector.settle(t)
	served := map[string]string{"the metrics": "http://" + collector.metrics + "/metrics", "the health check": "http://" + collector.health}
	for what, url := range served {
		page, err := get(url)
		if err != nil {
			t.Error(err)
		}
		v.search(t, what, page)
	}
	collector.end(t)

	if n := len(collector.served(site.port)); n != requests {
		t.Errorf("%d requests were seen, want %d", n, requests)
	}
	if n := len(collector.served(shop.port)); n != 1 {
		t.Errorf("%d calls were seen, want 1", n)
	}
	if n := len(collector.served(db.port)); n < commands {
		t.Errorf("%d commands were seen, want %d or more", n, commands)
	}
	if n := len(collector.served(gate.port)); n != 1 {
		t.Errorf("%d refused connections were seen, want 1", n)
	}
	for what, path := range map[string]string{
		"the spans": collector.traces.path, "the log records": collector.logs.path, "what the collector wrote": collector.output,
	} {
		written, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		v.search(t, what, string(written))
	}
}

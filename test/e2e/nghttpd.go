package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// startNghttpd starts the server of nghttp2. It has /page, of some bytes, and
// /style, which is empty.
func startNghttpd(t testing.TB, page int, args ...string) *site {
	t.Helper()
	dir := tempDir(t)
	writeFile(t, filepath.Join(dir, "page"), make([]byte, page))
	writeFile(t, filepath.Join(dir, "style"), nil)
	s := site{host: "127.0.0.1", port: freePort(t), service: "nghttpd"}
	args = append(args, "--no-tls", "--address", s.host, "--htdocs", dir, strconv.Itoa(s.port))
	return startSite(t, s, exec.Command(program(t, "nghttpd"), args...))
}

// pagesOf returns n different URIs of an nghttpd, of which every third is not
// there.
func pagesOf(name string, n int) (uris []string, want []exchange) {
	for i := range n {
		status, path := 200, [...]string{"page", "style", "nothing"}[i%3]
		if path == "nothing" {
			status = 404
		}
		uri := fmt.Sprintf("/%s?%s=%d", path, name, i)
		uris = append(uris, uri)
		want = append(want, exchange{"GET", uri, status})
	}
	return uris, want
}

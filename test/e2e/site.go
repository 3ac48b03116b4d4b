package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// A site is a server of HTTP that the test has started.
type site struct {
	*process
	host    string // address it listens on
	port    int
	service string // what service.name it must be given
}

func (s *site) address() string { return net.JoinHostPort(s.host, strconv.Itoa(s.port)) }
func (s *site) url() string     { return "http://" + s.address() }

func startSite(t testing.TB, s site, cmd *exec.Cmd) *site {
	t.Helper()
	s.process = start(t, cmd)
	s.awaitListening(t, s.address())
	return &s
}

// The sites below answer what their URI asks for:
//
//	/answer/<status>/<bytes>/…   with a body of known length
//	/answer/<status>/chunked/…   with one of three chunks

// startGo starts a server of net/http in a process of its own. It has /hints,
// too, with an answer before the answer, /trailers, /chunks/<count> with many, /abort
// that breaks off, and /silence, where nothing comes until the client gives up.
func startGo(t testing.TB, host string, port int, args ...string) *site {
	t.Helper()
	s := site{host: host, port: port, service: filepath.Base(os.Args[0])}
	return startSite(t, s, self(t, "server", append([]string{s.address()}, args...)...))
}

// startNode starts a server of Node's http module.
func startNode(t testing.TB) *site {
	t.Helper()
	s := site{host: "127.0.0.1", port: freePort(t), service: "bookshop"}
	return startSite(t, s, exec.Command(program(t, "node"), "testdata/bookshop.js", strconv.Itoa(s.port)))
}

// startPython starts a server of Python's http.server that keeps connections.
func startPython(t testing.TB) *site {
	t.Helper()
	s := site{host: "127.0.0.1", port: freePort(t), service: "library"}
	return startSite(t, s, exec.Command(program(t, "python3"), "testdata/library.py", strconv.Itoa(s.port)))
}

// startPythonFiles starts the file server of the standard library, which
// speaks HTTP/1.0. It has /page with 4 KiB and answers GET and HEAD.
func startPythonFiles(t testing.TB) *site {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "page"), make([]byte, 4<<10))
	s := site{host: "127.0.0.1", port: freePort(t), service: "http.server"}
	return startSite(t, s, exec.Command(program(t, "python3"),
		"-m", "http.server", "--bind", s.host, "--directory", dir, strconv.Itoa(s.port)))
}

// answers returns n different requests of all sorts to one of those sites.
func answers(n int) []request {
	sorts := []struct {
		method, path string
		body         int
	}{
		{"GET", "/answer/200/0", 0},
		{"GET", "/answer/200/700", 0},
		{"HEAD", "/answer/200/700", 0},
		{"POST", "/answer/201/20", 300},
		{"GET", "/answer/200/chunked", 0},
		{"PUT", "/answer/204/0", 30_000},
		{"GET", "/answer/304/0", 0},
		{"DELETE", "/answer/204/0", 0},
		{"GET", "/answer/301/10", 0},
		{"PATCH", "/answer/200/chunked", 9},
		{"GET", "/answer/404/9", 0},
		{"HEAD", "/answer/404/9", 0},
		{"GET", "/answer/500/100000", 0},
		{"OPTIONS", "/answer/200/0", 0},
		{"POST", "/answer/503/chunked", 5000},
	}
	var requests []request
	for i := range n {
		s := sorts[i%len(sorts)]
		requests = append(requests, request{Method: s.method, URI: fmt.Sprintf("%s/%d?n=%d", s.path, i, i), Body: s.body})
	}
	return requests
}

func writeFile(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

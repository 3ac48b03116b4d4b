package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"
)

var nginxConfig = template.Must(template.New("").Parse(`
daemon off;
worker_processes {{.Workers}};
error_log stderr crit;
pid {{.Dir}}/nginx.pid;
events { worker_connections 1024; }
http {
    log_format exact '$request_method $request_uri $status $request_time $connection';
    access_log {{.Dir}}/access.log exact;
    sendfile {{if .Sendfile}}on{{else}}off{{end}};
    tcp_nopush on;
    keepalive_requests {{or .Requests 1000000}};
    keepalive_timeout 600;
    client_body_temp_path {{.Dir}}/bodies;
    proxy_temp_path {{.Dir}}/proxied;
    fastcgi_temp_path {{.Dir}}/fastcgi;
    scgi_temp_path {{.Dir}}/scgi;
    uwsgi_temp_path {{.Dir}}/uwsgi;
    if_modified_since before;
    limit_req_zone $server_port zone=slow:64k rate=10r/s; # the others wait
    limit_req_log_level info;
    default_type text/plain;
    client_max_body_size 8m;
{{- if .Upstream}}
    upstream kept { server {{.Upstream}}; keepalive 8; }
{{- end}}
    server {
        listen 127.0.0.1:{{.Port}}{{if .HTTP2}} http2{{end}};
        large_client_header_buffers 4 16k;
        root {{.Dir}}/www;
        location /file/   { try_files /4k =404; }
        location /large/  { try_files /200k =404; }
        location /mega/   { try_files /1m =404; }
        location /huge/   { try_files /3m =404; }
        location /gzip/   { try_files /4k =404; gzip on; gzip_types *; gzip_min_length 1; }
        location /slow/   { try_files /4k =404; limit_req zone=slow burst=1000; }
        location /text/   { return 200 "some text\n"; }
        location /empty/  { return 204; }
        location /moved/  { return 301 /file/; }
        location /denied/ { deny all; }
        location /broken/ { return 500 "broken\n"; }
        location /dav/    { dav_methods PUT DELETE; }
{{- if .Shop}}
        location /shop.   { grpc_pass grpc://{{.Shop}}; }
{{- end}}
{{- if .Upstream}}
        location /once/   { rewrite ^/once(/.*) $1 break; proxy_pass http://{{.Upstream}}; }
        location /kept/   {
            rewrite ^/kept(/.*) $1 break;
            proxy_pass http://kept;
            proxy_http_version 1.1;
            proxy_set_header Host {{.Upstream}};
            proxy_set_header Connection "";
        }
{{- end}}
    }
}
`))

// An nginx is a running nginx.
type nginx struct {
	*site
	dir string
}

// A nginxSetup is what differs between those of the tests.
type nginxSetup struct {
	Sendfile bool
	Upstream string // address that /once/ and /kept/ are passed on to; empty: none
	Shop     string // address that calls of gRPC are passed on to; empty: none
	HTTP2    bool   // with prior knowledge, and nothing else
	Requests int    // that a connection may bring; 0: any number
}

// startNginx starts an nginx with two workers. It has /dav/old<i> to delete,
// for i up to removable.
func startNginx(t testing.TB, setup nginxSetup, removable int) *nginx {
	t.Helper()
	exe, dir := program(t, "nginx"), tempDir(t)
	n := &nginx{dir: dir}
	store := filepath.Join(dir, "www", "dav")
	if err := os.MkdirAll(store, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(store, 0o777); err != nil { // the workers are somebody else
		t.Fatal(err)
	}
	page := []byte(strings.Repeat("a line of thirty-two characters\n", 3<<20/32))
	writeFile(t, filepath.Join(dir, "www", "4k"), page[:4<<10])
	writeFile(t, filepath.Join(dir, "www", "200k"), page[:200<<10])
	writeFile(t, filepath.Join(dir, "www", "1m"), page[:1<<20])
	writeFile(t, filepath.Join(dir, "www", "3m"), page)
	for i := range removable {
		writeFile(t, filepath.Join(store, fmt.Sprintf("old%d", i)), nil)
	}
	s := site{host: "127.0.0.1", port: freePort(t), service: "nginx"}
	config, err := os.Create(filepath.Join(dir, "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	defer config.Close()
	const workers = 2
	err = nginxConfig.Execute(config, struct {
		nginxSetup
		Dir           string
		Port, Workers int
	}{setup, dir, s.port, workers})
	if err != nil {
		t.Fatal(err)
	}
	n.site = startSite(t, s, exec.Command(exe, "-e", "stderr", "-c", config.Name()))
	n.await(t, "its workers", func() error { // the master listens before it has any
		if has := len(n.family()) - 1; has < workers {
			return fmt.Errorf("%d of %d", has, workers)
		}
		return nil
	})
	return n
}

// An entry is a line of an access log.
type entry struct {
	exchange
	took       time.Duration // rounded to milliseconds
	connection string
}

// accessLog returns what nginx has logged. Its log file is not buffered.
func (n *nginx) accessLog(t testing.TB) []entry {
	t.Helper()
	return readAccessLog(t, filepath.Join(n.dir, "access.log"), time.Second)
}

// readAccessLog reads lines of method, URI, status, duration in a unit, and
// connection.
func readAccessLog(t testing.TB, path string, unit time.Duration) []entry {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var entries []entry
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 5 {
			t.Fatalf("%s: %q has %d fields", path, lines.Text(), len(fields))
		}
		status, err := strconv.Atoi(fields[2])
		if err != nil {
			t.Fatalf("%s: %q: %v", path, lines.Text(), err)
		}
		took, err := strconv.ParseFloat(fields[3], 64)
		if err != nil {
			t.Fatalf("%s: %q: %v", path, lines.Text(), err)
		}
		entries = append(entries, entry{
			exchange:   exchange{fields[0], fields[1], status},
			took:       time.Duration(took * float64(unit)).Round(time.Millisecond),
			connection: fields[4],
		})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return entries
}

// logged returns what an access log says, but its figures.
func logged(entries []entry) []exchange {
	var xs []exchange
	for _, e := range entries {
		xs = append(xs, e.exchange)
	}
	return xs
}

// connections returns how many connections the requests of a log came over.
func connections(entries []entry) int {
	seen := make(map[string]bool)
	for _, e := range entries {
		seen[e.connection] = true
	}
	return len(seen)
}

// pages returns n different requests of all sorts to an nginx. Every URI
// begins with prefix's location and appears once.
func pages(n int) []request {
	sorts := []struct {
		method, location string
		body             int
		header           map[string]string
	}{
		{"GET", "/file/%d", 0, nil},
		{"HEAD", "/file/%d", 0, nil},
		{"GET", "/file/%d?with=query&n=1", 0, nil},
		{"GET", "/file/%d", 0, map[string]string{"If-Modified-Since": "Fri, 31 Dec 2100 23:59:59 GMT"}},
		{"POST", "/text/%d", 100, nil},
		{"POST", "/text/%d", 20_000, nil},
		{"POST", "/file/%d", 10, nil}, // not allowed
		{"PUT", "/dav/new%d", 30_000, nil},
		{"DELETE", "/dav/old%d", 0, nil},
		{"GET", "/empty/%d", 0, nil},
		{"GET", "/moved/%d", 0, nil},
		{"GET", "/missing/%d", 0, nil},
		{"HEAD", "/missing/%d", 0, nil},
		{"GET", "/denied/%d", 0, nil},
		{"GET", "/broken/%d", 0, nil},
		{"GET", "/gzip/%d", 0, map[string]string{"Accept-Encoding": "gzip"}},
		{"OPTIONS", "/text/%d", 0, nil},
		{"PATCH", "/text/%d", 50, nil},
		{"PURGE", "/text/%d", 0, nil}, // not a method that anybody knows
		{"GET", "/large/%d", 0, nil},
	}
	var requests []request
	for i := range n {
		s := sorts[i%len(sorts)]
		if i%500 == 7 {
			s.method, s.location = "GET", "/slow/%d"
		}
		requests = append(requests, request{Method: s.method, URI: fmt.Sprintf(s.location, i), Body: s.body, Header: s.header})
	}
	return requests
}

#!/bin/sh
# Records the conversations of this folder again. Needs nginx, apache2, curl, node, python3.
# Those that no peer says by itself were written by hand: their comment says so.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'for p in $pids; do kill "$p" 2>/dev/null || true; done; rm -rf "$work"' EXIT
pids=
cd "$here/../.."
go build -o "$work/record" ./receiver/internal/protocol/protocoltest/record

mkdir -p "$work/www/books" "$work/dav"
chmod -R a+rwX "$work"
printf 'Leaves of Grass\n' >"$work/www/books/7"
printf '<html>%02000d</html>\n' 0 >"$work/www/index.html"
head -c 300000 /dev/zero | tr '\0' 'x' >"$work/www/large.bin"

cat >"$work/nginx.conf" <<CONF
daemon off; error_log $work/nginx.log; pid $work/nginx.pid; user root;
events { worker_connections 64; }
http {
	access_log off; client_body_temp_path $work/body; proxy_temp_path $work/proxy;
	fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
	sendfile on; keepalive_timeout 75; large_client_header_buffers 4 8k; client_header_timeout 1;
	server {
		listen 127.0.0.1:8081; root $work/www; gzip on; gzip_types application/json;
		location /gzip/ { alias $work/www/; gzip_min_length 10; gzip_types *; }
		location /dav/ { alias $work/dav/; dav_methods PUT DELETE; }
		location = /teapot { return 418 "short and stout\n"; }
		location = /moved { return 301 /books/7; }
		location = /empty { return 204; }
	}
	server { listen 127.0.0.1:8084; location / { proxy_pass http://127.0.0.1:8080/status/; proxy_http_version 1.1; proxy_set_header Connection "";
		proxy_set_header X-Forwarded-For "203.0.113.9, 10.0.0.1"; proxy_set_header X-Forwarded-Proto https;
		proxy_set_header X-Forwarded-Host books.example; proxy_set_header Host inner.example:8080; } }
}
CONF
nginx -c "$work/nginx.conf" 2>/dev/null & pids="$pids $!"
"$work/record" -serve 127.0.0.1:8082 2>/dev/null & pids="$pids $!"
(cd "$work/www" && exec python3 -m http.server -b 127.0.0.1 8083 2>/dev/null >&2) & pids="$pids $!"
cat >"$work/stream.py" <<'PY'
import http.server, time
class Stream(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        for line in (b"one\n", b"HTTP/1.1 is not a head here\n", b"three\n"):
            self.wfile.write(line)
            time.sleep(0.01)
http.server.HTTPServer(("127.0.0.1", 8087), Stream).serve_forever()
PY
python3 "$work/stream.py" 2>/dev/null & pids="$pids $!"
cat >"$work/server.js" <<'JS'
const http = require('http'), crypto = require('crypto');
const s = http.createServer((req, res) => {
  if (req.url === '/sse') {
    res.writeHead(200, {'Content-Type': 'text/event-stream'});
    let n = 0;
    const t = setInterval(() => { res.write(`data: ${n}\n\n`); if (++n === 3) { clearInterval(t); res.end(); } }, 10);
    return;
  }
  let size = 0;
  req.on('data', d => size += d.length);
  req.on('end', () => { res.statusCode = req.url === '/fail' ? 503 : 201; res.end(JSON.stringify({size})); });
});
s.on('upgrade', (req, socket) => {
  const key = crypto.createHash('sha1').update(req.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ' + key + '\r\n\r\n');
  socket.write(Buffer.from([0x81, 5, 104, 101, 108, 108, 111]));
  setTimeout(() => socket.end(), 20);
});
s.headersTimeout = 500; s.requestTimeout = 600; s.connectionsCheckingInterval = 100;
s.listen(8085, '127.0.0.1');
JS
node "$work/server.js" & pids="$pids $!"
cat >"$work/client.js" <<'JS'
const http = require('http');
const agent = new http.Agent({keepAlive: true, maxSockets: 1});
const get = (method, path, body) => new Promise(done => {
  const r = http.request({host: '127.0.0.1', port: 8080, path, method, agent}, res => { res.resume(); res.on('end', done); });
  if (body) { r.write(body.slice(0, 5)); setTimeout(() => { r.write(body.slice(5)); r.end(); }, 10); } else r.end();
});
(async () => {
  await get('GET', '/sse'); await get('POST', '/upload?kind=chunked', 'hello chunked world'); await get('GET', '/fail'); agent.destroy();
})();
JS
cat >"$work/apache.conf" <<CONF
ServerRoot $work
PidFile $work/apache.pid
ErrorLog $work/apache.log
Listen 127.0.0.1:8086
ServerName localhost
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
DocumentRoot $work/www
DirectoryIndex index.html
KeepAliveTimeout 1
LoadModule reqtimeout_module /usr/lib/apache2/modules/mod_reqtimeout.so
RequestReadTimeout header=1
<Directory $work/www>
Require all granted
</Directory>
CONF
apache2 -f "$work/apache.conf" -DFOREGROUND & pids="$pids $!"
sleep 1

U=http://127.0.0.1:8080
tmp=$work/new; mkdir "$tmp"
rec() { # name, server port, comment, rest
	name=$1 port=$2 comment=$3; shift 3
	"$work/record" -to "127.0.0.1:$port" -out "$tmp/$name.txtar" -comment "$comment
Recorded with record.sh." "$@"
	echo "$name"
}
nginx=$(nginx -v 2>&1 | sed 's,.*: ,,'); curl=$(curl --version | sed -n '1s/^curl \([^ ]*\).*/curl \1/p')
node="Node.js $(node --version)"; python=$(python3 --version); apache=$(apache2 -v | sed -n '1s/.*: \([^ ]*\).*/\1/p'); gov=$(go env GOVERSION)

rec nginx-keepalive 8081 "$curl and $nginx: one connection, answers of many kinds." -- \
	curl -s "$U/books/7" --next -s "$U/books/8?q=whale&page=2" --next -s -I "$U/books/7" --next -s "$U/teapot" \
	--next -s "$U/moved" --next -s "$U/empty" --next -s -r 0-5 "$U/books/7" --next -s -X DELETE "$U/teapot" --next -s -X BREW "$U/teapot" \
	--next -s -H "If-None-Match: *" "$U/books/7"
rec nginx-pipelined 8081 "A raw client and $nginx: five requests in one write, then two, then one." \
	-raw 'GET /books/7 HTTP/1.1\r\nHost: books.example\r\n\r\nHEAD /books/7 HTTP/1.1\r\nHost: books.example\r\n\r\nGET /missing HTTP/1.1\r\nHost: books.example\r\n\r\nGET /empty HTTP/1.1\r\nHost: books.example\r\n\r\nGET /teapot HTTP/1.1\r\nHost: books.example\r\n\r\n' \
	-raw 'GET /moved HTTP/1.1\r\nHost: books.example\r\n\r\nGET /books/9 HTTP/1.1\r\nHost: books.example\r\n\r\n' \
	-raw 'GET /teapot?again HTTP/1.1\r\nHost: books.example\r\n\r\n'
rec nginx-gzip-chunked 8081 "$curl and $nginx: compressed on the way, so in chunks; twice." -- curl -s --compressed -o /dev/null "$U/gzip/index.html" --next -s --compressed -o /dev/null "$U/gzip/large.bin"
rec nginx-sendfile 8081 "$curl and $nginx: 300 kB, then something small." -- curl -s -o /dev/null "$U/large.bin" --next -s "$U/books/7"
rec nginx-continue 8081 "$curl and $nginx: an upload that waits for 100 (Continue)." -- curl -s -H "Expect: 100-continue" -T "$work/www/index.html" "$U/dav/index.html" --next -s "$U/books/7"
rec nginx-expect-refused 8081 "$curl and $nginx: an upload that waits to continue and is refused." -- curl -s -H "Expect: 100-continue" -T "$work/www/index.html" "$U/books/7" --next -s "$U/teapot"
rec nginx-head-too-large 8081 "A raw client and $nginx: 414 to an endless target." -linger \
	-raw "GET /$(printf '%09000d' 0) HTTP/1.1\r\nHost: books.example\r\n\r\n"
rec nginx-timeout-408 8081 "A raw client and $nginx: the head is begun and not finished." -linger -raw 'GET /books/7 HTTP/1.1\r\nHost: books.example\r\nX-Never: '
rec nginx-absolute-form 8081 "$curl as for a proxy, and $nginx." -- curl -s -x "$U" "http://user:secret@books.example:8080/books/7?sig=abc&x=1" --next -s -x "$U" --request-target "*" -X OPTIONS "http://books.example/"
rec nginx-odd-spelling 8081 "A raw client and $nginx: empty lines first, line feeds alone, odd spelling of fields." \
	-raw '\r\n\r\nGET /books/7 HTTP/1.1\nhOsT:books.example\nUSER-agent: \t odd/1 \t \n\n' -raw 'GET /teapot HTTP/1.1\r\nhost: books.example\r\ncontent-LENGTH:  5\r\n\r\nhello' -raw 'GET /empty HTTP/1.1\r\nHost: books.example\r\n\r\n'
rec nginx-http10 8081 "A raw client and $nginx: HTTP/1.0, kept alive and then not." -raw 'GET /books/7 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n' -raw 'GET /missing HTTP/1.0\r\n\r\n'
rec nginx-bad-request 8081 "A raw client and $nginx: a good request, then one of HTTP/0.9, then nonsense." -raw 'GET /books/7 HTTP/1.1\r\nHost: books.example\r\n\r\n' -raw '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'
rec nginx-length-and-chunked 8081 "A raw client and $nginx: Content-Length and Transfer-Encoding at once; nginx refuses." -raw 'POST /teapot HTTP/1.1\r\nHost: books.example\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n' -raw 'GET /books/7 HTTP/1.1\r\nHost: books.example\r\n\r\n'
rec nginx-upstream 8082 "$nginx as the client of $gov net/http, with what proxies add." -- sh -c "curl -s http://127.0.0.1:8084/200; curl -s http://127.0.0.1:8084/502"
rec nginx-traceparent 8081 "$curl with a trace context and a signed URL, and $nginx." -- curl -s -A "shop/1.2" -H "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" -H "tracestate: a=1,b=2" -H "Authorization: Bearer hidden" -H "Cookie: id=hidden" "$U/books/7?X-Amz-Signature=hidden&page=2&sig=hidden" --next -s -H "traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01" -H 'Forwarded: for="[2001:db8::17]:4711";proto=HTTPS;host="books.example:8443", for=10.0.0.1' "$U/books/7"
rec go-trailers 8082 "$curl and $gov net/http: chunks with trailers, over 15 ms." -- curl -s "$U/trailers" --next -s "$U/status/404"
rec go-early-hints 8082 "$curl and $gov net/http: 102 and 103 before the answer." -- curl -s "$U/hints" --next -s "$U/status/200"
rec go-early-answer 8082 "A raw client and $gov net/http: refused before the body was sent; the server closes." -raw 'POST /early HTTP/1.1\r\nHost: books.example\r\nContent-Length: 1000000\r\n\r\nfirst part' -raw 'second part'
rec go-full-duplex 8082 "A raw client and $gov net/http: answered while the body is still being sent, then another." -raw 'POST /full-duplex HTTP/1.1\r\nHost: books.example\r\nContent-Length: 15\r\n\r\nfirst' -raw ' part,' -raw ' end' -raw 'GET /status/404 HTTP/1.1\r\nHost: books.example\r\n\r\n'
rec go-abort 8082 "$curl and $gov net/http: the server gives up in the middle of the body." -- curl -s "$U/abort"
rec go-client-leaves 8082 "$curl and $gov net/http: the client does not wait for the answer." -- curl -s -m 0.2 "$U/slow"
rec go-idle 8082 "A raw client and $gov net/http: the server closes the idle connection." -linger -raw 'GET /status/500 HTTP/1.1\r\nHost: books.example\r\n\r\n'
rec go-connect 8082 "$curl through a proxy of $gov net/http to $nginx: refused without credentials, a tunnel with them." -- curl -s -p -x "$U" --proxy-anyauth --proxy-user me:secret http://127.0.0.1:8081/books/7
rec nginx-early-400 8081 "A raw client and $nginx: a field that makes no sense, before the head has ended; the server closes." -raw 'GET /books/7 HTTP/1.1\r\nHost: books.example, other.example\r\n' -raw 'X-More: 1\r\n\r\n'
rec go-connect-tunnel 8082 "$curl through a proxy of $gov net/http to $nginx." -- curl -s -p -x "$U" --proxy-user me:secret http://127.0.0.1:8081/books/7
rec go-echo-chunked 8082 "$curl and $gov net/http: chunks both ways." -- sh -c "printf 'hello world' | curl -s -H 'Transfer-Encoding: chunked' -H 'Expect:' -T - $U/echo; true"
rec h2c-refused 8082 "$curl and $gov net/http: an upgrade to HTTP/2 that the server ignores." -- curl -s --http2 "$U/status/200" --next -s --http2 "$U/status/404"
rec python-http10 8083 "$curl and $python http.server: HTTP/1.0." -- curl -s "$U/books/7"
rec python-head 8083 "$curl and $python http.server: HTTP/1.0, HEAD." -- curl -s -I "$U/books/"
rec python-till-close 8087 "$curl and $python http.server: a body without a length, in pieces." -- curl -s "$U/stream"
rec node-chunked 8085 "$node on both sides: server-sent events, a chunked upload in pieces, 503." -- node "$work/client.js"
rec node-websocket 8085 "A raw client and $node: an upgrade to WebSocket." -raw 'GET /chat HTTP/1.1\r\nHost: books.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n' -raw '\x88\x80\x00\x00\x00\x00'
rec node-timeout-408 8085 "A raw client and $node: 408 to a head that was not finished." -linger -raw 'GET /never HTTP/1.1\r\nHost: books.example\r\nX-Never: '
rec apache-keepalive 8086 "$curl and $apache." -- curl -s "$U/books/7" --next -s "$U/missing" --next -s -o /dev/null "$U/"
rec apache-silent-close 8086 "A raw client and $apache: a method that was begun; the server closes without a word." -linger -raw 'GE'
rec apache-pipelined 8086 "A raw client and $apache: three requests, the second cut between two writes." -raw 'GET /books/7 HTTP/1.1\r\nHost: books.example\r\n\r\nGET /miss' -raw 'ing HTTP/1.1\r\nHost: books.example\r\n\r\nHEAD / HTTP/1.1\r\nHost: books.example\r\n\r\n'
cp "$tmp"/*.txtar "$here"

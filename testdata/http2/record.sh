#!/bin/sh
# Records the conversations of this folder again. Needs nghttp2-server, nghttp2-client, nginx, apache2, curl,
# python3-grpcio and Go. Those that no peer says by itself were written by hand: their comment says so.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'for p in $pids; do kill "$p" 2>/dev/null || true; done; rm -rf "$work"' EXIT
pids=
cd "$here/../.."
go build -o "$work/record" ./receiver/internal/protocol/protocoltest/record
(cd "$here/peer" && go build -o "$work/peer" .)

mkdir -p "$work/www/books"
chmod -R a+rwX "$work"
printf 'Leaves of Grass\n' >"$work/www/books/7"
printf 'body {}\n' >"$work/www/style.css"
printf '<html>hello</html>\n' >"$work/www/index.html"
head -c 100000 /dev/zero | tr '\0' 'x' >"$work/www/large.bin"

cat >"$work/nginx.conf" <<CONF
daemon off; error_log $work/nginx.log; pid $work/nginx.pid; user root;
events { worker_connections 64; }
http {
	access_log off; client_body_temp_path $work/body; proxy_temp_path $work/proxy;
	fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
	sendfile on; large_client_header_buffers 4 16k; keepalive_requests 1000;
	server { listen 127.0.0.1:18081 http2; root $work/www; location = /teapot { return 418 "short and stout\n"; } }
	server { listen 127.0.0.1:18082 http2; root $work/www; keepalive_requests 3; }
	server { listen 127.0.0.1:18083 http2; location / { grpc_pass grpc://127.0.0.1:18080; } }
}
CONF
nginx -c "$work/nginx.conf" 2>/dev/null & pids="$pids $!"
cat >"$work/apache.conf" <<CONF
ServerRoot /usr/lib/apache2
ServerName books.example
Listen 127.0.0.1:18084
PidFile $work/apache.pid
ErrorLog $work/apache.log
LoadModule mpm_event_module modules/mod_mpm_event.so
LoadModule authz_core_module modules/mod_authz_core.so
LoadModule http2_module modules/mod_http2.so
Protocols h2c http/1.1
DocumentRoot $work/www
CONF
apache2 -f "$work/apache.conf" -DFOREGROUND 2>/dev/null & pids="$pids $!"
nghttpd --no-tls --no-content-length -p/index.html=/style.css --trailer='x-checksum: cafe' -d "$work/www" 18085 >/dev/null 2>&1 & pids="$pids $!"
nghttpd --no-tls -d "$work/www" 18088 >/dev/null 2>&1 & pids="$pids $!"
"$work/peer" serve-http 127.0.0.1:18086 2>/dev/null & pids="$pids $!"
"$work/peer" serve-grpc 127.0.0.1:18087 2>/dev/null & pids="$pids $!"
/usr/bin/python3 "$here/peer/peer.py" serve 127.0.0.1:18089 2>/dev/null & pids="$pids $!"
sleep 2

tmp="$work/out"; mkdir -p "$tmp"
A=127.0.0.1:18080
U=http://$A
rec() { # name, port of the server, what it is, then the client
	name=$1 comment=$2 port=$3; shift 3
	"$work/record" -listen $A -to "127.0.0.1:$port" -out "$tmp/$name.txtar" -comment "$comment
Recorded with record.sh." "$@" >/dev/null 2>&1
	echo "$name"
}
nginx=$(nginx -v 2>&1 | sed 's,.*: ,,'); curl=$(curl --version | sed -n '1s/^curl \([^ ]*\).*/curl \1/p')
apache=$(apache2 -v | sed -n '1s/.*: \([^ ]*\).*/\1/p'); gov=$(go env GOVERSION)
nghttp2=$(nghttpd --version | sed 's,.* ,,'); core=$(/usr/bin/python3 -c 'import grpc; print("python3-grpcio " + grpc.__version__)')
grpc=$(sed -n 's,^require google.golang.org/grpc v,grpc-go ,p' "$here/peer/go.mod")
T="traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
four=$(printf '%0400d' 0 | sed 's,0000,a:%40@,g'); eight=$(printf '%08000d' 0)

rec nghttpd-m1 "h2load and nghttpd $nghttp2: eight requests, one at a time." 18088 -- h2load -n8 -c1 -m1 "$U/books/7"
rec nghttpd-m10 "h2load and nghttpd $nghttp2: forty requests, ten at a time." 18088 -- h2load -n40 -c1 -m10 "$U/books/7" "$U/index.html" "$U/missing"
rec nghttpd-m100 "h2load and nghttpd $nghttp2: 200 requests, a hundred at a time." 18088 -- h2load -n200 -c1 -m100 "$U/books/7" "$U/index.html" "$U/missing"
rec nghttpd-table-0 "h2load and nghttpd $nghttp2: no dynamic table in either direction." 18088 -- h2load -n6 -c1 -m2 --header-table-size=0 --encoder-header-table-size=0 "$U/books/7"
rec nghttpd-table-64k "h2load and nghttpd $nghttp2: dynamic tables of 64 KiB, a smaller one on the way back." 18088 -- h2load -n6 -c1 -m2 --header-table-size=64K --encoder-header-table-size=64K "$U/books/7"
rec nghttpd-push "nghttp and nghttpd $nghttp2: a page, and its style sheet pushed; trailers, priorities, padding." 18085 -- nghttp -b 20 -H "$T" "$U/index.html" "$U/books/7"
rec nghttpd-post "nghttp and nghttpd $nghttp2: an upload with trailers, and CONTINUATION." 18085 -- nghttp --continuation -d "$work/www/style.css" --trailer 'x-sum: 1' -H 'user-agent: up/1' "$U/books/7"
rec nghttp-nginx "nghttp $nghttp2 and $nginx: answers of many kinds at once." 18081 -- nghttp -H "$T" -H "tracestate: a=1" -H "authorization: Bearer hidden" \
	"$U/books/7" "$U/books/8?q=whale&sig=hidden" "$U/teapot" "$U/$four?$four" "$U/books/7?again"
rec nghttp-head "nghttp $nghttp2 and $nginx: HEAD, through a proxy of clear text." 18081 -- nghttp -H ":method: HEAD" -H ":scheme: https" -H "x-forwarded-for: 203.0.113.9" "$U/books/7"
rec curl-get "$curl and $nginx." 18081 -- curl -s --http2-prior-knowledge -H "$T" "$U/books/7?q=whale"
rec curl-post "$curl and $nginx: a body and a token." 18081 -- curl -s --http2-prior-knowledge -d 'some=thing' -H "Authorization: Bearer hidden" "$U/teapot"
rec curl-options "$curl and $nginx: OPTIONS *." 18081 -- curl -s --http2-prior-knowledge -X OPTIONS --request-target "*" "$U"
rec curl-long-path "$curl and $nginx: a path of 8000 characters." 18081 -- curl -s --http2-prior-knowledge "$U/$eight"
rec curl-large "$curl and $nginx: 100 kB." 18081 -- curl -s --http2-prior-knowledge -o /dev/null "$U/large.bin"
rec nginx-goaway "h2load and $nginx: the server lets a connection go after three requests." 18082 -- h2load -n6 -c1 -m2 "$U/books/7"
rec curl-upgrade "$curl and $apache: HTTP/1.1 that turns to HTTP/2." 18084 -- curl -s --http2 "$U/books/7"
rec nghttp-upgrade "nghttp $nghttp2 and $apache: HTTP/1.1 that turns to HTTP/2, and goes on." 18084 -- nghttp -u -H "$T" "$U/index.html" "$U/missing" "$U/books/7"
rec apache-m10 "h2load and $apache: forty requests, ten at a time." 18084 -- h2load -n40 -c1 -m10 "$U/books/7" "$U/missing"
rec go-kinds "$gov net/http on both sides: many kinds, three times, with a long token." 18086 -- "$work/peer" http $A
rec go-large-head "$gov net/http on both sides: heads of 40 kB." 18086 -- "$work/peer" large-head $A
rec go-large-cookie "$gov net/http on both sides: a cookie of 64 KiB, in one frame." 18086 -- "$work/peer" large-cookie $A
rec go-cancel "$gov net/http on both sides: a request that is given up, and one that fails." 18086 -- "$work/peer" cancel $A
rec go-upload "$gov net/http on both sides: 200 kB up and down, and 200 kB that are not read." 18086 -- "$work/peer" upload $A
rec go-connect "$gov net/http on both sides: content types of Connect and gRPC-Web, which are no gRPC." 18086 -- "$work/peer" connect $A
rec grpc-go-unary "$grpc on both sides: five calls." 18087 -- "$work/peer" grpc $A
rec grpc-go-streams "$grpc on both sides: streams of all kinds." 18087 -- "$work/peer" grpc-streams $A
rec grpc-go-fails "$grpc on both sides: every status, methods that do not exist, a deadline." 18087 -- "$work/peer" grpc-fails $A
rec grpc-go-many "$grpc on both sides: forty calls, eight at a time." 18087 -- "$work/peer" grpc-many $A
rec grpc-core "$core on both sides: the C core." 18089 -- /usr/bin/python3 "$here/peer/peer.py" speak $A
rec grpc-core-go "$core as the client of $grpc." 18087 -- /usr/bin/python3 "$here/peer/peer.py" speak $A
rec grpc-go-core "$grpc as the client of $core." 18089 -- "$work/peer" grpc $A
rec nginx-grpc "$nginx as a proxy between $grpc and itself, seen behind it." 18087 -- "$work/peer" grpc 127.0.0.1:18083
mkdir -p "$here/upgrade"
mv "$tmp"/*-upgrade.txtar "$here/upgrade"
mv "$tmp"/*.txtar "$here"

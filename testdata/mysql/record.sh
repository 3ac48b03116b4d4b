#!/bin/sh
# Records the conversations of this folder again. Needs mariadb-server and its
# clients, php-cli with mysqli, python3-pymysql, go; node and npm, which fetch the
# drivers mysql2 and mariadb. Run it as root: the server changes to user mysql.
# With MYSQL=host:port of a MySQL server whose root has no password, those of
# MySQL, too. Debian has one in unstable alone (9.7): mysql-server-core
# and what it depends on can be unpacked and run with chroot.
# Those that no peer says by itself were written by hand: their comment says so.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi; rm -rf "$work"rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$here/../.."
go build -o "$work/record" ./receiver/internal/protocol/protocoltest/record

mariadb-install-db --user=mysql --datadir="$work/data" --auth-root-authentication-method=normal --skip-test-db >/dev/null 2>&1
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -days 2 -subj /CN=books.example >/dev/null 2>&1
chown mysql "$work/key.pem"
mariadbd --no-defaults --user=mysql --datadir="$work/data" --port=3391 --bind-address=127.0.0.1 --socket="$work/data/s.sock" --pid-file="$work/data/pid" \
	--local-infile=1 --skip-name-resolve --max-allowed-packet=64M --ssl-cert="$work/cert.pem" --ssl-key="$work/key.pem" >"$work/log" 2>&1 & server=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do mariadb-admin -uroot -S "$work/data/s.sock" ping >/dev/null 2>&1 && break; sleep 1; done
mariadb -uroot -S "$work/data/s.sock" <<'SQL'
CREATE DATABASE shop; CREATE DATABASE other;
CREATE USER shop IDENTIFIED BY 'hidden'; GRANT ALL ON *.* TO shop; CREATE USER nobody IDENTIFIED BY 'hidden';
USE shop;
CREATE TABLE books (id INT AUTO_INCREMENT PRIMARY KEY, title VARCHAR(100), notes LONGTEXT);
INSERT INTO books (title, notes) VALUES ('Leaves of Grass', ''), ('Moby-Dick', 'whale'), ('Walden', NULL);
CREATE TABLE numbers (n INT); INSERT INTO numbers SELECT seq FROM seq_1_to_600;
DELIMITER //
CREATE PROCEDURE two(IN n INT, OUT total INT) BEGIN SELECT id FROM books WHERE id <= n; SELECT title FROM books; SELECT COUNT(*) INTO total FROM books; END //
CREATE PROCEDURE fails() BEGIN SELECT id FROM books; SELECT * FROM missing; END //
SQL
printf '10\tEmma\n11\tPersuasion\n' >"$work/new.tsv"
mkdir "$work/node"
(cd "$work/node" && npm init -y >/dev/null 2>&1 && npm install mysql2@3 mariadb@3 >/dev/null 2>&1)

cat >"$work/node/mysql2.js" <<'JS'
const mysql = require('mysql2/promise'), cases = {
  async text(c) {
    await c.query("SELECT id, title FROM books WHERE id = 2 AND title <> 'hidden'");
    await c.query("INSERT INTO books (title) VALUES ('hidden')").catch(() => {});
    await c.query("SELECT * FROM missing WHERE a = 'hidden'").catch(() => {});
    await c.query("UPDATE books SET notes = 'hidden' WHERE id > 2");
    await c.query("SELECT 1; INSERT INTO books (title) VALUES ('x'), ('y'); SELECT n FROM numbers WHERE n < 4");
    await c.query("SELECT 1; SELECT * FROM missing; SELECT 2").catch(() => {});
    await c.query("USE other"); await c.query("SELECT DATABASE()"); await c.query("use `shop`;");
    await c.beginTransaction(); await c.query("DELETE FROM books WHERE title = 'x'"); await c.rollback(); await c.ping();
  },
  async prepared(c) {
    for (const id of [1, 2, 3]) await c.execute('SELECT id, title FROM books WHERE id >= ?', [id]);
    await c.execute('INSERT INTO books (title) VALUES (?)', ['hidden']);
    await c.execute('SELECT * FROM missing WHERE id = ?', [1]).catch(() => {});
    await c.execute("SELECT 'hidden', 7"); await c.execute('SELECT ?, ?', ['hidden', null]);
    c.unprepare('SELECT id, title FROM books WHERE id >= ?'); await c.execute('DELETE FROM books WHERE id > ?', [100]); await c.execute('CALL two(?, @t)', [2]);
  },
  async user(c) {
    await c.execute('SELECT id FROM books WHERE id = ?', [1]); await c.changeUser({user: 'shop', password: 'hidden', database: 'other'});
    await c.query('SELECT DATABASE()'); await c.changeUser({user: 'nobody', password: 'wrong'}).catch(() => {});
  },
  async large(c) {
    await c.query("SELECT REPEAT('x', 5000) AS a, 7 AS b UNION ALL SELECT '', 0"); await c.query("SELECT REPEAT('y', 300000)");
    await c.query("INSERT INTO books (title, notes) VALUES ('long', '" + 'hidden '.repeat(1200) + "')"); await c.query('SELECT n, n FROM numbers'); await c.query("DELETE FROM books WHERE title = 'long'");
  },
};
(async () => {
  const c = await mysql.createConnection({host: '127.0.0.1', port: 8080, user: 'shop', password: 'hidden', database: 'shop', multipleStatements: true});
  c.on('error', () => {}); await cases[process.argv[2]](c); await c.end();
})().catch(e => console.error(e.message));
JS
cat >"$work/node/mariadb.js" <<'JS'
const mariadb = require('mariadb'), cases = {
  async pipelined(c) {
    await Promise.all([c.query('SELECT 1'), c.query('SELECT * FROM missing'), c.query('SELECT n FROM numbers WHERE n < 5'), c.query('INSERT INTO books (title) VALUES (\'hidden\')'), c.ping()].map(p => p.catch(() => {})));
  },
  async batch(c) {
    await c.batch('INSERT INTO books (title) VALUES (?)', [['hidden'], ['b'], ['c']]); await c.execute('SELECT title FROM books WHERE id = ?', [1]); await c.execute('SELECT title FROM books WHERE id = ?', [2]);
    const s = await c.prepare('SELECT n FROM numbers WHERE n < ?'); await s.execute([4]); await s.execute([300]); s.close(); await c.reset(); await c.query('SELECT 1');
  },
};
(async () => {
  const c = await mariadb.createConnection({host: '127.0.0.1', port: 8080, user: 'shop', password: 'hidden', database: 'shop', pipelining: process.argv[2] === 'pipelined', bulk: true});
  c.on('error', () => {}); await cases[process.argv[2]](c); await c.end();
})().catch(e => console.error(e.message));
JS
cat >"$work/mysqli.php" <<'PHP'
<?php
mysqli_report(MYSQLI_REPORT_OFF);
$m = mysqli_init();
$m->options(MYSQLI_OPT_LOCAL_INFILE, 1);
$m->real_connect('127.0.0.1', 'shop', 'hidden', 'shop', 8080, null, $argv[1] === 'compressed' ? MYSQLI_CLIENT_COMPRESS : 0);
switch ($argv[1]) {
case 'commands':
	$m->stat(); $m->ping(); $m->select_db('other'); $m->select_db('missing'); $m->query('SELECT DATABASE()'); $m->change_user('shop', 'hidden', 'shop');
	$m->dump_debug_info(); $m->refresh(MYSQLI_REFRESH_TABLES); $m->kill(999999); $m->query('SELECT 1'); break;
case 'procedures':
	$m->multi_query('CALL two(2, @total); SELECT @total'); do { if ($r = $m->store_result()) $r->free(); } while ($m->more_results() && $m->next_result());
	$m->multi_query('CALL fails()'); do { if ($r = $m->store_result()) $r->free(); } while ($m->more_results() && $m->next_result());
	$m->multi_query('USE other; SELECT 1'); do { if ($r = $m->store_result()) $r->free(); } while ($m->more_results() && $m->next_result());
	$m->query('SELECT 2'); break;
case 'cursor':
	$s = $m->stmt_init(); $s->prepare('SELECT n FROM numbers WHERE n <= ?'); $s->attr_set(MYSQLI_STMT_ATTR_CURSOR_TYPE, MYSQLI_CURSOR_TYPE_READ_ONLY); $s->attr_set(MYSQLI_STMT_ATTR_PREFETCH_ROWS, 3);
	$n = 7; $s->bind_param('i', $n); $s->execute(); $s->bind_result($x); while ($s->fetch()); $s->reset(); $s->execute(); $s->fetch(); $s->close(); $m->query('SELECT 1'); break;
case 'long':
	$s = $m->prepare('INSERT INTO books (title, notes) VALUES (?, ?)'); $t = 'Clarissa'; $b = null; $s->bind_param('sb', $t, $b); $s->send_long_data(1, str_repeat('hidden ', 3000)); $s->send_long_data(1, 'end'); $s->execute(); $s->close();
	$m->query("DELETE FROM books WHERE title = 'Clarissa'"); break;
case 'compressed':
	$m->query("SELECT 'hidden'"); break;
case 'file':
	$m->query("LOAD DATA LOCAL INFILE '" . $argv[2] . "' INTO TABLE books"); $m->query('SELECT COUNT(*) FROM books');
	$m->query("LOAD DATA LOCAL INFILE '/nonexistent' INTO TABLE books"); $m->query('DELETE FROM books WHERE id IN (10, 11)'); break;
}
$m->close();
PHP
cat >"$work/pymysql_.py" <<'PY'
import pymysql, sys
c = pymysql.connect(host='127.0.0.1', port=8080, user='shop', password='hidden', database='shop', charset='latin1')
k = c.cursor()
def q(sql):
    try: k.execute(sql); k.fetchall()
    except Exception: pass
if sys.argv[1] == 'odd':
    q(b"SELECT '\x00\xff hidden', id FROM books -- \xfe\x00"); q("SELECT '\u00fcber hidden' AS `\u00fc`"); q("/* why */ SELECT 1"); q("   \n SELECT 2 ;"); q("SELEC nothing"); q(";")
    q("SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'"); q("SELECT '\\', ' hidden'"); q("SELECT n FROM numbers WHERE n IN (1,2,3)")
elif sys.argv[1] == 'transaction':
    c.begin(); q("INSERT INTO books (title) VALUES ('hidden')"); q("SAVEPOINT a"); q("UPDATE books SET title = CONCAT(title, '!') WHERE id < 3"); c.rollback(); q("SHOW TABLES"); q("EXPLAIN SELECT * FROM books"); q("DROP TABLE IF EXISTS never"); q("KILL 999999")
    q("CREATE DATABASE gone"); c.select_db('gone'); q("SELECT 1"); q("DROP DATABASE gone"); q("SELECT 1"); c.ping(); q("KILL CONNECTION_ID()")
try: c.close()
except Exception: pass
PY
mkdir "$work/go"
cat >"$work/go/main.go" <<'GO'
package main

import ("context"; "database/sql"; "os"; "strings"; "time"; _ "github.com/go-sql-driver/mysql")

func main() {
	options := map[string]string{"prepared": "", "interpolated": "?interpolateParams=true&multiStatements=true", "left": "", "zlib": "?compress=true", "tls": "?tls=skip-verify"}
	db, err := sql.Open("mysql", "shop:hidden@tcp(127.0.0.1:8080)/shop"+options[os.Args[1]])
	if err != nil { panic(err) }
	db.SetMaxOpenConns(1)
	query := func(q string, args ...any) {
		rows, err := db.Query(q, args...)
		if err == nil { for rows.Next() {}; for rows.NextResultSet() { for rows.Next() {} }; rows.Close() }
	}
	switch os.Args[1] {
	case "left":
		query("SELECT 1")
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		db.QueryContext(ctx, "SELECT SLEEP(1)")
	default:
		query("SELECT id, title FROM books WHERE id > ?", 1)
		query("SELECT title FROM books WHERE title = ?", "hidden")
		query("SELECT * FROM missing WHERE id = ?", 7)
		db.Exec("UPDATE books SET notes = ? WHERE id = ?", strings.Repeat("hidden", 50), 2)
		if tx, err := db.Begin(); err == nil { tx.Exec("INSERT INTO books (title) VALUES (?)", "hidden"); tx.Rollback() }
		if s, err := db.Prepare("SELECT COUNT(*) FROM books WHERE id < ?"); err == nil { for i := range 5 { var n int; s.QueryRow(i).Scan(&n) }; s.Close() }
		query("SELECT 1"); db.Ping()
	}
	db.Close()
}
GO
(cd "$work/go" && go mod init example >/dev/null 2>&1 && go get github.com/go-sql-driver/mysql@v1.9.3 >/dev/null 2>&1 && go build -o "$work/godriver" .)
# Commands that drivers do not send, one by one, with capabilities of choice.
cat >"$work/raw.py" <<'PY'
import hashlib, socket, struct, sys, time
caps = {'old': 0x0a8a09 | 0x20000, 'new': 0x0a8a09 | 0x20000 | 1 << 23 | 1 << 24, 'attributes': 0}[sys.argv[1]] | 0x200 | 0x8000 | 0x80000
caps &= ~0x800 & ~0x20
s = socket.create_connection(('127.0.0.1', 8080))
def read(n):
    p = b''
    while len(p) < n:
        d = s.recv(n - len(p))
        if not d: sys.exit()
        p += d
    return p
def packet():
    h = read(4)
    return read(h[0] | h[1] << 8 | h[2] << 16)
def send(seq, p): s.sendall(struct.pack('<I', len(p))[:3] + bytes([seq]) + p)
def drain():
    s.settimeout(0.08)
    p = b''
    try:
        while d := s.recv(65536): p += d
    except socket.timeout: pass
    s.settimeout(None)
    return p
g = packet()
i = g.index(b'\0', 1) + 1
salt = g[i + 4:i + 12] + g[i + 31:i + 43]
one = hashlib.sha1(b'hidden').digest(); two = hashlib.sha1(salt + hashlib.sha1(one).digest()).digest()
send(1, struct.pack('<IIB23x', caps | 8, 1 << 24, 45) + b'shop\0' + bytes([20]) + bytes(a ^ b for a, b in zip(one, two)) + b'shop\0mysql_native_password\0')
drain()
def do(p): send(0, p); return drain()
do(b'\x04books\0%'); do(b'\x04missing\0'); do(b'\x09'); do(b'\x0a'); do(b'\x0d'); do(b'\x0e'); do(b'\x1b\0\0'); do(b'\x1f'); do(b'\x02other'); do(b'\x03SELECT n FROM shop.numbers WHERE n < 4')
do(b'\x03SELECT n FROM shop.numbers WHERE n < 0'); do(b'\x03SELECT REPEAT(CHAR(0xfe), 4), REPEAT(CHAR(0), 4) UNION ALL SELECT \'\', \'\''); do(b'\x02shop'); a = do(b'\x16SELECT id, title FROM books WHERE id < ?')[5:9]
do(b'\x16UPDATE books SET title = ? WHERE id = ?'); one = do(b'\x16SELECT 1')[5:9]; do(b'\x16DO 1'); do(b'\x16SELECT * FROM missing WHERE a = ?')
value = b'\1\0\0\0\0\1\3\0\4\0\0\0'
do(b'\x17' + a + b'\0' + value); do(b'\x17' + a + b'\1' + value); do(b'\x1c' + a + b'\2\0\0\0'); do(b'\x1c' + a + b'\2\0\0\0'); do(b'\x1a' + a); do(b'\x17' + one + b'\0\1\0\0\0'); do(b'\x17\x63\0\0\0\0\1\0\0\0')
do(b'\x19' + a); do(b'\x17' + a + b'\0' + value); do(b'\x05created'); do(b'\x06created'); do(b'\x42unknown'); do(b'\x03'); do(b'\x0e'); send(0, b'\x01')
PY
sleep 1

tmp=$work/new; mkdir "$tmp" "$tmp/joined"
to=127.0.0.1:3391
rec() { # name, comment, command
	name=$1 comment=$2; shift 2
	"$work/record" -to "$to" -out "$tmp/$name.txtar" -comment "$comment
Recorded with record.sh." "$@" >/dev/null
	echo "$name"
}
v="MariaDB $(mariadbd --version | sed 's/.*Ver \([0-9.]*\).*/\1/')"; node="Node.js $(node --version)"; php="PHP $(php -r 'echo PHP_VERSION;') mysqli"; python="$(python3 --version) PyMySQL"; driver="go-sql-driver 1.9.3"
cli="-h127.0.0.1 -P8080 -ushop -phidden --skip-ssl"; tls="-h127.0.0.1 -P8080 -ushop -phidden --ssl"
rec cli-commands "mariadb and $v: the command line's way of changing the schema, and statements of many kinds." -- mariadb $cli -A -f -vv shop -e "SELECT * FROM books; USE other; SELECT DATABASE(); CREATE TABLE t (a INT); INSERT INTO t VALUES (1),(2),(3); UPDATE t SET a = a + 1 WHERE a > 1; DELETE FROM t; TRUNCATE t; DROP TABLE t; SET @a = 7; SHOW STATUS LIKE 'Uptime'; BEGIN; COMMIT; DO 1; SELECT nothing"
rec cli-rehash "mariadb and $v: it asks for the columns of every table first." -- sh -c "echo 'SELECT 1' | mariadb $cli --auto-rehash shop"
rec cli-refused "mariadb and $v: a wrong password." -- mariadb -h127.0.0.1 -P8080 -unobody -pwrong --skip-ssl -e "SELECT 1"
rec cli-no-schema "mariadb and $v: a schema that does not exist." -- mariadb $cli missing -e "SELECT 1"
rec cli-tls "mariadb and $v: it asks for TLS." -- mariadb $tls -e "SELECT 'hidden'"
rec cli-compressed "mariadb and $v: compressed." -- mariadb $cli --compress -e "SELECT 'hidden'"
rec cli-progress "mariadb and $v: reports on progress while a table is altered." -- mariadb $cli shop -e "SET progress_report_time = 1; CREATE TABLE big AS SELECT seq AS a, REPEAT('x', 300) AS b FROM seq_1_to_150000; ALTER TABLE big ADD INDEX (b), ALGORITHM=COPY; DROP TABLE big"
rec admin "mariadb-admin and $v." -- mariadb-admin $cli ping status refresh debug processlist
for c in text prepared user large; do rec "mysql2-$c" "mysql2 on $node and $v." -- node "$work/node/mysql2.js" $c; done
for c in pipelined batch; do rec "connector-$c" "MariaDB's connector on $node and $v." -- node "$work/node/mariadb.js" $c; done
for c in commands procedures cursor long compressed file; do rec "mysqli-$c" "$php and $v." -- sh -c "cd $work && php -d mysqli.allow_local_infile=1 mysqli.php $c new.tsv"; done
for c in odd transaction; do rec "pymysql-$c" "$python and $v." -- /usr/bin/python3 "$work/pymysql_.py" $c; done
for c in prepared interpolated left tls zlib; do rec "go-$c" "$driver and $v." -- "$work/godriver" $c; done
for c in old new; do rec "raw-$c" "A raw client and $v: every command, with CLIENT_DEPRECATE_EOF if it is the new one." -- /usr/bin/python3 "$work/raw.py" $c; done
if [ -n "${MYSQL:-}" ]; then
	host=${MYSQL%:*} port=${MYSQL#*:}
	mariadb -h"$host" -P"$port" -uroot --skip-ssl -e "DROP DATABASE IF EXISTS shop; DROP DATABASE IF EXISTS other; DROP USER IF EXISTS shop, nobody; CREATE DATABASE shop; CREATE DATABASE other; CREATE USER shop IDENTIFIED BY 'hidden'; CREATE USER nobody IDENTIFIED BY 'hidden'; GRANT ALL ON *.* TO shop"
	mariadb -h"$host" -P"$port" -uroot --skip-ssl shop <<'SQL'
CREATE TABLE books (id INT AUTO_INCREMENT PRIMARY KEY, title VARCHAR(100), notes LONGTEXT);
INSERT INTO books (title, notes) VALUES ('Leaves of Grass', ''), ('Moby-Dick', 'whale'), ('Walden', NULL);
CREATE TABLE numbers (n INT); INSERT INTO numbers WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 600) SELECT n FROM s;
DELIMITER //
CREATE PROCEDURE two(IN n INT, OUT total INT) BEGIN SELECT id FROM books WHERE id <= n; SELECT title FROM books; SELECT COUNT(*) INTO total FROM books; END //
CREATE PROCEDURE fails() BEGIN SELECT id FROM books; SELECT * FROM missing; END //
SQL
	server8="MySQL $(mariadb -h"$host" -P"$port" -uroot --skip-ssl -Ne 'SELECT VERSION()' | sed 's/-.*//')"
	rec8() { # name, comment, command
		to=$MYSQL; rec "mysql9-$1" "$2 and $server8." -- sh -c "$3"
	}
	for c in text prepared user large; do rec8 "mysql2-$c" "mysql2 on $node" "node $work/node/mysql2.js $c"; done
	for c in commands procedures cursor file; do rec8 "mysqli-$c" "$php" "cd $work && php -d mysqli.allow_local_infile=1 mysqli.php $c new.tsv"; done
	for c in prepared interpolated zlib; do rec8 "go-$c" "$driver" "$work/godriver $c"; done
	rec8 connector-batch "MariaDB's connector on $node" "node $work/node/mariadb.js batch"
fi
# What is lost of one that pipelines does not show in what is left.
sed -i 's/^-- conversation --$/&\nwhole/' "$tmp/connector-pipelined.txtar"
# Those of which the beginning was not seen.
cat >"$work/join.py" <<'PY'
import re, sys
for name in sys.argv[2:]:
    head, body = open(f'{sys.argv[1]}/{name}.txtar').read().split('-- conversation --\n')
    steps = re.split(r'(?m)^(?=[cs]|close|reset)', body)[1:]
    first = next(i for i, s in enumerate(steps) if s[0] == 'c' and re.match(r'c>[^\n]*\n    "(?:[^"\\]|\\(?!x)[^x]|\\x..){3}\\x00', s))
    open(f'{sys.argv[1]}/joined/{name}.txtar', 'w').write(head.replace('\nRecorded', '\nThe beginning was not seen.\nRecorded') + '-- conversation --\njoined\n' + ''.join(steps[first:]))
PY
python3 "$work/join.py" "$tmp" mysql2-text mysql2-prepared cli-commands raw-old raw-new mysqli-cursor go-prepared ${MYSQL:+mysql9-mysql2-text mysql9-mysqli-cursor}
mkdir -p "$here/joined"
cp "$tmp"/*.txtar "$here"
cp "$tmp"/joined/*.txtar "$here/joined"

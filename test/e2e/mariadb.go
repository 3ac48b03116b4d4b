package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A database is a running server of MySQL's protocol. Its account shop may do
// everything.
type database struct {
	*process // nil if the test has not started it
	system   string
	port     int
	password string // of the account shop
	dir      string // empty if the test has not started it
}

// Whatever the conversations need. A transaction that nobody commits holds the
// first of the locked: who wants it is told at once that it has to wait.
const schema = `
CREATE DATABASE shop; CREATE DATABASE other;
CREATE USER shop IDENTIFIED BY '%s'; GRANT ALL ON *.* TO shop; CREATE USER nobody IDENTIFIED BY 'hidden';
USE shop;
CREATE TABLE books (id INT AUTO_INCREMENT PRIMARY KEY, title VARCHAR(100), notes LONGTEXT);
INSERT INTO books (title, notes) VALUES ('Leaves of Grass', ''), ('Moby-Dick', 'whale'), ('Walden', NULL);
CREATE TABLE ledger (id INT AUTO_INCREMENT PRIMARY KEY, title VARCHAR(100), amount INT);
CREATE TABLE numbers (n INT);
INSERT INTO numbers WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 600) SELECT n FROM s;
CREATE TABLE locked (id INT PRIMARY KEY, n INT);
INSERT INTO locked VALUES (1, 0);
DELIMITER //
CREATE PROCEDURE two(IN most INT) BEGIN SELECT id FROM books WHERE id <= most; SELECT title FROM books WHERE id < 4; END //
CREATE PROCEDURE fails() BEGIN SELECT id FROM books WHERE id < 3; SELECT * FROM missing; END //
DELIMITER ;
XA START 'long'; UPDATE locked SET n = 1; XA END 'long'; XA PREPARE 'long';
`

// startMariaDB starts a MariaDB with a data directory of its own, which logs
// every command.
func startMariaDB(t testing.TB) *database {
	t.Helper()
	d := &database{system: "mariadb", port: freePort(t), password: "hidden", dir: tempDir(t)}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	options := []string{"--no-defaults", "--user=" + me.Username, "--datadir=" + filepath.Join(d.dir, "data"), "--skip-name-resolve"}
	install := exec.Command(program(t, "mariadb-install-db"), append(options, "--auth-root-authentication-method=normal", "--skip-test-db")...)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("mariadb-install-db: %v: %s", err, out)
	}
	d.process = start(t, exec.Command(program(t, "mariadbd"), append(options,
		"--bind-address=127.0.0.1", "--port="+strconv.Itoa(d.port), "--socket="+d.socket(), "--pid-file="+filepath.Join(d.dir, "pid"),
		"--general-log=1", "--general-log-file="+d.logPath(), "--innodb-flush-log-at-trx-commit=0",
		"--local-infile=1", "--max-allowed-packet=64M")...))
	d.awaitListening(t, loopback(d.port))
	d.administer(t, fmt.Sprintf(schema, d.password))
	return d
}

// The socket in the file system is how the test itself talks to the server:
// nothing of that is seen by the collector, which captures TCP.
func (d *database) socket() string  { return filepath.Join(d.dir, "socket") }
func (d *database) logPath() string { return filepath.Join(d.dir, "general.log") }

// administer has the server execute statements, as root, and returns what it says.
func (d *database) administer(t testing.TB, statements string) string {
	t.Helper()
	way := []string{"--socket=" + d.socket()}
	if d.process == nil {
		way = []string{"--host=127.0.0.1", "--port=" + strconv.Itoa(d.port), "--skip-ssl"}
	}
	cmd := exec.Command(program(t, "mariadb"), append([]string{"--no-defaults", "--user=root", "--skip-column-names"}, way...)...)
	cmd.Stdin = strings.NewReader(statements)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("mariadb: %v: %s", err, out)
	}
	return string(out)
}

// A logged command is a line of the general log, or several if the statement has.
type loggedCommand struct {
	command
	thread int    // of the server: one for each connection
	schema string // that the client wants to use, if it says so
	text   string // as the server had it
}

// generalLog returns what the server has logged, by connection, but for those
// of the test itself. It logs a command when it arrives.
func (d *database) generalLog(t testing.TB) map[int][]loggedCommand {
	t.Helper()
	read := d.logFile
	if d.process == nil {
		read = d.logTable
	}
	threads := make(map[int][]loggedCommand)
	for _, l := range read(t) {
		if !strings.HasPrefix(l.text, "Access denied") { // what the answer was
			threads[l.thread] = append(threads[l.thread], l)
		}
	}
	for thread, commands := range threads {
		if strings.HasPrefix(commands[0].text, "root@") {
			delete(threads, thread)
		}
	}
	return threads
}

var logLine = regexp.MustCompile(`(?m)^(?:\d{6} [ \d]\d:\d\d:\d\d\t|\t\t) *(\d+) ([A-Z][A-Za-z ]+)\t`)

func (d *database) logFile(t testing.TB) (all []loggedCommand) {
	t.Helper()
	log, err := os.ReadFile(d.logPath())
	if err != nil {
		t.Fatal(err)
	}
	at := logLine.FindAllSubmatchIndex(log, -1)
	for i, m := range at {
		end := len(log)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		text := bytes.TrimSuffix(log[m[1]:end], []byte("\n"))
		all = append(all, newLogged(string(log[m[2]:m[3]]), string(log[m[4]:m[5]]), string(text)))
	}
	return all
}

// logNames are those of commands in the general log that differ from the
// protocol's by more than spaces and case.
var logNames = map[string]string{"Reset stmt": "STMT_RESET", "Close stmt": "CLOSE", "Long Data": "SEND_LONG_DATA", "Processlist": "PROCESS_INFO"}

// identity is what the log says of who connects: user, host, schema and way.
var identity = regexp.MustCompile(`^\S+@\S+ on (\S*) using `)

func newLogged(thread, what, text string) loggedCommand {
	l := loggedCommand{text: text}
	l.thread, _ = strconv.Atoi(thread) // it has digits only
	l.What = logNames[what]
	if l.What == "" {
		l.What = strings.ReplaceAll(strings.ToUpper(what), " ", "_")
	}
	switch m := identity.FindStringSubmatch(text); {
	case l.What == "FIELD_LIST":
		l.Text, _, _ = strings.Cut(text, " ")
	case l.What == "INIT_DB":
		l.schema = text
	case m != nil:
		l.schema = m[1]
	case l.What == "EXECUTE": // with the values of its parameters
		l.Text = withoutLiterals(text)
	default:
		l.Text = withoutLiterals(text[:min(len(text), shownText)])
	}
	return l
}

func (l loggedCommand) String() string { return fmt.Sprintf("%s in thread %d", l.command, l.thread) }

package e2e

import (
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
)

// givenMySQL prepares the MySQL server that PERISCO_MYSQL names. Its schemas
// shop and other are made anew. Debian has no server that a test could start.
func givenMySQL(t testing.TB) *database {
	t.Helper()
	address := os.Getenv("PERISCO_MYSQL")
	if address == "" {
		t.Skip("needs a MySQL server on this machine whose root has no password: PERISCO_MYSQL=127.0.0.1:port")
	}
	_, digits, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatalf("PERISCO_MYSQL: %v", err)
	}
	// A password would take TLS, or a key that not all clients know how to use.
	d := &database{system: "mysql", password: ""}
	if d.port, err = strconv.Atoi(digits); err != nil {
		t.Fatalf("PERISCO_MYSQL: %v", err)
	}
	if strings.Contains(d.administer(t, "XA RECOVER"), "long") {
		d.administer(t, "XA ROLLBACK 'long'")
	}
	d.administer(t, "DROP DATABASE IF EXISTS shop; DROP DATABASE IF EXISTS other; DROP USER IF EXISTS shop, nobody;"+fmt.Sprintf(schema, d.password))
	d.administer(t, "SET GLOBAL local_infile = 1, log_output = 'TABLE', general_log = 1; TRUNCATE mysql.general_log")
	t.Cleanup(func() { d.administer(t, "SET GLOBAL general_log = 0") })
	return d
}

// logTable reads the general log where it is a table.
func (d *database) logTable(t testing.TB) (all []loggedCommand) {
	t.Helper()
	for line := range strings.Lines(d.administer(t, "SELECT thread_id, command_type, HEX(argument) FROM mysql.general_log")) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		text, err := hex.DecodeString(fields[len(fields)-1])
		if err != nil || len(fields) != 3 {
			t.Fatalf("general log: %q", line)
		}
		all = append(all, newLogged(fields[0], fields[1], string(text)))
	}
	return all
}

// tells reports whether an entry of the log is a command with an answer. MySQL
// logs that a statement is prepared also where it prepares it again by itself.
func (d *database) tells(l loggedCommand) bool {
	return l.answered() && (d.system == "mariadb" || l.What != "PREPARE")
}

// expected returns the commands of the log that a span is about. MariaDB logs
// what it receives, MySQL each statement of that which it understands.
func (d *database) expected(s span) (cs []command) {
	c := s.command()
	failure := text(s.Attributes(), "error.type")
	switch {
	case !s.logs() || !d.tells(loggedCommand{command: c}):
		return nil
	case d.system == "mariadb" || c.What != "QUERY":
		return []command{c}
	case failure == "1064" || failure == "1065" || failure == "1300": // syntax, nothing at all, no UTF-8
		return nil
	}
	parts := strings.Split(c.Text, ";")
	if failure != "" && len(parts) > 1 {
		parts = parts[:len(parts)-1] // it is one of the others that fails
	}
	for _, p := range parts {
		cs = append(cs, command{c.What, strings.TrimSpace(p)})
	}
	return cs
}

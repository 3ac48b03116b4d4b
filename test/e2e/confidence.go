package e2e

import (
	"database/sql"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// confide has clients tell a database secrets in all ways that SQL and its protocol
// have. It returns how many commands there were at least.
func confide(t *testing.T, db *database, v *vault) (commands int) {
	t.Helper()
	account := v.secret("native-password")
	db.administer(t, "CREATE USER keeper IDENTIFIED VIA mysql_native_password USING PASSWORD('"+account+"')")
	enter := exec.Command(program(t, "mariadb"), append(db.account("--user=keeper", "--password="+account), "--execute=SELECT 1")...)
	if out, err := enter.CombinedOutput(); err != nil {
		t.Fatalf("mariadb: %v: %s", err, out)
	}
	file := tempDir(t) + "/letters"
	writeFile(t, file, []byte(v.secret("loaded-file")+"\n"))
	var said []step
	for _, s := range []string{
		"SELECT title FROM books WHERE title = '$'", `SELECT id FROM books WHERE notes LIKE "%$%"`, "SELECT '$' AS told",
		`SELECT 'a' '$', N'$', _utf8'$', 'it\'s $', "say ""$"""`, "SELECT 1 /* $ */ -- $", "SELECT 2 # $", "SELECT /*!50000 '$' */",
		"SELECT 'without an end, $", "SELECT * FROM missing WHERE a = '$'",
		`INSERT INTO ledger (title) VALUES ('$'), ("$")`, "UPDATE ledger SET title = CONCAT('$', title)",
		"CREATE USER somebody IDENTIFIED BY '$'", "ALTER USER somebody IDENTIFIED BY '$'", "SET PASSWORD FOR somebody = PASSWORD('$')",
		"GRANT SELECT ON *.* TO somebody IDENTIFIED BY '$'", "CHANGE MASTER TO MASTER_PASSWORD = '$'", "DROP USER somebody",
		"SET @token = '$'", "PREPARE p FROM 'SELECT ''$'''", "EXECUTE IMMEDIATE 'SELECT ''$'''", "CALL two('$')",
		"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '$'", "DO GET_LOCK('$', 0)", "SELECT AES_ENCRYPT('a', '$')",
		"CREATE TABLE confided (a TEXT DEFAULT '$') COMMENT '$'", "SELECT 1; SELECT '$'; DO '$'",
	} {
		words := strings.Fields(s)
		said = append(said, step{Do: "query", SQL: strings.ReplaceAll(s, "$", v.secret(words[0]+"-"+words[1]))})
	}
	bound := func(way string) (steps []step) {
		for _, s := range []string{"SELECT title FROM books WHERE title = ?", "INSERT INTO ledger (title, amount) VALUES (?, 1)", "SELECT * FROM missing WHERE a = ?"} {
			steps = append(steps, step{Do: way, SQL: s, Args: []any{v.secret(way + "-parameter")}})
		}
		return steps
	}
	for _, c := range []struct {
		*reader
		steps []step
	}{
		{startPythonReader(t), said},
		{startGoReader(t, true), slices.Concat(said, bound("query"))},
		{startGoReader(t, false), slices.Concat(bound("query"), bound("kept"))},
		{startPHPReader(t), append(bound("prepared"), step{Do: "query", SQL: "LOAD DATA LOCAL INFILE '" + file + "' INTO TABLE ledger (title)"},
			step{Do: "user", SQL: "shop", Args: []any{v.secret("changed-user-password")}})},
	} {
		c.run(t, visit{Port: db.port, Password: db.password, Chats: [][]step{c.steps}})
		commands += len(c.steps)
	}
	return commands
}

// A gate is a server of MySQL's protocol that asks for passwords in clear text
// and lets nobody in. MariaDB does so with PAM only.
type gate struct {
	net.Listener
	port  int
	heard chan string // the password, or what went wrong
}

func openGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{port: freePort(t), heard: make(chan string, 1)}
	var err error
	if g.Listener, err = net.Listen("tcp", loopback(g.port)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	go func() {
		c, err := g.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		password, err := refuse(c)
		if err != nil {
			password = err.Error()
		}
		g.heard <- password
	}()
	return g
}

// refuse says to a client what a server does, up to its refusal, and returns
// the password. dev.mysql.com, page_protocol_connection_phase.
func refuse(c net.Conn) (password string, err error) {
	const capabilities = "\x09\x82" + "\x21\x02\x00" + "\x18\x00" // protocol 4.1, schemas; UTF-8, autocommit; plugins, attributes
	for i, said := range []string{
		"\x0a8.0.0\x00\x01\x00\x00\x00abcdefgh\x00" + capabilities + "\x15" + strings.Repeat("\x00", 10) + "ijklmnopqrst\x00mysql_native_password\x00",
		"\xfemysql_clear_password\x00",
		"\xff\x15\x04#28000Access denied",
	} {
		if _, err := io.WriteString(c, string([]byte{byte(len(said)), 0, 0, byte(2 * i)})+said); err != nil || said[0] == '\xff' {
			return password, err
		}
		head := make([]byte, 4)
		if _, err := io.ReadFull(c, head); err != nil {
			return "", err
		}
		body := make([]byte, int(head[0])|int(head[1])<<8)
		if _, err := io.ReadFull(c, body); err != nil {
			return "", err
		}
		password = strings.TrimSuffix(string(body), "\x00")
	}
	return password, nil
}

// enter tries a password, with an attribute of the connection.
func (g *gate) enter(t *testing.T, password, attribute string) {
	t.Helper()
	db, err := sql.Open("mysql", fmt.Sprintf("me:%s@tcp(%s)/shop?allowCleartextPasswords=true&connectionAttributes=token:%s", password, loopback(g.port), attribute))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(); err == nil {
		t.Error("the gate let somebody in")
	}
	if heard := <-g.heard; heard != password {
		t.Errorf("the gate heard %q, want %q", heard, password)
	}
}

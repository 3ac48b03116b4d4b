package e2e

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// account are the arguments of MariaDB's programs for the shop's.
func (d *database) account(more ...string) []string {
	return append([]string{"--no-defaults", "--host=127.0.0.1", "--port=" + strconv.Itoa(d.port), "--user=shop", "--password=" + d.password, "--skip-ssl"}, more...)
}

// slap has some clients send statements in turn, each so many, and returns its PID.
func slap(t testing.TB, d *database, clients, each int, statements ...string) (pid int) {
	t.Helper()
	cmd := exec.Command(program(t, "mariadb-slap"), d.account("--create-schema=shop", "--no-drop", "--delimiter=;",
		fmt.Sprint("--concurrency=", clients), fmt.Sprint("--number-of-queries=", clients*each), "--query="+strings.Join(statements, ";"))...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mariadb-slap: %v: %s", err, out)
	}
	return cmd.Process.Pid
}

var (
	rowsInSet    = regexp.MustCompile(`(?m)^(\d+) rows? in set`)
	emptySet     = regexp.MustCompile(`(?m)^Empty set`)
	rowsAffected = regexp.MustCompile(`(?m)^Query OK, (\d+) rows? affected`)
	failure      = regexp.MustCompile(`(?m)^ERROR (\d+) \(`)
)

// commandLine types statements into MariaDB's client and returns what it said
// to them, but to USE.
func commandLine(t testing.TB, d *database, steps []step) []deal {
	t.Helper()
	const border = "--------------\n"
	script := "DELIMITER //\n"
	var echoed []step
	for _, s := range steps {
		script += s.SQL + "\n//\n"
		if !use.MatchString(strings.TrimSuffix(s.SQL, ";")) { // which it does itself, by INIT_DB
			echoed = append(echoed, s)
		}
	}
	// With a buffer its errors would overtake what it says otherwise.
	cmd := exec.Command("stdbuf", append([]string{"-o0", program(t, "mariadb")}, d.account("--auto-rehash", "--force", "--unbuffered", "-vvv", "shop")...)...)
	cmd.Stdin = strings.NewReader(script)
	out, _ := cmd.CombinedOutput() // it fails since the last statement did
	parts := strings.Split(string(out), border)
	var told []deal
	for i := 2; i < len(parts); i += 2 { // a statement, and what came of it
		s := echoed[i/2-1]
		d := deal{command{"QUERY", s.text("QUERY")}, reply{Rows: -1}}
		said, _, _ := strings.Cut(parts[i], "ERROR 1049 (") // to a USE behind the statement
		for _, m := range rowsInSet.FindAllStringSubmatch(said, -1) {
			n, _ := strconv.Atoi(m[1])
			d.Rows = max(d.Rows, 0) + n
		}
		if emptySet.MatchString(said) {
			d.Rows = max(d.Rows, 0)
		}
		if m := failure.FindStringSubmatch(said); m != nil {
			d.Code, _ = strconv.Atoi(m[1])
			d.Rows = -1
		} else if m := rowsAffected.FindStringSubmatch(said); m != nil && d.Rows < 0 {
			d.Affected, _ = strconv.Atoi(m[1])
		}
		told = append(told, d)
	}
	if len(told) != len(echoed) {
		t.Fatalf("the command line has executed %d statements, want %d: %s", len(told), len(echoed), out)
	}
	return told
}

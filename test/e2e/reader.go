package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A reader is a process that asks a database, over connections that it keeps
// from one visit to the next.
type reader struct {
	*process
	service string // what service.name it must be given
	plans   *json.Encoder
	reports *json.Decoder
	began   [][]time.Time // when the deals of the last report began, where the reader tells
}

// A visit is what a reader shall do. Each of its chats has a connection.
type visit struct {
	Port     int
	Password string
	Chats    [][]step
	Pause    int // milliseconds before each step
}

// A step is what shall be done on a connection, one after the other.
type step struct {
	Do   string // a way to ask: see ways, and the readers in testdata
	SQL  string // or a name
	Args []any  // of a prepared statement
}

// heard is what a reader was told: of each chat, for each step, one command or more.
type heard [][][]told

type told struct {
	What string // the command
	reply
	Began float64 // seconds since 1970, where the reader tells
}

// startReader starts a reader that is the command.
func startReader(t testing.TB, service string, cmd *exec.Cmd) *reader {
	t.Helper()
	r := &reader{service: service}
	r.process, r.plans, r.reports = startAgent(t, cmd)
	return r
}

// startGoReader starts one of go-sql-driver. It puts arguments into the text of
// statements if it interpolates, and prepares them otherwise.
func startGoReader(t testing.TB, interpolates bool) *reader {
	t.Helper()
	cmd := self(t, "reader", fmt.Sprint(interpolates))
	return startReader(t, filepath.Base(os.Args[0]), cmd)
}

// startNodeReader starts one of mysql2.
func startNodeReader(t testing.TB) *reader {
	t.Helper()
	cmd := exec.Command(program(t, "node"), "testdata/reader.js")
	cmd.Env = append(os.Environ(), "NODE_PATH="+nodeModules(t))
	return startReader(t, "reader", cmd)
}

// startPHPReader starts one of mysqli.
func startPHPReader(t testing.TB) *reader {
	t.Helper()
	return startReader(t, "reader", exec.Command(program(t, "php"), "-d", "mysqli.allow_local_infile=1", "testdata/reader.php"))
}

// startPythonReader starts one of PyMySQL.
func startPythonReader(t testing.TB) *reader {
	t.Helper()
	return startReader(t, "reader", exec.Command(debianPython(t, "pymysql", "python3-pymysql"), "testdata/reader.py"))
}

// begin hands a visit over. report returns what the reader was told.
func (r *reader) begin(t testing.TB, v visit) {
	t.Helper()
	if err := r.plans.Encode(v); err != nil {
		t.Fatalf("tell the reader what to do: %v", err)
	}
}

// report returns the deals of each chat of v.
func (r *reader) report(t testing.TB, v visit) (chats [][]deal) {
	t.Helper()
	var answers heard
	if err := r.reports.Decode(&answers); err != nil {
		t.Fatalf("hear what the reader was told: %v", err)
	}
	r.began = make([][]time.Time, len(v.Chats))
	for i, steps := range v.Chats {
		var ds []deal
		for j, s := range steps {
			for _, a := range answers[i][j] {
				d := deal{command{a.What, s.text(a.What)}, a.reply}
				if d.Code != 0 || d.Rows >= 0 {
					d.Affected = 0
				}
				if d.Code != 0 {
					d.Rows = -1
				}
				ds = append(ds, d)
				r.began[i] = append(r.began[i], time.Unix(0, int64(a.Began*1e9)))
			}
		}
		chats = append(chats, ds)
	}
	return chats
}

// run makes a visit and returns the deals of each of its chats.
func (r *reader) run(t testing.TB, v visit) [][]deal {
	t.Helper()
	r.begin(t, v)
	return r.report(t, v)
}

// text returns what a command of the step carries.
func (s step) text(what string) string {
	switch what {
	case "QUERY", "PREPARE":
		return withoutLiterals(s.raw()[:min(len(s.raw()), shownText)])
	case "EXECUTE", "FETCH":
		return withoutLiterals(s.SQL)
	case "FIELD_LIST":
		return s.SQL
	}
	return ""
}

// raw is the statement as it is sent.
func (s step) raw() string {
	if s.Do != "bytes" {
		return s.SQL
	}
	var b []byte
	for _, r := range s.SQL { // each of which stands for a byte
		b = append(b, byte(r))
	}
	return string(b)
}

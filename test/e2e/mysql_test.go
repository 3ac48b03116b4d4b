package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMariaDB(t *testing.T) {
	needCapture(t)
	converse(t, startMariaDB(t))
}

func TestMySQL(t *testing.T) {
	needCapture(t)
	converse(t, givenMySQL(t))
}

// converse has all clients say all there is to say.
func converse(t *testing.T, db *database) {
	collector := startCollector(t, setup{Options: `{capture: {ring_buffer_size: 67108864}}`}) // long results come in bursts
	file := tempDir(t) + "/new"
	writeFile(t, file, []byte("7\n8\n9\n"))
	load := step{Do: "query", SQL: "LOAD DATA LOCAL INFILE '" + file + "' INTO TABLE shop.numbers"}

	many := []step{{Do: "query", SQL: "SELECT n, REPEAT('z', 1000) FROM (WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 300) SELECT n FROM s) AS t"}}
	// Longer than a packet. Some drivers read more than a MiB of it at once, which
	// is more than the collector follows, and with that where the next begins.
	large := []step{{Do: "query", SQL: "SELECT REPEAT('y', 20000000) AS large"}, {Do: "query", SQL: "SELECT 2 AS behind"}}
	user := func(schema string) step { return step{Do: "user", SQL: schema, Args: []any{db.password}} }
	everything := slices.Concat(statements, several)
	type run struct {
		name string
		*reader
		chats [][]step
		deals [][]deal
		exe   string
	}
	var runs []*run
	add := func(name string, r *reader, chats ...[]step) {
		for i := range chats {
			chats[i] = begins(fmt.Sprintf("%s_%d", name, i), chats[i])
		}
		runs = append(runs, &run{name: name, reader: r, chats: chats})
	}
	interpolated := func() []step {
		return slices.Concat(texts(220, everything...), []step{{Do: "ping"}}, prepared("query", 40), many)
	}
	add("interpolated", startGoReader(t, true), interpolated(), interpolated(), interpolated(), interpolated())
	onTheFly := func() []step {
		return slices.Concat(texts(40, everything...), prepared("query", 120), []step{{Do: "ping"}}, prepared("kept", 120))
	}
	add("prepared", startGoReader(t, false), onTheFly(), onTheFly(), onTheFly())
	add("mysql2", startNodeReader(t),
		slices.Concat(texts(220, everything...), prepared("prepared", 80), []step{{Do: "ping"}, user("other"), {Do: "query", SQL: "SELECT DATABASE()"}}, many),
		slices.Concat(texts(100, everything...), prepared("prepared", 80), []step{{Do: "file", SQL: load.SQL}, user("shop")}))
	add("mysqli", startPHPReader(t), slices.Concat(texts(120, everything...), prepared("prepared", 80),
		[]step{load, {Do: "statistics"}, {Do: "ping"}, {Do: "debug"}, {Do: "use", SQL: "other"}, {Do: "query", SQL: "SELECT DATABASE()"}, {Do: "use", SQL: "nowhere"}, user("shop"),
			{Do: "cursor", SQL: "SELECT n FROM numbers WHERE n < ?", Args: []any{8}}, {Do: "cursor", SQL: "SELECT n FROM numbers WHERE n < ? ORDER BY n", Args: []any{7}},
			{Do: "long", SQL: "INSERT INTO books (title, notes) VALUES (?, ?)"}}, many))
	add("pymysql", startPythonReader(t), slices.Concat(texts(120, everything...), []step{
		{Do: "bytes", SQL: "SELECT LENGTH('\x00\u00ff hidden') AS odd -- \u00fe\x00"}, {Do: "bytes", SQL: "SELEC\u00ff nothing"}, {Do: "query", SQL: ";"},
		{Do: "fields", SQL: "books"}, {Do: "fields", SQL: "missing"}, {Do: "statistics"}, {Do: "ping"}, {Do: "option"},
		{Do: "use", SQL: "other"}, {Do: "query", SQL: "SELECT DATABASE()"}, {Do: "use", SQL: "nowhere"}, {Do: "use", SQL: "shop"},
		{Do: "reset"}}, many, large))
	began := time.Now()
	for _, r := range runs {
		r.begin(t, visit{Port: db.port, Password: db.password, Chats: r.chats, Pause: 3})
	}
	for _, r := range runs {
		r.deals = r.report(t, visit{Chats: r.chats})
	}
	slap(t, db, 8, 250, "SELECT title FROM books WHERE id = 1", "INSERT INTO ledger (title) VALUES ('slap')", "SELECT n FROM numbers LIMIT 10", "DO 1")
	told := commandLine(t, db, begins("cli", texts(200, everything...)))
	exe := ""
	if db.process != nil {
		exe = executable(t, db.pid())
	}
	for _, r := range runs {
		r.exe = executable(t, r.pid())
		r.stop(t)
	}
	ended := time.Now()
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)

	served, asked := collector.served(db.port), collector.asked(db.port)
	log := db.generalLog(t)
	t.Logf("%d commands logged, %d server and %d client spans", size(log), len(served), len(asked))
	checkSame(t, "client spans and server spans", asked.deals(collector.logs.items), served.deals(collector.logs.items))
	checkDialogues(t, db, served, log)
	both := append(served, asked...)
	checkSpans(t, both)
	checkRecords(t, both, collector.logs.items)
	checkEveryRecord(t, collector, db.port, len(both))
	checkTimes(t, both, nil, began, ended)
	if db.process != nil {
		checkResource(t, served, []int{db.pid()}, exe, "mariadbd")
	}
	checkSlow(t, both)
	checkNothing(t, collector, "hidden")
	checkKinds(t, both, log)
	for _, s := range both {
		if v := text(s.Attributes(), "db.system.name"); v != db.system {
			t.Fatalf("%s: db.system.name is %q", s.what(), v)
		}
	}
	chats := served.chats()
	checkTold(t, chats["cli"], collector.logs.items, told)
	for _, r := range runs {
		checkResource(t, asked.of(r.pid()), []int{r.pid()}, r.exe, r.service)
		for i, deals := range r.deals {
			t.Run(fmt.Sprint(r.name, " ", i), func(t *testing.T) {
				checkTold(t, chats[fmt.Sprintf("%s_%d", r.name, i)], collector.logs.items, deals)
			})
		}
	}
}

// checkNothing checks that a secret is nowhere in what comes out.
func checkNothing(t *testing.T, c *collector, secret string) {
	t.Helper()
	for _, path := range []string{c.traces.path, c.logs.path, c.output} {
		written, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(written), secret) {
			t.Errorf("%q is in %s", secret, path)
		}
	}
}

// checkKinds checks that nothing which a client can say was left out.
func checkKinds(t *testing.T, ss spans, log map[int][]loggedCommand) {
	t.Helper()
	said := make(map[string]int)
	for _, s := range ss {
		said[s.command().What]++
	}
	for _, commands := range log {
		for _, l := range commands {
			if !l.answered() {
				said[l.What]++
			}
		}
	}
	for _, what := range []string{"CONNECT", "QUERY", "PREPARE", "EXECUTE", "FETCH", "STMT_RESET", "CLOSE", "SEND_LONG_DATA", "INIT_DB", "FIELD_LIST",
		"CHANGE_USER", "RESET_CONNECTION", "SET_OPTION", "PING", "STATISTICS", "DEBUG", "QUIT"} {
		if said[what] == 0 {
			t.Errorf("nobody has said %s", what)
		}
	}
	t.Logf("%v", said)
}

func TestWhoIsRefusedIsSeenAndWhoCompressesIsLeftAlone(t *testing.T) {
	collector := startCollector(t, setup{})
	db := startMariaDB(t)
	ask := func(arguments ...string) {
		// Half of them are meant to fail.
		_ = exec.Command(program(t, "mariadb"), append(db.account(), append(arguments, "--execute=SELECT 'hidden'")...)...).Run()
	}
	ask("--user=nobody", "--password=wrong")
	ask("nowhere")
	ask("--compress", "shop")
	ask("--host=localhost", "--socket="+db.socket(), "shop") // no TCP
	collector.settle(t)
	collector.checkLossless(t)
	if n := counted(collector.scrape(t), "receiver_perisco_ignored_connections", `reason="compressed"`); n < 2 {
		t.Errorf("%v connections were ignored because they are compressed, want both ends of one", n)
	}
	collector.end(t)

	want := []deal{
		{command{What: "CONNECT"}, reply{Code: 1045, Rows: -1}},
		{command{What: "CONNECT"}, reply{Code: 1049, Rows: -1}},
		{command{What: "CONNECT"}, reply{Rows: -1}},
	}
	served, asked := collector.served(db.port), collector.asked(db.port)
	checkSame(t, "server spans", served.deals(collector.logs.items), want)
	checkSame(t, "client spans", asked.deals(collector.logs.items), want)
	checkSpans(t, append(served, asked...))
	checkRecords(t, append(served, asked...), collector.logs.items)
}

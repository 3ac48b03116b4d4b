package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
)

// A goReader is the role of a reader of go-sql-driver: visits on standard input,
// and on standard output what it was told.
type goReader struct {
	db           *sql.DB
	interpolates bool
	chats        []*goChat
}

// A goChat is a connection, and the statements that stay prepared on it.
type goChat struct {
	*sql.Conn
	interpolates bool
	kept         map[string]*sql.Stmt
}

func openReader(args []string) error {
	r := goReader{interpolates: args[0] == "true"}
	visits, reports := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var v visit
		if err := visits.Decode(&v); errors.Is(err, io.EOF) {
			return r.close()
		} else if err != nil {
			return err
		}
		if err := r.connect(v); err != nil {
			return err
		}
		if err := reports.Encode(r.carryOut(v)); err != nil {
			return err
		}
	}
}

func (r *goReader) connect(v visit) (err error) {
	if r.db == nil {
		source := fmt.Sprintf("shop:%s@tcp(%s)/shop?multiStatements=true&interpolateParams=%t&maxAllowedPacket=67108864", v.Password, loopback(v.Port), r.interpolates)
		if r.db, err = sql.Open("mysql", source); err != nil {
			return err
		}
	}
	for len(r.chats) < len(v.Chats) {
		c, err := r.db.Conn(context.Background())
		if err != nil {
			return err
		}
		r.chats = append(r.chats, &goChat{c, r.interpolates, map[string]*sql.Stmt{}})
	}
	return nil
}

func (r *goReader) close() error {
	if r.db == nil {
		return nil
	}
	for _, c := range r.chats {
		if err := c.Close(); err != nil {
			return err
		}
	}
	return r.db.Close()
}

func (r *goReader) carryOut(v visit) heard {
	all := make(heard, len(v.Chats))
	var wg sync.WaitGroup
	for i, steps := range v.Chats {
		all[i] = make([][]told, len(steps))
		wg.Go(func() {
			for j, s := range steps {
				time.Sleep(time.Duration(v.Pause) * time.Millisecond)
				began := seconds(time.Now())
				all[i][j] = []told{r.chats[i].take(s)}
				all[i][j][0].Began = began
			}
		})
	}
	wg.Wait()
	return all
}

const duplicate = 1062 // a key: ER_DUP_ENTRY

// take takes a step: query, kept (prepared once) or ping.
func (c *goChat) take(s step) (t told) {
	t.What, t.Rows = "QUERY", -1
	if s.Do == "kept" || len(s.Args) > 0 && !c.interpolates {
		t.What = "EXECUTE"
	}
	ctx := context.Background()
	var err error
	switch s.Do {
	case "ping":
		t.What = "PING"
		err = c.PingContext(ctx)
	case "kept":
		if c.kept[s.SQL] == nil {
			if c.kept[s.SQL], err = c.PrepareContext(ctx, s.SQL); err != nil {
				delete(c.kept, s.SQL)
				break
			}
		}
		if kept := c.kept[s.SQL]; s.hasRows() {
			t.Rows, err = count(kept.QueryContext(ctx, s.Args...))
		} else {
			t.Affected, err = affects(kept.ExecContext(ctx, s.Args...))
		}
	default:
		if s.hasRows() {
			t.Rows, err = count(c.QueryContext(ctx, s.SQL, s.Args...))
		} else {
			t.Affected, err = affects(c.ExecContext(ctx, s.SQL, s.Args...))
		}
	}
	var failed *mysql.MySQLError
	if errors.As(err, &failed) {
		t.Code = int(failed.Number)
		// What is wrong with a statement shows when it is prepared, but for its values.
		if t.What == "EXECUTE" && t.Code != duplicate {
			t.What = "PREPARE"
		}
	} else if err != nil {
		t.What = err.Error() // which is no command, and will be found to be none
	}
	return t
}

// hasRows reports whether the statement has any: database/sql wants to know before.
func (s step) hasRows() bool {
	switch word, _, _ := strings.Cut(s.SQL, " "); word {
	case "SELECT", "SELEC", "SHOW", "EXPLAIN", "CALL", "/*":
		return true
	}
	return false
}

func affects(r sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	return int(n), err
}

// count reads all rows of all results.
func count(rows *sql.Rows, err error) (int, error) {
	if err != nil {
		return -1, err
	}
	defer rows.Close()
	n := 0
	for {
		for rows.Next() {
			n++
		}
		if !rows.NextResultSet() {
			return n, rows.Err()
		}
	}
}

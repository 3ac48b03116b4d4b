package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// A pool is a reader with connections that stay.
type pool struct {
	name string
	*reader
	chats int
	keeps string // the way to a statement that stays prepared; empty: none does
}

// pools has each of them open its connections and prepare the older statement.
func pools(t *testing.T, db *database, ps ...*pool) []*pool {
	t.Helper()
	for _, p := range ps {
		p.run(t, p.visit(db, "early", p.older(1)))
	}
	return ps
}

// older returns n executions of the older statement, none if the pool keeps none.
func (p *pool) older(n int) []step {
	if p.keeps == "" {
		return nil
	}
	return slices.Repeat([]step{{Do: p.keeps, SQL: older, Args: []any{2}}}, n)
}

// visit has each of the pool's connections do the same, under a name of its own.
func (p *pool) visit(db *database, when string, steps []step) visit {
	v := visit{Port: db.port, Password: db.password, Pause: 3}
	for i := range p.chats {
		v.Chats = append(v.Chats, begins(p.chat(when, i), steps))
	}
	return v
}

func (p *pool) chat(when string, i int) string { return fmt.Sprintf("%s_%s_%d", when, p.name, i) }

func TestPoolsThatAreOlderThanTheCollector(t *testing.T) {
	needCapture(t)
	db := startMariaDB(t)
	ps := pools(t, db, &pool{"text", startGoReader(t, true), 3, ""}, &pool{"prepared", startGoReader(t, false), 3, "kept"},
		&pool{"mysql2", startNodeReader(t), 2, "prepared"}, &pool{"mysqli", startPHPReader(t), 1, ""}, &pool{"pymysql", startPythonReader(t), 1, ""})
	collector := startCollector(t, setup{})
	steps := texts(100, append(statements, several...)...)
	told := make(map[string][]deal)
	for _, p := range ps {
		for i, deals := range p.run(t, p.visit(db, "late", append(p.older(2), steps...))) {
			told[p.chat("late", i)] = deals
		}
	}
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)

	served, asked := collector.served(db.port), collector.asked(db.port)
	log := since(db.generalLog(t), "late")
	t.Logf("%d commands logged, %d server and %d client spans", size(log), len(served), len(asked))
	checkSame(t, "client spans and server spans", asked.deals(collector.logs.items), served.deals(collector.logs.items))
	checkDialogues(t, db, served, log)
	checkRecords(t, append(served, asked...), collector.logs.items)
	checkSlow(t, append(served, asked...))
	chats := served.chats()
	for name, deals := range told {
		for i := range deals {
			forget(&deals[i].command)
		}
		checkTold(t, chats[name], collector.logs.items, deals)
	}
}

func TestTheCollectorIsRestartedUnderLivePools(t *testing.T) {
	const n = 600
	needCapture(t)
	db := startMariaDB(t)
	ps := pools(t, db, &pool{"text", startGoReader(t, true), 2, ""}, &pool{"prepared", startGoReader(t, false), 2, "kept"}, &pool{"mysql2", startNodeReader(t), 2, "prepared"})
	first := startCollector(t, setup{})
	for _, p := range ps {
		p.run(t, p.visit(db, "first", texts(50, statements...)))
	}
	first.finish(t)
	if got, want := len(first.served(db.port)), 51*(2+2+2); got != want {
		t.Errorf("%d spans of the first collector, want %d", got, want)
	}

	visits := make([]visit, len(ps))
	for i, p := range ps {
		visits[i] = visit{Port: db.port, Password: db.password, Pause: 3}
		for j := range p.chats {
			visits[i].Chats = append(visits[i].Chats, live(p.chat("live", j), n, p.older(1)))
		}
		p.begin(t, visits[i])
	}
	second := startCollector(t, setup{})
	ready := time.Now()
	told, began := make(map[string][]deal), make(map[string][]time.Time)
	for i, p := range ps {
		for j, deals := range p.report(t, visits[i]) {
			told[p.chat("live", j)], began[p.chat("live", j)] = deals, p.began[j]
		}
	}
	second.finish(t)

	chats := second.served(db.port).chats()
	// Of each connection one end may be met a command later than the other.
	served, asked := len(second.served(db.port)), len(second.asked(db.port))
	if served-asked > len(told) || asked-served > len(told) {
		t.Errorf("%d server and %d client spans", served, asked)
	}
	for name, deals := range told {
		t.Run(name, func(t *testing.T) {
			for i := range deals {
				forget(&deals[i].command)
			}
			missed := len(deals) - len(chats[name])
			if missed < 1 || missed == len(deals) {
				t.Fatalf("%d of %d commands were missed: that tests nothing", missed, len(deals))
			}
			checkTold(t, chats[name], second.logs.items, deals[missed:])
			if late := began[name][missed-1]; late.After(ready) {
				t.Errorf("%s was missed, %s after the collector was ready", deals[missed-1], late.Sub(ready))
			}
			t.Logf("%d of %d commands were missed", missed, len(deals))
		})
	}
}

// live returns n statements that say which chat they belong to, or are the
// older one.
func live(name string, n int, older []step) (steps []step) {
	sorts := []string{
		"SELECT n AS chat_%s FROM numbers WHERE n < %d", "UPDATE ledger AS chat_%s SET amount = 1 WHERE id = %d",
		"SELECT * FROM missing AS chat_%s WHERE id = %d", "SELECT REPEAT('x', 6000) AS chat_%s, %d",
	}
	for i := range n {
		if i%3 == 0 && len(older) > 0 {
			steps = append(steps, older...)
			continue
		}
		steps = append(steps, step{Do: "query", SQL: fmt.Sprintf(sorts[i%len(sorts)], name, i)})
	}
	return steps
}

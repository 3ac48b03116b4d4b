package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func size(log map[int][]loggedCommand) (n int) {
	for _, commands := range log {
		n += len(commands)
	}
	return n
}

// checkSlow checks that the first statements of chats last from their first byte
// until the answer is there, even where they are what the protocol is known by.
func checkSlow(t *testing.T, ss spans) {
	t.Helper()
	n := 0
	var short findings
	for _, s := range ss {
		took := s.EndTimestamp().AsTime().Sub(s.StartTimestamp().AsTime())
		if !strings.Contains(s.command().Text, "SLEEP") {
			continue
		}
		if n++; took < 100*time.Millisecond-inexact {
			short.addf("%s: %s", s.what(), took)
		}
	}
	if n == 0 {
		t.Error("nobody has slept")
	}
	short.report(t, "spans that ended before their answers")
}

// since returns what was logged from the first statement of chats of some name
// on, as a collector knows it that was not there before.
func since(log map[int][]loggedCommand, name string) map[int][]loggedCommand {
	later := make(map[int][]loggedCommand)
	for thread, commands := range log {
		i := slices.IndexFunc(commands, func(l loggedCommand) bool { return strings.Contains(l.Text, " AS chat_"+name) })
		if i < 0 {
			continue
		}
		later[thread] = slices.Clone(commands[i:])
		for j := range later[thread] {
			forget(&later[thread][j].command)
		}
	}
	return later
}

// conversations returns the spans of servers by connection, each in the order in
// which they came out, which is that of the answers. Their times tell it less
// well: now and then the clock by which they are told is set right.
func (ss spans) conversations() map[int64]spans {
	all := make(map[int64]spans)
	for _, s := range ss {
		port := number(s.Attributes(), "client.port")
		all[port] = append(all[port], s)
	}
	return all
}

// chats returns those that began with a name.
func (ss spans) chats() map[string]spans {
	named := make(map[string]spans)
	for _, c := range ss.conversations() {
		for _, s := range c {
			if m := chatName.FindStringSubmatch(s.command().Text); m != nil {
				named[m[1]] = c
				break
			}
		}
	}
	return named
}

// logs reports whether the server logs the command: of some it never says a
// word, of others not if they fail early.
func (s span) logs() bool {
	failed := text(s.Attributes(), "error.type") != ""
	switch s.command().What {
	case "PING", "SET_OPTION", "RESET_CONNECTION", "FETCH":
		return false
	case "PREPARE", "INIT_DB":
		return !failed
	}
	return true
}

// answered reports whether the server says anything to a command of its log.
func (l loggedCommand) answered() bool {
	return l.What != "QUIT" && l.What != "CLOSE" && l.What != "SEND_LONG_DATA"
}

// checkDialogues checks that the commands of each connection are those that the
// server has logged, in order, and that each was in the right schema.
func checkDialogues(t *testing.T, db *database, served spans, log map[int][]loggedCommand) {
	t.Helper()
	var got [][]said
	for _, c := range served.conversations() {
		var all []said
		for _, s := range c {
			for _, c := range db.expected(s) {
				all = append(all, said{c, s})
			}
		}
		got = append(got, all)
	}
	var different, astray findings
	for _, want := range log {
		want = slices.DeleteFunc(slices.Clone(want), func(l loggedCommand) bool { return !db.tells(l) })
		if len(want) == 0 { // it is that of who had the log begin
			continue
		}
		// That with most in common is the same connection.
		best, common := -1, -1
		for i, g := range got {
			n := 0
			for n < min(len(g), len(want)) && g[n].command == want[n].command {
				n++
			}
			if n > common || n == common && len(g) == len(want) {
				best, common = i, n
			}
		}
		if best < 0 {
			different.addf("thread %d: no spans", want[0].thread)
			continue
		}
		g := got[best]
		if common != len(want) || common != len(g) {
			different.addf("thread %d: %d spans, %d logged; after %d it is %v, want %v", want[0].thread, len(g), len(want), common, at(g, common), at(want, common))
			if common < 3 {
				continue
			}
		}
		checkSchemas(&astray, g[:common], want)
		got = slices.Delete(got, best, best+1)
	}
	for _, g := range got {
		different.addf("%d spans of a connection that was not logged: %v", len(g), g[:min(len(g), 5)])
	}
	different.report(t, "conversations that the server has logged otherwise")
	astray.report(t, "wrong schemas")
}

// said is a command that should be logged, and the span that tells of it.
type said struct {
	command
	span
}

func (s said) String() string { return s.command.String() }

// at returns an element as text, or that there is none.
func at[T fmt.Stringer](list []T, i int) string {
	if i >= len(list) {
		return "the end"
	}
	return list[i].String()
}

var use = regexp.MustCompile("(?i)^use `?(\\w+)`?$")

func checkSchemas(wrong *findings, ss []said, log []loggedCommand) {
	inUse := ""
	for i, s := range ss {
		if text(s.Attributes(), "error.type") == "" {
			switch m := use.FindStringSubmatch(log[i].text); {
			case log[i].What == "CONNECT", log[i].What == "INIT_DB", log[i].What == "CHANGE_USER":
				inUse = log[i].schema
			case m != nil:
				inUse = m[1]
			}
		}
		if got := text(s.Attributes(), "db.namespace"); got != inUse {
			wrong.addf("%s: db.namespace is %q, want %q", log[i], got, inUse)
		}
	}
}

// checkTold checks that the spans of a conversation say what the client was
// told. Of what drivers say by themselves it does not know.
func checkTold(t *testing.T, ss spans, records []record, told []deal) {
	t.Helper()
	theirs := make(map[command]bool)
	for _, d := range told {
		theirs[d.command] = true
	}
	var got []deal
	for _, d := range ss.deals(records) {
		if theirs[d.command] && (d.What != "PREPARE" || d.Code != 0) {
			got = append(got, d)
		}
	}
	for i := range min(len(got), len(told)) {
		if got[i] != told[i] {
			t.Fatalf("%d: %s, but the client was told %s", i, got[i], told[i])
		}
	}
	if len(got) != len(told) {
		t.Errorf("%d spans, but the client was told of %d: %v", len(got), len(told), at(told, len(got)))
	}
}

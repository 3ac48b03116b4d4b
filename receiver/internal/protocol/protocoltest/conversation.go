package protocoltest

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// kind says what a step of a conversation is.
type kind byte

const (
	send   kind = iota
	ended       // a side shut its half down
	closed      // the connection is gone
	reset       // it was aborted
)

// A step is one thing that happened on a connection.
type step struct {
	kind    kind
	side    stream.Side // who did it; not for closed and reset
	data    []byte
	passed  int64 // bytes sent before data that were not captured, since nobody wants them; only where a test drops them
	missing int64 // bytes sent behind data that were not captured
	lost    bool  // its event never came; only where a test drops it
	at      time.Duration
}

// A Conversation is what two peers said to each other on one connection. As
// text it is a list of
//
//	c> @1.5ms "GET / HTTP/1.1\r\n" "x"*100 +200
//	    "or behind it, on lines that begin with a space"
//	s> "..."
//	s+ 300
//	c<
//	close
//
// where c is the client and s the server; c> is one write, of which the bytes
// behind + were not captured; c< shuts a half down; close and reset end the
// connection, at a time since its beginning. A first line "joined" says that
// the beginning was not seen, one "whole" that it is not to be tried with losses:
// nothing in what would be left shows what was lost.
type Conversation struct {
	Joined bool
	Whole  bool
	steps  []step
}

// Send adds a write.
func (c *Conversation) Send(side stream.Side, data []byte, at time.Duration) {
	c.steps = append(c.steps, step{kind: send, side: side, data: bytes.Clone(data), at: at})
}

// End adds that side shut its half down.
func (c *Conversation) End(side stream.Side, at time.Duration) {
	c.steps = append(c.steps, step{kind: ended, side: side, at: at})
}

// Close adds the end of the connection.
func (c *Conversation) Close(aborted bool, at time.Duration) {
	k := closed
	if aborted {
		k = reset
	}
	c.steps = append(c.steps, step{kind: k, at: at})
}

func parseConversation(text string) (*Conversation, error) {
	c := new(Conversation)
	var last time.Duration
	for i, line := range strings.Split(text, "\n") {
		rest := strings.TrimSpace(line)
		if rest == "" {
			continue
		}
		if line[0] != ' ' && line[0] != '\t' {
			var word string
			word, rest, _ = strings.Cut(rest, " ")
			s := step{at: last}
			switch word {
			case "joined":
				c.Joined = true
				continue
			case "whole":
				c.Whole = true
				continue
			case "close", "reset":
				s.kind = closed
				if word == "reset" {
					s.kind = reset
				}
			case "c>", "s>", "c+", "s+", "c<", "s<":
				if word[0] == 's' {
					s.side = stream.Server
				}
				if word[1] == '<' {
					s.kind = ended
				}
				if word[1] == '+' {
					rest = "+" + rest
				}
			default:
				return nil, fmt.Errorf("line %d: %q", i+1, word)
			}
			c.steps = append(c.steps, s)
		}
		if len(c.steps) == 0 {
			return nil, fmt.Errorf("line %d continues nothing", i+1)
		}
		s := &c.steps[len(c.steps)-1]
		if err := s.parse(rest); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		last = s.at
	}
	return c, nil
}

func (s *step) parse(rest string) error {
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		if rest[0] == '"' {
			q, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return err
			}
			rest = rest[len(q):]
			v, err := strconv.Unquote(q)
			if err != nil {
				return err
			}
			n := 1
			if after, ok := strings.CutPrefix(rest, "*"); ok {
				var count string
				count, rest, _ = strings.Cut(after, " ")
				if n, err = strconv.Atoi(count); err != nil {
					return err
				}
			}
			s.data = append(s.data, strings.Repeat(v, n)...)
			continue
		}
		var word string
		word, rest, _ = strings.Cut(rest, " ")
		var err error
		switch word[0] {
		case '@':
			s.at, err = time.ParseDuration(word[1:])
		case '+':
			s.missing, err = strconv.ParseInt(word[1:], 10, 32)
		default:
			err = fmt.Errorf("%q", word)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// String returns the text of c.
func (c *Conversation) String() string {
	var b strings.Builder
	if c.Joined {
		b.WriteString("joined\n")
	}
	if c.Whole {
		b.WriteString("whole\n")
	}
	for _, s := range c.steps {
		who := "cs"[s.side : s.side+1]
		switch s.kind {
		case closed:
			fmt.Fprintf(&b, "close @%v\n", s.at)
		case reset:
			fmt.Fprintf(&b, "reset @%v\n", s.at)
		case ended:
			fmt.Fprintf(&b, "%s< @%v\n", who, s.at)
		case send:
			fmt.Fprintf(&b, "%s> @%v\n", who, s.at)
			quote(&b, s.data)
			if s.missing > 0 {
				fmt.Fprintf(&b, "    +%d\n", s.missing)
			}
		}
	}
	return b.String()
}

// quote writes p line by line, and a byte that is repeated often once.
func quote(b *strings.Builder, p []byte) {
	const often, wide = 32, 96
	for len(p) > 0 {
		run := 1
		for run < len(p) && p[run] == p[0] {
			run++
		}
		if run >= often {
			fmt.Fprintf(b, "    %q*%d\n", p[:1], run)
			p = p[run:]
			continue
		}
		n := min(len(p), wide)
		if i := bytes.IndexByte(p[:n], '\n'); i >= 0 {
			n = i + 1
		}
		for i := 1; i < n; i++ { // stop before a repetition
			if i+often <= len(p) && bytes.Count(p[i:i+often], p[i:i+1]) == often {
				n = i
			}
		}
		fmt.Fprintf(b, "    %q\n", p[:n])
		p = p[n:]
	}
}

package mysql

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/protocol"
)

// said returns what each side said first in a recorded conversation: their
// writes until the direction has turned twice.
func said(t *testing.T, path string) (sides [2][]byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(text), "-- conversation --\n")
	body, _, _ = strings.Cut(body, "-- seen by")
	side, turns := -1, 0
	for line := range strings.Lines(body) {
		switch {
		case strings.HasPrefix(line, "c>"), strings.HasPrefix(line, "s>"):
			next := strings.IndexByte("cs", line[0])
			if next != side {
				side = next
				if turns++; turns > 2 {
					return sides
				}
			}
		case line[0] == ' ' && side >= 0:
			q, err := strconv.QuotedPrefix(strings.TrimSpace(line))
			if err != nil {
				continue
			}
			v, err := strconv.Unquote(q)
			if err != nil {
				t.Fatal(err)
			}
			n := 1
			if _, count, ok := strings.Cut(strings.TrimSpace(line)[len(q):], "*"); ok {
				n, _ = strconv.Atoi(strings.TrimSpace(count))
			}
			sides[side] = append(sides[side], strings.Repeat(v, n)...)
		}
	}
	return sides
}

func TestItIsRecognisedFromItsFirstTurn(t *testing.T) {
	p := New(DefaultOptions())
	for _, folder := range []string{"mysql", "mysql/joined"} {
		paths, _ := filepath.Glob("../../../../testdata/" + folder + "/*.txtar")
		if len(paths) == 0 {
			t.Fatal("no conversations")
		}
		for _, path := range paths {
			s := said(t, path)
			if folder == "mysql" {
				s[0] = nil // the greeting suffices
			}
			if v := p.Detect(s[0], s[1]); v != protocol.Yes {
				t.Errorf("%s: %v", path, v)
			}
			if v := p.Detect(s[1], s[0]); v == protocol.Yes {
				t.Errorf("%s: the other way round, too", path)
			}
			for n := range min(len(s[1]), 64) {
				if v := p.Detect(s[0], s[1][:n]); v == protocol.No {
					t.Errorf("%s: No to the first %d bytes", path, n)
				}
			}
		}
	}
}

func TestOtherProtocolsAreNotTakenForIt(t *testing.T) {
	p := New(DefaultOptions())
	no := func(t *testing.T, a, b []byte) {
		t.Helper()
		for _, s := range [][2][]byte{{a, b}, {b, a}, {a, nil}, {b, nil}, {nil, a}, {nil, b}} {
			if p.Detect(s[0], s[1]) == protocol.Yes {
				t.Errorf("Yes to %.60q and %.60q", s[0], s[1])
			}
		}
	}
	for _, folder := range []string{"http1", "http2"} {
		paths, _ := filepath.Glob("../../../../testdata/" + folder + "/*.txtar")
		if len(paths) == 0 {
			t.Fatal("no conversations")
		}
		for _, path := range paths {
			s := said(t, path)
			no(t, s[0], s[1])
		}
	}
	for name, s := range map[string][2]string{
		"Redis":      {"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "$1\r\nb\r\n"},
		"TLS":        {"\x16\x03\x01\x00\xfa\x01\x00\x00\xf6\x03\x03", "\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03"},
		"PostgreSQL": {"\x00\x00\x00\x21\x00\x03\x00\x00user\x00me\x00database\x00me\x00\x00", "R\x00\x00\x00\x08\x00\x00\x00\x00"},
		"MongoDB":    {"\x3a\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\xd4\x07\x00\x00", "\x3a\x00\x00\x00\x01\x00\x00\x00\x03\x00\x00\x00\xd4\x07\x00\x00"},
		"Kafka":      {"\x00\x00\x00\x20\x00\x12\x00\x03\x00\x00\x00\x01\x00\x05go-cl", "\x00\x00\x00\x20\x00\x00\x00\x01"},
		"SSH":        {"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-OpenSSH_9.2\r\n"},
		"SMTP":       {"EHLO books.example\r\n", "220 books.example ESMTP\r\n"},
		"zeros":      {strings.Repeat("\x00", 100), strings.Repeat("\x00", 100)},
	} {
		t.Run(name, func(t *testing.T) { no(t, []byte(s[0]), []byte(s[1])) })
	}
}

func TestRandomBytesAreNotTakenForIt(t *testing.T) {
	p := New(DefaultOptions())
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var a, b [64]byte
	fill := func(p []byte, seq byte) {
		for i := 0; i < len(p); i += 8 {
			binary.LittleEndian.PutUint64(p[i:], r.Uint64())
		}
		if r.IntN(2) == 0 { // like a packet, as far as its header goes
			p[0], p[1], p[2], p[3] = byte(r.IntN(80)), 0, 0, seq
		}
	}
	for range 500_000 {
		fill(a[:], 0)
		fill(b[:], 1)
		if p.Detect(a[:r.IntN(65)], b[:r.IntN(65)]) == protocol.Yes {
			t.Errorf("Yes to %q and %q", a, b)
		}
	}
}

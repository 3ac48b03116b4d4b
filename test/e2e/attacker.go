package e2e

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// An attack is what somebody says on a connection who means harm: write is called
// for one write after the other, as fast as the pace of attacks allows, and
// reports false if the other side has had enough.
type attack struct {
	Name  string
	Raw   bool // against a server that takes everything
	speak func(write func(string) bool)
}

const (
	h2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	h2Get     = "\x82\x84\x86" // by the static table: GET http://…/
	// attackPace is the pause before each write. Attackers, servers, the collector
	// and those who must not be harmed share what may be two cores.
	attackPace = 10 * time.Millisecond
)

// Types and flags of HTTP/2's frames. RFC 9113 6.
const (
	h2Headers, h2Reset, h2Settings, h2Ping, h2Continuation = 1, 3, 4, 6, 9

	h2EndStream, h2EndHeaders = 1, 4
)

func h2Frame(kind, flags byte, id uint32, payload string) string {
	p := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return string(binary.BigEndian.AppendUint32(p, id)) + payload
}

// onStreams returns an attack on HTTP/2 that says the same of some streams at a time.
func onStreams(each func(id uint32) string) func(func(string) bool) {
	return func(write func(string) bool) {
		id := uint32(1)
		for ok := write(h2Preface + h2Frame(h2Settings, 0, 0, "")); ok; {
			text := ""
			for range 2 {
				text += each(id)
				id += 2
			}
			ok = write(text)
		}
	}
}

func again(first, text string) func(func(string) bool) {
	return func(write func(string) bool) {
		for ok := write(first); ok; ok = write(text) {
		}
	}
}

var attacks = []attack{
	{Name: "a head byte by byte", speak: again("GET / HTTP/1.1\r\nHost: ", "x")},
	{Name: "a head without an end", speak: again("GET / HTTP/1.1\r\n", strings.Repeat("Host: x\r\n", 1000))},
	{Name: "pipelined requests", speak: again("", strings.Repeat("GET /x HTTP/1.1\r\nHost: h\r\n\r\n", 10))},
	{Name: "smuggled requests", speak: again("", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
	{Name: "a chunk of 2^63", speak: again("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n", strings.Repeat("x", 10_000))},
	{Name: "TLS behind HTTP", speak: again("GET /x HTTP/1.1\r\nHost: h\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00"+strings.Repeat("\xaa", 500))},
	{Name: "rapid resets", speak: onStreams(func(id uint32) string {
		return h2Frame(h2Headers, h2EndHeaders|h2EndStream, id, h2Get) + h2Frame(h2Reset, 0, id, "\x00\x00\x00\x08")
	})},
	{Name: "CONTINUATION without an end", speak: again(h2Preface+h2Frame(h2Settings, 0, 0, "")+h2Frame(h2Headers, 0, 1, h2Get), h2Frame(h2Continuation, 0, 1, "\x10\x01a\x01b"))},
	{Name: "SETTINGS and PING", speak: again(h2Preface+h2Frame(h2Settings, 0, 0, ""), h2Frame(h2Settings, 0, 0, "")+h2Frame(h2Ping, 0, 0, "12345678"))},
	{Name: "streams that never end", Raw: true, speak: onStreams(func(id uint32) string { return h2Frame(h2Headers, h2EndHeaders, id, h2Get) })},
	{Name: "streams that remember long paths", Raw: true, speak: onStreams(func(id uint32) string {
		if id == 1 { // a table of 64 KiB, and a path of 8 KiB
			return h2Frame(h2Headers, h2EndHeaders, id, "\x3f\xe1\xff\x03\x82\x86\x44\x7f\x81\x3f/"+strings.Repeat("p", 8191))
		}
		return h2Frame(h2Headers, h2EndHeaders, id, "\x82\x86\xbe")
	})},
	{Name: "a header list that unfolds", Raw: true, speak: onStreams(func(id uint32) string {
		return h2Frame(h2Headers, h2EndHeaders|h2EndStream, id, h2Get+"\x41\x7f\x81\x17"+strings.Repeat("a", 3072)+strings.Repeat("\xbe", 3000))
	})},
	{Name: "statements of MySQL", Raw: true, speak: again("\x01\x00\x00\x00\x0e", "\xff\xff\xff\x00\x03SELECT "+strings.Repeat("/*", 4000))},
	{Name: "bytes at random", Raw: true, speak: func(write func(string) bool) {
		r := rand.New(rand.NewPCG(1, 2))
		for ok := true; ok; {
			p := make([]byte, 1+r.IntN(2000))
			for i := range p {
				p[i] = byte(r.Uint32())
			}
			ok = write(string(p))
		}
	}},
}

// strike is the role of an attacker: <how long> <addresses…>. It carries all
// attacks out at once, on every address or on a server of its own that takes
// everything, and again whenever it is thrown out. On standard output it writes how
// many writes of each were accepted.
func strike(args []string) error {
	long, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer raw.Close()
	go takeEverything(raw)

	end := time.Now().Add(long)
	writes := make([]atomic.Int64, len(attacks))
	var wg sync.WaitGroup
	for i, a := range attacks {
		targets := args[1:]
		if a.Raw {
			targets = []string{raw.Addr().String()}
		}
		for _, target := range targets {
			wg.Go(func() {
				for time.Now().Before(end) {
					a.carryOut(target, end, &writes[i])
				}
			})
		}
	}
	wg.Wait()
	report := make(map[string]int64)
	for i, a := range attacks {
		report[a.Name] = writes[i].Load()
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}

func (a *attack) carryOut(target string, end time.Time, writes *atomic.Int64) {
	time.Sleep(attackPace)
	c, err := net.Dial("tcp", target)
	if err != nil {
		return // its queue may be full: again
	}
	defer c.Close()
	_ = c.SetDeadline(end)
	go func() { _, _ = io.Copy(io.Discard, c) }() // ends with c
	a.speak(func(text string) bool {
		time.Sleep(attackPace)
		if _, err := io.WriteString(c, text); err != nil {
			return false
		}
		writes.Add(1)
		return true
	})
}

// takeEverything reads whatever comes, and answers what may be an answer.
func takeEverything(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			p := make([]byte, 16<<10)
			for {
				n, err := c.Read(p)
				if err != nil {
					return
				}
				answer := h2Frame(h2Ping, 0, 0, "12345678")
				if n < 10 || p[n-1] == '*' { // a command of MySQL
					answer = "\x07\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00"
				}
				if _, err := io.WriteString(c, answer); err != nil {
					return
				}
			}
		}()
	}
}

//go:build linux && (amd64 || arm64)

package capture

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// patience is how long an expected event may take; emulated machines are slow.
const patience = 10 * time.Second

// typesHere reads the kernel's types once for all tests.
var typesHere = sync.OnceValues(func() (types, error) { return readTypes("") })

// openHere opens a source with one backend.
func openHere(o Options, b backend) (*kernel, error) {
	types, err := typesHere()
	if o.BTFPath != "" {
		types, err = readTypes(o.BTFPath)
	}
	if err != nil {
		return nil, err
	}
	return open(o, b, types)
}

// openKernel opens a source for the time of a test, and returns its first shard: the
// only one, unless o asks for more.
func openKernel(t testing.TB, o Options, b backend) *shard {
	t.Helper()
	needRoot(t)
	k, err := openHere(o, b)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k.shards[0]
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs CAP_BPF and CAP_PERFMON")
	}
	if err := checkPrivileges(); err != nil { // raises RLIMIT_MEMLOCK, too
		t.Fatal(err)
	}
}

// A player is a child that runs a script.
type player struct {
	client, server         FlowID
	clientAddr, serverAddr netip.AddrPort
	pid                    uint32

	w      *watch
	t      testing.TB
	cmd    *exec.Cmd
	in     io.Writer
	out    *bufio.Reader
	stderr bytes.Buffer
}

// cast starts a child, which connects and waits.
func cast(t testing.TB, name string) *player {
	t.Helper()
	p := &player{t: t, cmd: child(name), w: &watch{
		next:  map[bool]map[FlowID]uint32{false: {}, true: {}},
		start: map[bool]map[FlowID]uint32{false: {}, true: {}},
	}}
	p.w.p = p
	p.cmd.Stderr = &p.stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil { // the test ended before the script
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
	})
	p.in, p.out = in, bufio.NewReader(out)
	p.pid = uint32(p.cmd.Process.Pid)
	var clientAddr, serverAddr string
	line, _ := p.out.ReadString('\n')
	if _, err := fmt.Sscan(line, &p.client, &p.server, &clientAddr, &serverAddr); err != nil {
		_ = p.cmd.Wait()
		t.Fatal(p.stderr.String())
	}
	p.clientAddr, p.serverAddr = netip.MustParseAddrPort(clientAddr), netip.MustParseAddrPort(serverAddr)
	return p
}

// child is this program, to be run as one of children.
func child(name string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	// Without the signals by which Go preempts: they end a long read early.
	cmd.Env = append(os.Environ(), childEnv+"="+name, "GODEBUG=asyncpreemptoff=1")
	return cmd
}

// start lets the child go on.
func (p *player) start() { fmt.Fprintln(p.in) }

// play lets the child go on, to its next pause or its end.
func (p *player) play() {
	p.t.Helper()
	p.start()
	if _, err := p.out.ReadString('\n'); err == nil {
		return
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatalf("%v: %s", err, p.stderr.String())
	}
}

// begin lets the child go on until it has opened the connection and moved something
// over it, and returns what both ends were seen to do.
func (p *player) begin(src *shard) []Event {
	p.t.Helper()
	p.play()
	return p.see(src, func(w *watch) bool { return len(w.events) == 4 }).events
}

// A watch keeps what was seen of one player's connection.
type watch struct {
	p         *player
	events    []Event
	strangers []Event // of other connections
	lines     []string
	gone      int                        // ends that are closed
	next      map[bool]map[FlowID]uint32 // expected sequence numbers, by direction and flow
	start     map[bool]map[FlowID]uint32 // of the first byte
}

// see reads events of all shards of the source until done, or for a while, and
// returns all that were seen.
func (p *player) see(src *shard, done func(*watch) bool) *watch {
	p.t.Helper()
	w := p.w
	for end := time.Now().Add(patience); !done(w); {
		idle := 0
		for _, s := range src.shards {
			s.SetDeadline(time.Now().Add(10 * time.Millisecond / time.Duration(len(src.shards))))
			var e Event
			err := s.Next(&e)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				idle++
				continue
			}
			if err != nil {
				p.t.Fatal(err)
			}
			w.add(e)
		}
		if idle == len(src.shards) && time.Now().After(end) {
			return w
		}
	}
	// More than was waited for would be wrong, too.
	for _, s := range src.shards {
		s.SetDeadline(time.Now())
		for e := (Event{}); s.Next(&e) == nil; {
			w.add(e)
		}
		s.SetDeadline(time.Time{})
	}
	return w
}

func (w *watch) add(e Event) {
	if w.end(&e) == "" {
		w.strangers = append(w.strangers, e)
		return
	}
	switch w.end(&e) { // the backend chooses what names a flow
	case "client":
		w.p.client = e.Flow
	case "server":
		w.p.server = e.Flow
	}
	e.Data = slices.Clone(e.Data)
	w.events = append(w.events, e)
	w.lines = append(w.lines, w.describe(&e)...)
}

// end tells whose event it is. The addresses are for MPTCP, whose sockets have
// cookies that name nothing.
func (w *watch) end(e *Event) string {
	switch {
	case e.Flow == w.p.client || e.Local == w.p.clientAddr && e.Peer == w.p.serverAddr:
		return "client"
	case e.Flow == w.p.server || e.Local == w.p.serverAddr && e.Peer == w.p.clientAddr:
		return "server"
	}
	return ""
}

// describe says what an event tells, as in "client sent 5", and what it shows
// to have been missed.
func (w *watch) describe(e *Event) (lines []string) {
	who := w.end(e)
	if e.Side.String() != who {
		who += " taken for " + e.Side.String()
	}
	if !e.Sure {
		who += "?"
	}
	if e.Kind == Closed {
		w.gone++
	}
	if e.Kind == Opened {
		w.next[true][e.Flow], w.next[false][e.Flow] = e.Seq, e.Ack
		w.start[true][e.Flow], w.start[false][e.Flow] = e.Seq, e.Ack
	}
	if next, ok := w.next[e.Out][e.Flow]; ok && e.Sequenced && next != e.Seq {
		lines = append(lines, fmt.Sprintf("%s missed %d", who, int32(e.Seq-next)))
	}
	if next, ok := w.next[!e.Out][e.Flow]; ok && e.Kind == Closed && e.Sequenced && next != e.Ack {
		lines = append(lines, fmt.Sprintf("%s missed %d", who, int32(e.Ack-next)))
	}
	seq := e.Seq
	if !e.Sequenced { // counted here
		seq = w.next[e.Out][e.Flow]
	}
	w.next[e.Out][e.Flow] = seq + e.Len
	switch {
	case e.Kind == Opened:
		return append(lines, who+" opened")
	case e.Kind == Closed && e.Reset:
		return append(lines, who+" reset")
	case e.Kind == Closed:
		return append(lines, who+" closed")
	case e.Kind == Ended && e.Out:
		return append(lines, who+" ended")
	case e.Kind == Ended:
		return append(lines, who+" saw the end")
	}
	if _, ok := w.start[e.Out][e.Flow]; !ok { // older than the source
		w.start[e.Out][e.Flow] = seq
	}
	verb := "got"
	if e.Out {
		verb = "sent"
	}
	line := fmt.Sprintf("%s %s %d", who, verb, e.Len)
	if e.Passed > 0 {
		line += fmt.Sprintf(" passed %d", e.Passed)
	}
	if e.Missing != "" || int(e.Passed)+len(e.Data) < int(e.Len) {
		line += fmt.Sprintf(" captured %d %s", len(e.Data), e.Missing)
	}
	for i, b := range e.Data {
		if b != pattern(int(seq+e.Passed-w.start[e.Out][e.Flow])+i) {
			line += fmt.Sprintf(", wrong from %d on", i)
			break
		}
	}
	return append(lines, line)
}

// over reports whether both ends are closed.
func (w *watch) over() bool { return w.gone == 2 }

// data is the lines that tell of moved bytes: the client's, then the server's,
// because one can overtake the other.
func (w *watch) data() string {
	var data []string
	for _, end := range []string{"client", "server"} {
		for _, line := range w.lines {
			if strings.HasPrefix(line, end) && strings.ContainsAny(line, "0123456789") {
				data = append(data, line)
			}
		}
	}
	return strings.Join(data, "\n")
}

// of is all lines of one end.
func (w *watch) of(end stream.Side) string {
	var lines []string
	for _, line := range w.lines {
		if strings.HasPrefix(line, end.String()) {
			lines = append(lines, strings.TrimPrefix(line, end.String()+" "))
		}
	}
	return strings.Join(lines, "\n")
}

// lines makes one text of lines for comparison.
func lines(s ...string) string { return strings.Join(s, "\n") }

//go:build linux && (amd64 || arm64)

package capture

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/perisco-io/perisco/bpf"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

var (
	new6      = register("a connection over IPv6", script{connect: tcp6, do: roundTrip.do})
	newMapped = register("a connection of IPv4 over IPv6 sockets", script{connect: tcp4in6, do: roundTrip.do})
)

// many are n networks, which are not those of the tests.
func many(n int, more ...string) (networks []netip.Prefix) {
	for i := range n {
		networks = append(networks, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24))
	}
	for _, p := range more {
		networks = append(networks, netip.MustParsePrefix(p))
	}
	return networks
}

func TestConnectionsAreFilteredByTheirAddresses(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		for i, tt := range []struct {
			name              string
			filter            Filter
			four, mapped, six bool // what is seen
		}{
			{"the peer is in one of hundreds of networks", Filter{Include: Lists{Peer: many(500, "127.0.0.0/8")}}, true, true, false},
			{"or not", Filter{Include: Lists{Peer: many(500)}}, false, false, false},
			{"is excluded", Filter{Exclude: Lists{Peer: many(500, "127.0.0.1/32")}}, false, false, true},
			{"the own address is", Filter{Exclude: Lists{Local: many(0, "::1/128")}}, true, true, false},
			{"the own address is included", Filter{Include: Lists{Local: many(0, "::1/128")}}, false, false, true},
			{"all of IPv6 is not IPv4", Filter{Exclude: Lists{Local: many(0, "::/0")}}, true, true, false},
			{"nor the other way round", Filter{Include: Lists{Local: many(0, "0.0.0.0/0")}}, true, true, false},
			{"what is included at one end is excluded at the other",
				Filter{Include: Lists{Local: many(0, "127.0.0.0/8", "::1/128")}, Exclude: Lists{Peer: many(0, "127.0.0.0/8")}}, false, false, true},
		} {
			if enough(i, b) {
				break
			}
			src := openKernel(t, Options{Filter: tt.filter}, b)
			for name, seen := range map[string]bool{newHere: tt.four, newMapped: tt.mapped, new6: tt.six} {
				p := cast(t, name)
				p.play()
				checkFiltered(t, fmt.Sprint(tt.name, ", ", name), p.see(src, endOrNothing(seen)), seen)
			}
			must(src.Close())
		}
	})
}

// enough reports whether case i of a filter need not be tried with b, for what
// loading programs costs in an emulator: connections are judged before any
// backend has a say, so that one shows how and the others that they ask.
func enough(i int, b backend) bool { return i >= 2 && b.name != best().name }

// endOrNothing waits for the end of a connection that is seen. What is not, was
// over before: nothing is on its way.
func endOrNothing(seen bool) func(*watch) bool {
	return func(w *watch) bool { return !seen || w.over() }
}

func checkFiltered(t *testing.T, what string, w *watch, seen bool) {
	t.Helper()
	want := ""
	if seen {
		want = lines("opened", "got 100", "sent 10", "ended", "closed")
	}
	if got := w.of(stream.Server); got != want {
		t.Errorf("%s: server:\n%s\nwant:\n%s", what, got, want)
	}
}

// The connection is older than the source, or its server's port would not be
// known before; those that follow are not.
func TestConnectionsAreFilteredByTheServersPort(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		for i, tt := range []struct {
			name   string
			filter func(server, client uint16) Filter
			old    bool // whether an end of the old connection is seen
			new    bool
		}{
			{"it is included", func(s, _ uint16) Filter { return Filter{Include: Lists{Ports: []PortRange{{s, s}}}} }, true, true},
			{"it is in a range", func(s, _ uint16) Filter { return Filter{Include: Lists{Ports: []PortRange{{s - 1, s + 1}}}} }, true, true},
			{"another is", func(s, _ uint16) Filter {
				return Filter{Include: Lists{Ports: []PortRange{{1, s - 1}, {s + 1, 65535}}}}
			}, true, false},
			{"it is excluded", func(s, _ uint16) Filter { return Filter{Exclude: Lists{Ports: []PortRange{{80, 80}, {s, s}}}} }, false, false},
			{"the client's is", func(_, c uint16) Filter { return Filter{Exclude: Lists{Ports: []PortRange{{c, c}}}} }, true, true},
		} {
			if enough(i, b) {
				break
			}
			p := cast(t, row)
			src := openKernel(t, Options{Filter: tt.filter(p.serverAddr.Port(), p.clientAddr.Port())}, b)
			p.play()
			w := p.see(src, func(w *watch) bool {
				return (!tt.old || w.gone > 0) && (!tt.new || opened(w) >= rowLength)
			})
			if n := opened(w); (n >= rowLength) != tt.new || !tt.new && n > 0 {
				t.Errorf("%s: saw %d connections opening", tt.name, n)
			}
			if (w.gone > 0) != tt.old {
				t.Errorf("%s: saw %d ends of the old connection close", tt.name, w.gone)
			}
			must(src.Close())
		}
	})
}

// opened counts the other connections of the server that were seen opening.
func opened(w *watch) (n int) {
	for _, e := range w.strangers {
		if e.Kind == Opened && (e.Local == w.p.serverAddr || e.Peer == w.p.serverAddr) {
			n++
		}
	}
	return n
}

func TestProcessesAreFiltered(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		for _, shards := range []int{1, 4} {
			testProcesses(t, Options{Shards: shards}, b)
		}
	})
}

func testProcesses(t *testing.T, o Options, b backend) {
	t.Helper()
	asked := make(map[uint32]int)
	unwanted := uint32(0)
	o.Filter.Process = func(pid uint32, start uint64, _ [16]byte) bool {
		asked[pid]++
		return pid != unwanted && start != 0
	}
	src := openKernel(t, o, b)
	p := cast(t, ignored)
	unwanted = p.pid
	p.play()
	p.see(src, func(w *watch) bool { return asked[p.pid] > 0 })
	p.play()
	w := p.see(src, (*watch).over)
	for _, e := range w.events {
		if e.Kind == Data {
			t.Errorf("saw %+v", e)
		}
	}
	if asked[p.pid] != 1 {
		t.Errorf("asked %d times about one process", asked[p.pid])
	}
	var refusal bpf.CaptureRefusal
	if err := src.refusals.kernel.Lookup(p.pid, &refusal); err != nil {
		t.Errorf("the kernel does not refuse the process: %v", err)
	}

	p = cast(t, newHere)
	p.play()
	w = p.see(src, (*watch).over)
	checkFiltered(t, "another process", w, true)
	if asked[p.pid] != 1 {
		t.Errorf("asked %d times about one that is wanted", asked[p.pid])
	}
}

const descriptorVariable = "PERISCO_TEST_DESCRIPTOR"

// A process that is not wanted, until it becomes another program.
var becoming = register("a process that executes another program", script{do: func(c, s *end) {
	c.write(10)
	s.read(10)
	pause()
	c.write(30)
	s.read(30)
	_, err := unix.FcntlInt(uintptr(c.fd), unix.F_SETFD, 0) // survives
	must(err)
	must(unix.Exec("/proc/self/exe", []string{"become"}, []string{childEnv + "=" + become, descriptorVariable + "=" + strconv.Itoa(c.fd)}))
}})

const become = "what another program became"

func init() {
	children[become] = func() error {
		fd, err := strconv.Atoi(os.Getenv(descriptorVariable))
		must(err)
		(&end{fd: fd}).write(20)
		return nil
	}
}

func TestAVerdictIsOfTheProgramNotOfTheProcess(t *testing.T) {
	forEachBackend(t, func(t *testing.T, b backend) {
		var verdicts []bool
		var child uint32
		src := openKernel(t, Options{Filter: Filter{Process: func(pid uint32, _ uint64, _ [16]byte) bool {
			if pid != child {
				return false
			}
			verdicts = append(verdicts, len(verdicts) > 0)
			return verdicts[len(verdicts)-1]
		}}}, b)
		p := cast(t, becoming)
		child = p.pid
		p.play()
		p.see(src, func(*watch) bool { return len(verdicts) > 0 })
		p.play()
		w := p.see(src, (*watch).over)
		var sent []uint32
		for _, e := range w.events {
			if e.Kind == Data {
				sent = append(sent, e.Len)
			}
		}
		if len(sent) != 1 || sent[0] != 20 || len(verdicts) != 2 {
			t.Errorf("saw %d, after verdicts %v; want 20 of the second program", sent, verdicts)
		}
	})
}

package e2e

import (
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"
)

// BenchmarkShapes measures what being observed costs by what the traffic is
// like: CPU time of a unit beside a collector and without one, and how much of
// the bytes was copied.
func BenchmarkShapes(b *testing.B) {
	const mega = 1 << 20
	shapes := []struct {
		name  string
		start func(b *testing.B) work
	}{
		{"HTTP/1, answers of 4 KiB", func(b *testing.B) work {
			nginx := startNginx(b, nginxSetup{}, 0)
			return byWrk(nginx.family(), 2*4<<10, "-c16", nginx.url()+"/file/")
		}},
		{"HTTP/2, answers of 4 KiB", func(b *testing.B) work {
			return byH2load(startNghttpd(b, 4<<10), 2*4<<10, 20_000, "-m10")
		}},
		{"HTTP/1, answers of 1 MiB", func(b *testing.B) work {
			nginx := startNginx(b, nginxSetup{}, 0)
			return byWrk(nginx.family(), 2*mega, "-c4", nginx.url()+"/mega/")
		}},
		{"HTTP/2, answers of 1 MiB", func(b *testing.B) work {
			return byH2load(startNghttpd(b, mega), 2*mega, 500, "-m2")
		}},
		{"HTTP/2, answers of 1 MiB on older connections", func(b *testing.B) work {
			const requests = 500
			s, l := startNghttpd(b, mega), startHTTP2Load(b, 8, 2)
			ask := func(b *testing.B) {
				l.begin(b, plan{URL: s.url(), Requests: slices.Repeat([]request{{Method: "GET", URI: "/page"}}, requests)})
				l.report(b)
			}
			ask(b)
			return work{append(s.family(), l.family()...), 2, 2 * mega, func(b *testing.B) (int, time.Duration) {
				ask(b)
				return requests, 0
			}}
		}},
		{"HTTP/1, uploads of 1 MiB", func(b *testing.B) work {
			s := startGo(b, "127.0.0.1", freePort(b))
			return byWrk(s.family(), 2*mega, "-c4", "-s", "testdata/upload.lua", s.url()+"/answer/200/0/")
		}},
		{"HTTP/1, server-sent events", func(b *testing.B) work {
			const connections, events = 8, 5000
			s, l := startGo(b, "127.0.0.1", freePort(b)), startLoad(b, connections)
			return work{pids: append(s.family(), l.family()...), moved: 2 * 100, do: func(b *testing.B) (int, time.Duration) {
				var requests []request
				for range connections {
					requests = append(requests, request{Method: "GET", URI: fmt.Sprintf("/events/%d", events)})
				}
				l.begin(b, plan{URL: s.url(), Requests: requests})
				l.report(b)
				return connections * events, 0
			}}
		}},
		{"HTTP/1, long polls", func(b *testing.B) work {
			s := startGo(b, "127.0.0.1", freePort(b))
			return byWrk(s.family(), 0, "-c64", s.url()+"/poll/20")
		}},
		{"WebSocket, messages of 4 KiB", func(b *testing.B) work { return byEcho(b, websocket) }},
		{"TLS, messages of 4 KiB", func(b *testing.B) work { return byEcho(b, encrypted) }},
		{"unknown, messages of 4 KiB", func(b *testing.B) work { return byEcho(b, unknown) }},
	}
	for _, s := range shapes {
		b.Run(s.name, func(b *testing.B) {
			compare(b, s.start(b), 3, side{"off", nil}, side{"on", &setup{Discard: true}})
		})
	}
}

// byWrk is requests that wrk makes.
func byWrk(pids []int, moved int, args ...string) work {
	return work{pids, 2, moved, func(b *testing.B) (int, time.Duration) {
		cmd, requests := wrk(b, append([]string{"-t1", "-d1s"}, args...)...)
		return requests, used(cmd)
	}}
}

// byH2load is requests for the page of an nghttpd.
func byH2load(s *site, moved, requests int, args ...string) work {
	return work{s.family(), 2, moved, func(b *testing.B) (int, time.Duration) {
		cmd := exec.Command(program(b, "h2load"), append(args, "-c8", "-n", strconv.Itoa(requests), s.url()+"/page")...)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("h2load: %v: %s", err, out)
		}
		return requests, used(cmd)
	}}
}

// byEcho is messages that are said and come back.
func byEcho(b *testing.B, kind string) work {
	const connections, messages = 8, 3000
	s := site{host: "127.0.0.1", port: freePort(b)}
	server := startSite(b, s, self(b, "echo", s.address(), kind))
	return work{server.family(), 0, 4 * echoed, func(b *testing.B) (int, time.Duration) {
		cmd := self(b, "speak", s.address(), kind, strconv.Itoa(connections), strconv.Itoa(messages))
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("speak %s: %v: %s", kind, err, out)
		}
		return connections * messages, used(cmd)
	}}
}

// used is the CPU time of a command that has ended.
func used(cmd *exec.Cmd) time.Duration {
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

package e2e

import (
	"fmt"
	"testing"
)

func TestFiltersLeaveOutWhatTheyExclude(t *testing.T) {
	unwanted, six := startGo(t, "127.0.0.1", freePort(t)), startGo(t, "::1", freePort(t))
	wanted := startGo(t, "127.0.0.1", freePort(t))
	collector := startCollector(t, setup{Options: fmt.Sprintf(
		"{filter: {exclude: {ports: [1, %d], peer_networks: ['::1', 10.0.0.0/8], executables: [wget, curl]}}}", unwanted.port)})
	load := startLoad(t, 2)
	requests := answers(50)
	for _, s := range []*site{unwanted, six, wanted} {
		load.run(t, s.url(), requests)
		for i := range 10 {
			curl(t, fmt.Sprintf("%s/answer/200/10/curl/%d", s.url(), i))
		}
	}
	collector.finish(t)
	for what, c := range map[string]struct{ got, want int }{
		"the server whose port is excluded":                {len(collector.served(unwanted.port)), 0},
		"its clients":                                      {len(collector.asked(unwanted.port)), 0},
		"the server whose clients' addresses are excluded": {len(collector.served(six.port)), 0},
		"its clients, by the server's address":             {len(collector.asked(six.port)), 0},
		"the other server":                                 {len(collector.served(wanted.port)), len(requests) + 10},
		"its clients but curl":                             {len(collector.asked(wanted.port)), len(requests)},
	} {
		if c.got != c.want {
			t.Errorf("%d spans of %s, want %d", c.got, what, c.want)
		}
	}
}

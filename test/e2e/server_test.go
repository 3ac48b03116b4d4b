package e2e

import (
	"fmt"
	"net"
	"testing"
	"time"
)

func TestServersAreSeenForWhatTheyAre(t *testing.T) {
	files := func(n int) (requests []request) {
		for i := range n {
			r := request{Method: "GET", URI: fmt.Sprintf("/page?n=%d", i)}
			switch i % 4 {
			case 1:
				r.Method = "HEAD"
			case 2:
				r.URI = fmt.Sprintf("/nothing/%d", i)
			}
			requests = append(requests, r)
		}
		return requests
	}
	collector := startCollector(t, setup{})
	type run struct {
		*site
		seen      []exchange
		pids      []int
		exe       string
		load      *load
		clientExe string
	}
	var runs []run
	start := []struct {
		site     func() *site
		requests []request
	}{
		{func() *site { return startGo(t, "127.0.0.1", freePort(t)) }, answers(300)},
		{func() *site { return startNode(t) }, answers(300)},
		{func() *site { return startPython(t) }, answers(300)},
		{func() *site { return startPythonFiles(t) }, files(100)},
		{func() *site { return startGo(t, "::1", freePort(t)) }, answers(30)},
	}
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Logf("no server on ::1, because this machine has none: %v", err)
		start = start[:len(start)-1]
	} else {
		l.Close()
	}
	for _, c := range start {
		s, load := c.site(), startLoad(t, 4)
		seen := load.run(t, s.url(), c.requests)
		runs = append(runs, run{s, seen, s.family(), executable(t, s.pid()), load, executable(t, load.pid())})
	}
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)

	for _, r := range runs {
		t.Run(r.service+" "+r.host, func(t *testing.T) {
			served, asked := collector.served(r.port), collector.asked(r.port)
			checkSame(t, "server spans and what the client saw", served.exchanges(), r.seen)
			checkSame(t, "client spans and what the client saw", asked.exchanges(), r.seen)
			checkSpans(t, append(served, asked...))
			checkRecords(t, append(served, asked...), collector.logs.items)
			checkResource(t, served, r.pids, r.exe, r.service)
			checkResource(t, asked, []int{r.load.pid()}, r.clientExe, r.load.name)
			var flaws findings
			for _, s := range served {
				m := s.Attributes()
				if v := text(m, "server.address"); v != r.host {
					flaws.addf("%s: server.address is %s", s.uri(), v)
				}
				if v := text(m, "user_agent.original"); v != "Go-http-client/1.1" {
					flaws.addf("%s: user_agent.original is %s", s.uri(), v)
				}
			}
			flaws.report(t, "flaws of attributes")
		})
	}
}

func TestApache(t *testing.T) {
	collector := startCollector(t, setup{})
	apache, load := startApache(t, "http/1.1"), startLoad(t, 8)
	var requests []request
	for i := range 1000 {
		r := request{Method: "GET", URI: fmt.Sprintf("/file/%d?n=%d", i, i)}
		switch i % 8 {
		case 1:
			r.Method = "HEAD"
		case 2:
			r.URI = fmt.Sprintf("/missing/%d", i)
		case 3:
			r.URI = fmt.Sprintf("/moved/%d", i)
		case 4:
			r.URI = fmt.Sprintf("/denied/%d", i)
		case 5:
			r.URI, r.Header = fmt.Sprintf("/gzip/%d", i), map[string]string{"Accept-Encoding": "gzip"}
		case 6:
			r.Method, r.Body = "POST", 2000
		}
		requests = append(requests, r)
	}
	began := time.Now()
	seen := load.run(t, apache.url(), requests)
	ended := time.Now()
	family, exe := apache.family(), executable(t, apache.pid())
	collector.settle(t)
	collector.checkLossless(t)
	collector.end(t)

	log := readAccessLog(t, apache.log, time.Microsecond)
	checkSame(t, "what the client saw and what Apache logged", seen, logged(log))
	served, asked := collector.served(apache.port), collector.asked(apache.port)
	checkSame(t, "server spans and access log", served.exchanges(), logged(log))
	checkSame(t, "client spans and access log", asked.exchanges(), logged(log))
	checkSpans(t, append(served, asked...))
	checkRecords(t, append(served, asked...), collector.logs.items)
	checkTimes(t, asked, nil, began, ended)
	checkResource(t, served, family, exe, "apache2")
}

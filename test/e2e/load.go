package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// A load is a process that makes requests, over connections that it keeps
// from one plan to the next.
type load struct {
	*process
	plans   *json.Encoder
	reports *json.Decoder
}

// A plan is what a load shall do. The i-th request goes over connection i
// modulo their number, one after the other on each, or on each of its streams.
type plan struct {
	URL      string // before the URIs
	Requests []request
	Pause    time.Duration // before each request
}

// A request is one that a load shall make.
type request struct {
	Method string
	URI    string
	Body   int // bytes
	Header map[string]string
}

// An outcome is how a request went.
type outcome struct {
	exchange
	Began, Ended time.Time
	Err          string
}

// startLoad starts a load with a number of connections.
func startLoad(t testing.TB, connections int) *load {
	t.Helper()
	l := new(load)
	l.process, l.plans, l.reports = startAgent(t, self(t, "load", strconv.Itoa(connections)))
	return l
}

// startHTTP2Load starts one that speaks HTTP/2, on each connection with some
// streams that are open at a time.
func startHTTP2Load(t testing.TB, connections, streams int) *load {
	t.Helper()
	l := new(load)
	l.process, l.plans, l.reports = startAgent(t, self(t, "load", strconv.Itoa(connections), strconv.Itoa(streams)))
	return l
}

// startAgent starts a process that reads plans from its standard input and
// writes to its standard output what came of them.
func startAgent(t testing.TB, cmd *exec.Cmd) (*process, *json.Encoder, *json.Decoder) {
	t.Helper()
	plans, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	reports, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reports.Close() })
	cmd.Stdout = out
	p := start(t, cmd)
	out.Close()
	return p, json.NewEncoder(plans), json.NewDecoder(reports)
}

// begin hands a plan over. report returns what came of it.
func (l *load) begin(t testing.TB, p plan) {
	t.Helper()
	if err := l.plans.Encode(p); err != nil {
		t.Fatalf("tell the load what to do: %v", err)
	}
}

func (l *load) report(t testing.TB) []outcome {
	t.Helper()
	var outcomes []outcome
	if err := l.reports.Decode(&outcomes); err != nil {
		t.Fatalf("hear what the load did: %v", err)
	}
	var failed findings
	for _, o := range outcomes {
		if o.Err != "" {
			failed.addf("%s: %s", o.exchange, o.Err)
		}
	}
	failed.report(t, "requests that failed")
	return outcomes
}

// pace is the pause before a request. Servers, clients and the collector share
// what may be two cores: without it the tests would measure who gets them.
const pace = 4 * time.Millisecond

// run makes requests and returns what came of them.
func (l *load) run(t testing.TB, url string, requests []request) []exchange {
	t.Helper()
	l.begin(t, plan{URL: url, Requests: requests, Pause: pace})
	return exchanges(l.report(t))
}

func exchanges(outcomes []outcome) []exchange {
	var xs []exchange
	for _, o := range outcomes {
		xs = append(xs, o.exchange)
	}
	return xs
}

// drive is the role of a load: <connections> [<streams of HTTP/2>], plans on
// standard input, and on standard output what came of them.
func drive(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	var clients []*http.Client
	for range n {
		clients = append(clients, &http.Client{
			Timeout:       2 * patience,
			Transport:     &http.Transport{MaxConnsPerHost: 1, DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		})
	}
	if len(args) > 1 {
		for _, c := range clients {
			speak := new(http.Protocols)
			speak.SetUnencryptedHTTP2(true)
			c.Transport.(*http.Transport).Protocols = speak
		}
		streams, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		clients = slices.Repeat(clients, streams)
	}
	plans, reports := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var p plan
		if err := plans.Decode(&p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := reports.Encode(p.carryOut(clients)); err != nil {
			return err
		}
	}
}

func (p plan) carryOut(clients []*http.Client) []outcome {
	outcomes := make([]outcome, len(p.Requests))
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			for ; i < len(p.Requests); i += len(clients) {
				time.Sleep(p.Pause)
				outcomes[i] = p.Requests[i].make(c, p.URL)
			}
		})
	}
	wg.Wait()
	return outcomes
}

func (r request) make(c *http.Client, url string) outcome {
	o := outcome{exchange: exchange{Method: r.Method, URI: r.URI}, Began: time.Now()}
	status, err := r.status(c, url)
	if err != nil {
		o.Err = err.Error()
	}
	o.Status, o.Ended = status, time.Now()
	return o
}

func (r request) status(c *http.Client, url string) (int, error) {
	req, err := http.NewRequest(r.Method, url+r.URI, bytes.NewReader(make([]byte, r.Body)))
	if err != nil {
		return 0, err
	}
	for name, value := range r.Header {
		req.Header.Set(name, value)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

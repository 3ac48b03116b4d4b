package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"
)

// A setup is what differs between the collectors of the tests.
type setup struct {
	Binary   string // empty: the collector that is tested
	Receiver string // empty: perisco
	Options  string // of the receiver, as YAML; empty: none
	Shards   int    // of the receiver; 0: what PERISCO_SHARDS says, or 1
	Export   string // URL of an OTLP/HTTP receiver that gets everything, too
	Graph    string // file that gets the service graph, too
	Sending  string // options of the exporter to there, as YAML; empty: none
	Ports    []int  // of servers: nothing is captured that is not about one of them, but landmarks; empty: all is
	Discard  bool   // write no files: what comes out is not looked at
	Format   string // of the files; empty: JSON, the only one that the test can read
	GOGC     int    // in the environment; 0: it is not
	Limit    int    // MiB that memory_limiter leaves the collector; 0: there is none
	User     uint32 // who runs it; 0: the user of the test
	LogLevel string // empty: info
	Cores    string // that it may run on, as taskset has it; empty: all
}

// about captures what is about one server only, and landmarks. Losses are counted of
// whoever has them, and a machine is never quiet.
func (s setup) about(server *site) setup {
	s.Ports = []int{server.port}
	return s
}

func (s setup) sharded(shards int) setup {
	s.Shards = shards
	return s
}

var collectorConfig = template.Must(template.New("").Parse(`
receivers:
  {{.Receiver}}: {{.Options}}
exporters:
  file/traces: {path: "{{.Dir}}/traces.json", flush_interval: 20ms, format: {{or .Format "json"}}}
  file/logs: {path: "{{.Dir}}/logs.json", flush_interval: 20ms, format: {{or .Format "json"}}}
  nop: {}
{{- if .Graph}}
  file/graph: {path: "{{.Graph}}", flush_interval: 20ms}
connectors:
  service_graph: {metrics_flush_interval: 100ms, store: {ttl: 1s}}
{{- end}}
{{- if .Export}}
  otlp_http: {endpoint: "{{.Export}}"{{with .Sending}}, {{.}}{{end}}}
{{- end}}
{{- if .Limit}}
processors:
  memory_limiter: {check_interval: 100ms, limit_mib: {{.Limit}}}
{{- end}}
extensions:
  health_check: {endpoint: "{{.Health}}"}
service:
  extensions: [health_check]
  telemetry:
    logs: {level: {{or .LogLevel "info"}}}
    metrics:
      level: detailed
      readers:
        - pull:
            exporter:
              prometheus: {host: 127.0.0.1, port: {{.MetricsPort}}, without_type_suffix: true, without_units: true, without_scope_info: true}
  pipelines:
    traces:
      receivers: [{{.Receiver}}]
{{- if .Limit}}
      processors: [memory_limiter]
{{- end}}
      exporters: [{{if .Discard}}nop{{else}}file/traces{{end}}{{if .Export}}, otlp_http{{end}}{{if .Graph}}, service_graph{{end}}]
    logs:
      receivers: [{{.Receiver}}]
{{- if .Limit}}
      processors: [memory_limiter]
{{- end}}
      exporters: [{{if .Discard}}nop{{else}}file/logs{{end}}{{if .Export}}, otlp_http{{end}}]
{{- if .Graph}}
    metrics:
      receivers: [service_graph]
      exporters: [file/graph]
{{- end}}
`))

// A collector is a running collector and what came out of it so far.
type collector struct {
	*process
	traces *journal[span]
	logs   *journal[record]

	health, metrics string             // addresses
	before          map[string]float64 // metrics when the test began
	shards          int
	landmark        *httptest.Server // see settle
	landmarks       int
}

// startCollector returns a collector that is ready: it captures everything
// from now on.
func startCollector(t testing.TB, s setup) *collector {
	t.Helper()
	needCapture(t)
	c := launchCollector(t, s)
	c.await(t, "being healthy", c.healthy)
	if s.Receiver == "" && !s.Discard && s.Format == "" {
		// Of what was under way when the capture began parts were missed. That
		// is counted by now.
		c.settle(t)
	}
	c.before = c.scrape(t)
	return c
}

// launchCollector starts a collector and does not wait for it.
func launchCollector(t testing.TB, s setup) *collector {
	t.Helper()
	if s.Binary == "" {
		s.Binary = collectorPath(t)
	}
	if s.Receiver == "" {
		s.Receiver = "perisco"
	}
	dir, port := tempDir(t), freePort(t)
	c := &collector{
		health:  loopback(freePort(t)),
		metrics: loopback(port),
		traces:  &journal[span]{path: filepath.Join(dir, "traces.json"), decode: decodeSpans},
		logs:    &journal[record]{path: filepath.Join(dir, "logs.json"), decode: decodeRecords},
	}
	config, err := os.Create(filepath.Join(dir, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer config.Close()
	err = collectorConfig.Execute(config, struct {
		setup
		Dir, Health string
		MetricsPort int
	}{s, dir, c.health, port})
	if err != nil {
		t.Fatal(err)
	}
	c.landmark = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(c.landmark.Close)
	cmd := exec.Command(s.Binary, "--config", config.Name())
	if len(s.Ports) > 0 {
		ports := append(s.Ports[:len(s.Ports):len(s.Ports)], c.landmark.Listener.Addr().(*net.TCPAddr).Port)
		cmd.Args = append(cmd.Args, "--set=receivers::perisco::filter::include::ports="+strings.ReplaceAll(fmt.Sprint(ports), " ", ","))
	}
	if s.Receiver == "perisco" && !s.Discard {
		cmd.Args = append(cmd.Args, "--set=receivers::perisco::batch::timeout="+batchTimeout.String())
	}
	c.shards = s.shards()
	if c.shards > 1 {
		cmd.Args = append(cmd.Args, fmt.Sprint("--set=receivers::perisco::capture::shards=", c.shards))
	}
	if s.Cores != "" {
		cmd = exec.Command(program(t, "taskset"), append([]string{"--cpu-list", s.Cores}, cmd.Args...)...)
	}
	if s.GOGC != 0 {
		cmd.Env = append(os.Environ(), fmt.Sprintf("GOGC=%d", s.GOGC))
	}
	if s.User != 0 {
		if err := os.Chown(dir, int(s.User), int(s.User)); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: s.User, Gid: s.User}}
	}
	c.process = start(t, cmd)
	return c
}

func (c *collector) healthy() error {
	_, err := get("http://" + c.health)
	return err
}

// batchTimeout is how long the first of a batch waits in a test: half as long as
// by default, since most tests wait four times for a batch and do no more. No
// answer that has overtaken its request waits longer, see settle.
const batchTimeout = 100 * time.Millisecond

// shards is how many the receiver has.
func (s *setup) shards() int {
	n := s.Shards
	if n == 0 && s.Receiver == "perisco" && !strings.Contains(s.Options, "pcap") {
		n, _ = strconv.Atoi(os.Getenv("PERISCO_SHARDS"))
	}
	return max(1, n)
}

// settle waits until all that has happened on the machine so far has come out
// of the collector: a request of our own marks the place in its order. Where it has
// several shards, so many do that each has one of their connections.
func (c *collector) settle(t testing.TB) {
	t.Helper()
	// An answer that overtook its request waits for a moment, a batch for
	// longer. When the first landmark has come out both waits are over, and
	// the second is behind whatever came of them. In a flood one can be lost.
	marks := 1
	if c.shards > 1 {
		marks = 16 * c.shards
	}
	for range 2 {
		var paths map[string]bool
		var spans, records int // of them: the client's and the server's
		var next time.Time
		c.await(t, "span and log record of a request that the test made itself", func() error {
			if now := time.Now(); now.After(next) {
				next = now.Add(patience / 5)
				paths, spans, records = make(map[string]bool), 0, 0
				for range marks {
					c.landmarks++
					path := fmt.Sprintf("/landmark/%d", c.landmarks)
					paths[path] = true
					if _, err := get(c.landmark.URL + path); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, s := range c.traces.read(t) {
				if paths[s.uri()] {
					spans++
				}
			}
			for _, r := range c.logs.read(t) {
				if paths[r.uri()] {
					records++
				}
			}
			if spans < 2*marks || records < 2*marks {
				return fmt.Errorf("%d spans and %d log records of %d requests, to /landmark/%d", spans, records, marks, c.landmarks)
			}
			return nil
		})
	}
}

var accident = regexp.MustCompile(`(?m)^.*(panic: |fatal error: |\terror\t|goroutine \d+ \[).*$`)

// finish stops the collector after it has told everything, and checks that it
// was well to the end.
func (c *collector) finish(t testing.TB) {
	t.Helper()
	c.settle(t)
	c.end(t)
}

// end stops the collector and checks that it was well to the end.
func (c *collector) end(t testing.TB) {
	t.Helper()
	c.stop(t)
	if code := c.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("collector: %s, want exit status 0", c.cmd.ProcessState)
	}
	if line := accident.FindString(c.tail(t)); line != "" {
		t.Errorf("collector wrote: %s", strings.TrimSpace(line))
	}
	c.traces.read(t)
	c.logs.read(t)
}

// served and asked return the spans of both roles about the server at a port.
func (c *collector) served(port int) spans { return spans(c.traces.items).about(server, port) }
func (c *collector) asked(port int) spans  { return spans(c.traces.items).about(client, port) }

// fleeting leaves no connection behind, which would be a leak of the test.
var fleeting = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

// get returns what a URL answers if it is 200.
func get(url string) (string, error) {
	resp, err := fleeting.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, resp.Status)
	}
	return string(body), err
}

// eventually waits for something that is not about one process.
func eventually(t testing.TB, what string, ready func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ready(); time.Sleep(interval) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s after %s", what, patience)
		}
	}
}

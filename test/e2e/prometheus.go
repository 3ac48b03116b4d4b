package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// A prometheus is a running Prometheus that scrapes a collector.
type prometheus struct {
	*process
	address string
}

const prometheusConfig = `
global: {scrape_interval: 200ms, scrape_timeout: 200ms}
scrape_configs:
  - job_name: perisco
    static_configs: [{targets: ["%s"]}]
`

// startPrometheus starts one that scrapes a port.
func startPrometheus(t testing.TB, port int) *prometheus {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	writeFile(t, config, fmt.Appendf(nil, prometheusConfig, loopback(port)))
	p := &prometheus{address: loopback(freePort(t))}
	p.process = start(t, exec.Command(prometheusPath(t), "--config.file="+config,
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+p.address, "--log.level=warn"))
	p.await(t, "being ready", func() error {
		_, err := get("http://" + p.address + "/-/ready")
		return err
	})
	return p
}

// prometheusPath returns the program that is installed, or that make setup has
// taken out of its package: installing it would start it.
func prometheusPath(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		path, err = exec.LookPath(filepath.Join("..", "..", "_build", "tools", "prometheus"))
	}
	if err != nil {
		t.Fatalf("%v: make setup", err)
	}
	return path
}

// A sample is one series of an instant query.
type sample struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"` // the time, and the value as text
}

func (s sample) value(t testing.TB) int {
	t.Helper()
	text, _ := s.Value[1].(string)
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("a sample of Prometheus: %v", err)
	}
	return int(v)
}

// query returns what an expression is now. One that Prometheus does not
// understand ends the test.
func (p *prometheus) query(t testing.TB, expr string) []sample {
	t.Helper()
	resp, err := fleeting.PostForm("http://"+p.address+"/api/v1/query", url.Values{"query": {expr}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Status string
		Error  string
		Data   struct{ Result []sample }
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		t.Fatalf("%s: %v: %s", expr, err, body)
	}
	return answer.Data.Result
}

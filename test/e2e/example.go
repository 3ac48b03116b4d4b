package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const examplesDir = "../../examples"

// What a test adds to an example: it must see when the collector is ready, and
// others run theirs beside it, on the port that its self-metrics would have.
const exampleAddition = `
extensions:
  health_check: {endpoint: "${env:HEALTH}"}
service:
  extensions: [health_check]
  telemetry: {metrics: {level: none}}
`

// startExamples starts a collector with the configurations of examples, in one.
// What the examples leave to the environment and what is changed, as YAML, is
// the test's.
func startExamples(t testing.TB, names []string, environment []string, change string) *process {
	t.Helper()
	needCapture(t)
	dir := t.TempDir()
	addition, changes := filepath.Join(dir, "addition.yaml"), filepath.Join(dir, "change.yaml")
	writeFile(t, addition, []byte(exampleAddition))
	writeFile(t, changes, []byte(change))
	cmd := exec.Command(collectorPath(t))
	for _, name := range names {
		cmd.Args = append(cmd.Args, "--config", filepath.Join(examplesDir, name, "config.yaml"))
	}
	cmd.Args = append(cmd.Args, "--config", addition, "--config", changes)
	health := loopback(freePort(t))
	cmd.Env = append(append(os.Environ(), "HEALTH="+health), environment...)
	p := start(t, cmd)
	p.await(t, "being healthy", func() error {
		_, err := get("http://" + health)
		return err
	})
	return p
}

package kubernetes

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// accountDir is where a pod finds the token of its service account.
const accountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// inPod runs a command in a mount namespace of its own, in which it finds its
// account where it expects it. Whoever it becomes may read that.
const inPod = `
mount -t tmpfs tmpfs "$1"
cp "$2"/* "$1"
cp "$3" "$1/ca.crt"
chmod a+r "$1"/*
touch "$1/collector"
mount --bind "$4" "$1/collector"
shift 4
exec "$@"`

// startCollector starts the collector of a pod template as the kubelet would:
// with its configurations, environment, account and capabilities. Only the ports
// that it listens on are others, and where it sends to.
func startCollector(t *testing.T, a *apiServer, m manifests, p template, to *sink, more ...string) *process {
	t.Helper()
	dir, health := t.TempDir(), freePort(t)
	c := p.Spec.Containers[0]
	write(t, filepath.Join(dir, "ports.yaml"), fmt.Sprintf(`
extensions: {health_check: {endpoint: "127.0.0.1:%d"}}
service: {telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: %d}}}}]}}}
%s`, health, freePort(t), strings.Join(more, "\n")))
	token := a.do(t, "create", "token", "--namespace", m.namespace.Name, p.Spec.ServiceAccountName)
	write(t, filepath.Join(dir, "token"), strings.TrimSpace(token))

	if _, err := os.Stat(accountDir); errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(accountDir, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			// Those that are not empty were there before.
			_ = os.Remove(accountDir)
			_ = os.Remove(filepath.Dir(accountDir))
			_ = os.Remove(filepath.Dir(filepath.Dir(accountDir)))
		})
	}
	args := append([]string{"--mount", "sh", "-ec", inPod, "sh", accountDir, dir, a.ca, collectorPath(t)}, privileges(c.SecurityContext)...)
	args = append(args, accountDir+"/collector")
	for _, config := range m.configurations(t, p.Spec) {
		write(t, filepath.Join(dir, config.file), config.text)
		args = append(args, "--config", accountDir+"/"+config.file)
	}
	args = append(args, "--config", accountDir+"/ports.yaml")
	cmd := exec.Command("unshare", args...)
	env := m.environment(t, c)
	env["K8S_NODE_NAME"], env["OTLP_ENDPOINT"] = nodeName, to.address
	env["KUBERNETES_SERVICE_HOST"], env["KUBERNETES_SERVICE_PORT"] = "127.0.0.1", strconv.Itoa(a.port)
	env["PATH"] = os.Getenv("PATH")
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	process := start(t, cmd)
	process.await(t, "health", func() error {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d", health))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
	return process
}

// privileges returns a command that runs another one with those that a container
// is given, and no more.
func privileges(s *corev1.SecurityContext) []string {
	bounds := "-all"
	for _, c := range s.Capabilities.Add {
		bounds += ",+" + strings.ToLower(string(c))
	}
	cmd := []string{"setpriv", "--bounding-set", bounds, "--inh-caps", "-all", "--no-new-privs"}
	if s.RunAsUser == nil { // the image's
		cmd = append(cmd, "--reuid", "65532", "--regid", "65532", "--clear-groups")
	}
	return cmd
}

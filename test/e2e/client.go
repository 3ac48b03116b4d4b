package e2e

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// curl runs curl and returns its PID and what it wrote.
func curl(t testing.TB, args ...string) (pid int, output string) {
	t.Helper()
	cmd := exec.Command(program(t, "curl"), append([]string{"--silent", "--show-error", "--max-time", "15"}, args...)...)
	var out, trouble bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trouble
	if err := cmd.Run(); err != nil {
		t.Fatalf("curl %q: %v: %s", args, err, &trouble)
	}
	return cmd.Process.Pid, out.String()
}

var wrkRequests = regexp.MustCompile(`(?m)^\s*(\d+) requests in `)

// wrk runs wrk and returns its PID and how many answers it got.
func wrk(t testing.TB, args ...string) (cmd *exec.Cmd, answers int) {
	t.Helper()
	cmd = exec.Command(program(t, "wrk"), args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("wrk %q: %v: %s", args, err, out)
	}
	match := wrkRequests.FindSubmatch(out)
	if match == nil {
		t.Fatalf("wrk %q does not say how many requests it made: %s", args, out)
	}
	answers, _ = strconv.Atoi(string(match[1]))
	return cmd, answers
}

var h2loadRequests = regexp.MustCompile(`(?m)^requests: .* (\d+) done, .* (\d+) errored`)

// h2load makes requests for URIs over some connections: each asks for all of
// them, with so many streams open at a time.
func h2load(t testing.TB, s *site, connections, streams int, uris []string, args ...string) (pid int) {
	t.Helper()
	input := filepath.Join(t.TempDir(), "uris")
	writeFile(t, input, []byte(s.url()+strings.Join(uris, "\n"+s.url())+"\n"))
	n := connections * len(uris)
	cmd := exec.Command(program(t, "h2load"), append([]string{
		"-n", strconv.Itoa(n), "-c", strconv.Itoa(connections), "-m", strconv.Itoa(streams), "-i", input}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("h2load: %v: %s", err, out)
	}
	match := h2loadRequests.FindSubmatch(out)
	if match == nil || string(match[1]) != strconv.Itoa(n) || string(match[2]) != "0" {
		t.Fatalf("h2load has not made %d requests: %s", n, out)
	}
	return cmd.Process.Pid
}

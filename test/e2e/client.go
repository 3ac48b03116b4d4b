package e2e

import (
	"bytes"
	"os/exec"
	"regexp"
	"strconv"
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

package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// packages says which Debian package has a program.
var packages = map[string]string{
	"apache2":            "apache2-bin",
	"bash":               "bash",
	"curl":               "curl",
	"h2load":             "nghttp2-client",
	"ip":                 "iproute2",
	"nft":                "nftables",
	"nghttp":             "nghttp2-client",
	"nghttpd":            "nghttp2-server",
	"mariadb":            "mariadb-client-core",
	"mariadb-install-db": "mariadb-server-core",
	"mariadb-slap":       "mariadb-client",
	"mariadbd":           "mariadb-server-core",
	"nginx":              "nginx-light",
	"node":               "nodejs",
	"php":                "php-cli",
	"python3":            "python3",
	"taskset":            "util-linux",
	"wrk":                "wrk",
}

// program returns the path of a program that must be installed.
func program(t testing.TB, name string) string {
	t.Helper()
	// Servers live where the PATH of a user does not look.
	for _, candidate := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not installed: apt-get install %s", name, packages[name])
	return ""
}

// debianPython returns the interpreter that Debian's modules are for.
func debianPython(t testing.TB, module, pkg string) string {
	t.Helper()
	const path = "/usr/bin/python3" // not what else PATH may have
	if out, err := exec.Command(path, "-c", "import "+module).CombinedOutput(); err != nil {
		t.Fatalf("the module %s for Python is not installed: apt-get install %s: %v: %s", module, pkg, err, out)
	}
	return path
}

// nodeModules returns where `make setup` has put the modules of testdata/node.
func nodeModules(t testing.TB) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "_build", "node", "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the modules for Node.js are not installed: %v: make setup", err)
	}
	return path
}

// needCapture skips a test where the kernel or the privileges do not allow to
// capture. Beyond that point capturing must work.
func needCapture(t testing.TB) {
	t.Helper()
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); errors.Is(err, os.ErrNotExist) {
		t.Skip("needs a kernel with type information (CONFIG_DEBUG_INFO_BTF): /sys/kernel/btf/vmlinux is missing")
	}
	if missing := missingCapabilities(t); len(missing) > 0 {
		t.Skipf("needs %s: run as root", strings.Join(missing, " and "))
	}
}

func missingCapabilities(t testing.TB) []string {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(status, []byte("CapEff:"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	effective, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 64)
	if err != nil {
		t.Fatalf("read effective capabilities: %v", err)
	}
	var missing []string
	if effective&(1<<unix.CAP_BPF) == 0 {
		missing = append(missing, "CAP_BPF")
	}
	if effective&(1<<unix.CAP_PERFMON) == 0 {
		missing = append(missing, "CAP_PERFMON")
	}
	return missing
}

// needRoot skips a test that becomes another user.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to run the collector as somebody else")
	}
}

// collectorPath returns the collector that is tested.
func collectorPath(t testing.TB) string {
	t.Helper()
	path := os.Getenv("PERISCO_COLLECTOR")
	if path == "" {
		path = filepath.Join("..", "..", "_build", "otelcol-perisco")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("there is no collector to test: %v: make collector", err)
	}
	return path
}

// quickstartPath returns the collector with the viewer, which takes longer to
// build than the tests to run.
func quickstartPath(t testing.TB) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "_build", "quickstart", "quickstart"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("needs the distribution with the viewer: %v: make quickstart", err)
	}
	return path
}

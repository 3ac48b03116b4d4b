package kubernetes

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const (
	nodeName = "node-1"
	nodeIP   = "10.244.77.1"
)

// A node is a network of its own: a bridge, and network namespaces that stand
// for those of pods. Its name is that of its namespace.
type node string

func newNode(t *testing.T) node {
	t.Helper()
	n := node(fmt.Sprintf("perisco-%d", os.Getpid()))
	n.namespace(t, string(n))
	n.ip(t, "link", "add", "pods", "type", "bridge")
	n.ip(t, "addr", "add", nodeIP+"/24", "dev", "pods")
	n.ip(t, "link", "set", "pods", "up")
	return n
}

func (n node) namespace(t *testing.T, name string) {
	t.Helper()
	run(t, "ip", "netns", "add", name)
	t.Cleanup(func() { run(t, "ip", "netns", "del", name) })
	run(t, "ip", "-n", name, "link", "set", "lo", "up")
}

func (n node) ip(t *testing.T, args ...string) {
	t.Helper()
	run(t, "ip", append([]string{"-n", string(n)}, args...)...)
}

// network makes the network namespace of a pod.
func (n node) network(t *testing.T, ip string) string {
	t.Helper()
	host := "p" + ip[strings.LastIndexByte(ip, '.')+1:]
	name := string(n) + "-" + host
	n.namespace(t, name)
	n.ip(t, "link", "add", host, "master", "pods", "type", "veth", "peer", "name", "eth0", "netns", name)
	n.ip(t, "link", "set", host, "up")
	pod := node(name)
	pod.ip(t, "addr", "add", ip+"/24", "dev", "eth0")
	pod.ip(t, "link", "set", "eth0", "up")
	pod.ip(t, "route", "add", "default", "via", nodeIP)
	return name
}

// routeService stands for kube-proxy: what goes to the address of a Service
// arrives at a pod, which has that address, too.
func (n node) routeService(t *testing.T, address, pod string) {
	t.Helper()
	run(t, "ip", "-n", string(n)+"-p"+pod[strings.LastIndexByte(pod, '.')+1:], "addr", "add", address+"/32", "dev", "lo")
	n.ip(t, "route", "add", address+"/32", "via", pod)
	run(t, "ip", "netns", "exec", string(n), "sysctl", "-qw", "net.ipv4.ip_forward=1")
}

// cgroup makes a cgroup below the root of version 2, and what is above it. What
// it made is gone after the test.
func cgroup(t *testing.T, path string) string {
	t.Helper()
	dir := cgroupRoot(t)
	for name := range strings.SplitSeq(path, "/") {
		dir = filepath.Join(dir, name)
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		made := dir
		t.Cleanup(func() { removeCgroup(t, made) })
	}
	return dir
}

func removeCgroup(t *testing.T, dir string) {
	t.Helper()
	eventually(t, "empty cgroup", func() error {
		err := syscall.Rmdir(dir)
		below, _ := filepath.Glob(filepath.Join(dir, "*", "cgroup.procs")) // errors are for bad patterns
		if errors.Is(err, os.ErrNotExist) || len(below) > 0 {
			return nil // somebody else uses it, too
		}
		return err // the last process may be on its way out of it
	})
}

func cgroupRoot(t *testing.T) string {
	t.Helper()
	mounts, err := os.Open("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	defer mounts.Close()
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); fields[2] == "cgroup2" {
			return fields[1]
		}
	}
	t.Skip("needs cgroup v2, which is not mounted")
	return ""
}

// in returns a command that runs the test's executable in a cgroup, empty for
// the test's own, and in a network namespace.
func in(t *testing.T, cgroup, network, role string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	all := append([]string{"ip", "netns", "exec", network, self}, args...)
	if cgroup != "" {
		all = append([]string{"sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, cgroup}, all...)
	}
	cmd := exec.Command(all[0], all[1:]...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	return cmd
}

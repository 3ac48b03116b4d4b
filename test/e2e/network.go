package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A network is what lies between two pods on two nodes: a client and a server in
// network namespaces of their own, and a router between that knows the
// server as a service, too.
type network struct{ client, router, server string } // namespaces

// Addresses of a network.
const (
	clientAddress  = "10.244.1.7"
	serverAddress  = "10.244.2.9"
	serviceAddress = "10.96.0.1" // becomes serverAddress on the way (DNAT)
)

// newNetwork makes a network that lasts as long as the test.
func newNetwork(t testing.TB) network {
	t.Helper()
	needRoot(t)
	name := func(role string) string { return fmt.Sprintf("perisco-%s-%d", role, os.Getpid()) }
	n := network{name("client"), name("router"), name("server")}
	for _, ns := range []string{n.client, n.router, n.server} {
		ip(t, "netns", "add", ns)
		t.Cleanup(func() { ip(t, "netns", "delete", ns) })
		ip(t, "-n", ns, "link", "set", "lo", "up")
	}
	n.connect(t, n.client, "to_client", clientAddress, "10.244.1.1")
	n.connect(t, n.server, "to_server", serverAddress, "10.244.2.1")
	ip(t, "netns", "exec", n.router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
	rules := exec.Command("ip", "netns", "exec", n.router, program(t, "nft"), "-f", "-")
	rules.Stdin = strings.NewReader(`table ip service {
	chain prerouting {
		type nat hook prerouting priority dstnat;
		ip daddr ` + serviceAddress + ` dnat to ` + serverAddress + `
	}
}`)
	if out, err := rules.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "not supported") || strings.Contains(string(out), "No such file") {
			t.Skipf("needs a kernel that translates addresses (CONFIG_NFT_NAT): %s", out)
		}
		t.Fatalf("nft: %v: %s", err, out)
	}
	return n
}

// connect lays a cable from the router to a namespace.
func (n network) connect(t testing.TB, to, plug, address, gateway string) {
	t.Helper()
	ip(t, "-n", n.router, "link", "add", plug, "type", "veth", "peer", "name", "eth0", "netns", to)
	ip(t, "-n", n.router, "address", "add", gateway+"/24", "dev", plug)
	ip(t, "-n", n.router, "link", "set", plug, "up")
	ip(t, "-n", to, "address", "add", address+"/24", "dev", "eth0")
	ip(t, "-n", to, "link", "set", "eth0", "up")
	ip(t, "-n", to, "route", "add", "default", "via", gateway)
}

// within returns the command that runs cmd in a namespace.
func within(ns string, cmd *exec.Cmd) *exec.Cmd {
	inside := exec.Command("ip", append([]string{"netns", "exec", ns}, cmd.Args...)...)
	inside.Env = cmd.Env
	return inside
}

func ip(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command(program(t, "ip"), args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

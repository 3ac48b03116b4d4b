package process

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const tick = 10_000_000 // ns

// pid is that of the process in procfs.
const pid = 42

// procfs makes a directory that looks like /proc with one process in it.
// Empty files are not made.
func procfs(t *testing.T, exe string, files map[string]string) Resolver {
	root := t.TempDir()
	dir := filepath.Join(root, strconv.Itoa(pid))
	require.NoError(t, os.Mkdir(dir, 0o755))
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	if exe != "" {
		require.NoError(t, os.Symlink(exe, filepath.Join(dir, "exe")))
	}
	return Resolver{Root: root}
}

func stat(comm string, ticks uint64) string {
	return fmt.Sprintf("%d (%s) S 1 1 1 0 -1 4194304 96 0 0 0 0 0 0 0 20 0 1 0 %d 3133440 381\n", pid, comm, ticks)
}

func seen(pid uint32, start uint64, comm string) exchange.Process {
	p := exchange.Process{PID: pid, Start: start}
	copy(p.Comm[:], comm)
	return p
}

func TestIdentity(t *testing.T) {
	const pod = "0::/kubepods/burstable/pod" + uid + "/" + id1 + "\n"
	for _, c := range []struct {
		name  string
		exe   string
		files map[string]string
		want  Identity
	}{
		{"a native service", "/usr/sbin/nginx",
			map[string]string{"stat": stat("nginx", 500), "cmdline": "nginx: worker process\x00\x00\x00", "cgroup": "0::/system.slice/nginx.service\n"},
			Identity{Read: true, ExecutableName: "nginx", ExecutablePath: "/usr/sbin/nginx", ServiceName: "nginx"}},
		{"a script", "/usr/bin/python3.11",
			map[string]string{"stat": stat("python3", 500), "cmdline": "python3\x00/srv/app.py\x00"},
			Identity{Read: true, ExecutableName: "python3.11", ExecutablePath: "/usr/bin/python3.11", ServiceName: "app"}},
		{"in a pod, whose name kubernetes knows", "/app/server",
			map[string]string{"stat": stat("server", 500), "cmdline": "/app/server\x00", "cgroup": pod},
			Identity{Read: true, ExecutableName: "server", ExecutablePath: "/app/server", ContainerID: id1, PodUID: uid}},
		{"in a pod, with a name of its own", "/app/server",
			map[string]string{"stat": stat("server", 500), "cgroup": pod, "environ": "OTEL_SERVICE_NAME=cart\x00"},
			Identity{Read: true, ExecutableName: "server", ExecutablePath: "/app/server", ContainerID: id1, PodUID: uid, ServiceName: "cart"}},
		{"in a pod, with resource attributes but no name", "/app/server",
			map[string]string{"stat": stat("server", 500), "cgroup": pod, "environ": "OTEL_RESOURCE_ATTRIBUTES=service.namespace=shop,service.version=1.2\x00"},
			Identity{Read: true, ExecutableName: "server", ExecutablePath: "/app/server", ContainerID: id1, PodUID: uid,
				Declared: []Attribute{{"service.namespace", "shop"}, {"service.version", "1.2"}}}},
		{"the declared name wins over the script's", "/usr/bin/python3",
			map[string]string{"stat": stat("python3", 500), "cmdline": "python3\x00app.py\x00", "environ": "OTEL_SERVICE_NAME=cart\x00"},
			Identity{Read: true, ExecutableName: "python3", ExecutablePath: "/usr/bin/python3", ServiceName: "cart"}},
		{"an executable that was replaced", "/usr/sbin/nginx (deleted)",
			map[string]string{"stat": stat("nginx", 500)},
			Identity{Read: true, ExecutableName: "nginx", ExecutablePath: "/usr/sbin/nginx", ServiceName: "nginx"}},
		{"exe must not be read: the first argument", "",
			map[string]string{"stat": stat("server", 500), "cmdline": "/app/server\x00-v\x00"},
			Identity{Read: true, ExecutableName: "server", ExecutablePath: "/app/server", ServiceName: "server"}},
		{"nor does the first argument say a path", "",
			map[string]string{"stat": stat("comm", 500), "cmdline": "postgres: checkpointer \x00"},
			Identity{Read: true, ExecutableName: "comm", ServiceName: "comm"}},
		{"a login shell", "",
			map[string]string{"stat": stat("bash", 500), "cmdline": "-bash\x00"},
			Identity{Read: true, ExecutableName: "bash", ServiceName: "bash"}},
		{"a short name that looks like the rest of stat", "/bin/x",
			map[string]string{"stat": stat("a) S 1 1 (", 500)},
			Identity{Read: true, ExecutableName: "x", ExecutablePath: "/bin/x", ServiceName: "x"}},
		{"a path that is not UTF-8 and holds a line break", "/bin/\xff\nx",
			map[string]string{"stat": stat("x", 500)},
			Identity{Read: true, ExecutableName: "\ufffdx", ExecutablePath: "/bin/\ufffdx", ServiceName: "\ufffdx"}},
		{"another process has the pid now", "/usr/bin/other",
			map[string]string{"stat": stat("other", 502), "cmdline": "other\x00", "cgroup": pod},
			Identity{ExecutableName: "comm", ServiceName: "comm"}},
		{"it has ended, and its parent has not taken notice", "",
			map[string]string{"stat": stat("curl", 500), "cgroup": "0::/\n"},
			Identity{ExecutableName: "comm", ServiceName: "comm"}},
		{"so has one in a pod", "",
			map[string]string{"stat": stat("curl", 500), "cgroup": pod},
			Identity{Read: true, ExecutableName: "comm", ContainerID: id1, PodUID: uid}},
		{"stat is cut short", "/usr/bin/other",
			map[string]string{"stat": "42 (other) S 1 1"},
			Identity{ExecutableName: "comm", ServiceName: "comm"}},
		{"stat is empty", "/usr/bin/other", map[string]string{"stat": ""},
			Identity{ExecutableName: "comm", ServiceName: "comm"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := procfs(t, c.exe, c.files)
			c.want.PID = 42
			assert.Equal(t, c.want, r.Resolve(seen(pid, 500*tick+tick/2, "comm")))
		})
	}
}

func TestTheProgramAndItsCgroups(t *testing.T) {
	r := procfs(t, "/usr/sbin/nginx (deleted)", map[string]string{
		"stat": stat("nginx", 500), "cgroup": "2:cpu,cpuacct:/a:b\n0::/system.slice/nginx.service\n",
	})
	executable, cgroups := r.Program(seen(pid, 500*tick, "nginx"))
	assert.Equal(t, "/usr/sbin/nginx", executable)
	assert.Equal(t, []string{"/a:b", "/system.slice/nginx.service"}, cgroups)
	executable, cgroups = r.Program(seen(pid, 600*tick, "another"))
	assert.Empty(t, executable)
	assert.Empty(t, cgroups)
}

func TestAStartTimeMayBeRoundedEitherWay(t *testing.T) {
	r := procfs(t, "/bin/x", map[string]string{"stat": stat("x", 500)})
	for start, path := range map[uint64]string{
		498*tick + tick - 1: "", 499 * tick: "/bin/x", 500 * tick: "/bin/x", 502*tick - 1: "/bin/x", 502 * tick: "",
	} {
		assert.Equal(t, path, r.Resolve(seen(pid, start, "x")).ExecutablePath, start)
	}
}

func TestWhatIsUnknownIsNotLookedUp(t *testing.T) {
	r := procfs(t, "/bin/x", map[string]string{"stat": stat("x", 0)})
	assert.Equal(t, Identity{}, r.Resolve(seen(0, 0, "")), "no process")
	assert.Equal(t, Identity{PID: 42, ExecutableName: "x", ServiceName: "x"}, r.Resolve(seen(pid, 0, "x")), "no start")
	assert.Equal(t, Identity{PID: 43, ExecutableName: "x", ServiceName: "x"}, r.Resolve(seen(43, tick, "x")), "gone")
}

func TestThisProcessIsKnownFromTheRealProcfs(t *testing.T) {
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Skip("no procfs: " + err.Error())
	}
	ticks, ok := startTicks(text)
	require.True(t, ok)
	exe, err := os.Executable()
	require.NoError(t, err)
	id := Resolver{}.Resolve(seen(uint32(os.Getpid()), ticks*tick, "comm"))
	assert.Equal(t, exe, id.ExecutablePath)
	assert.Equal(t, filepath.Base(exe), id.ExecutableName)
}

func TestAProcessThatHasEndedIsNotRead(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	require.NoError(t, cmd.Start())
	path := fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid)
	var ticks uint64
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var ok bool
		ticks, ok = startTicks(text)
		require.True(t, ok)
		return bytes.Contains(text, []byte(") Z "))
	}, 15*time.Second, time.Millisecond)
	id := Resolver{}.Resolve(seen(uint32(cmd.Process.Pid), ticks*tick, "comm"))
	assert.Empty(t, id.ExecutablePath)
	assert.Equal(t, "comm", id.ExecutableName)
	assert.Equal(t, id.ContainerID != "" || id.PodUID != "", id.Read, "all but a container is unknown")
	require.NoError(t, cmd.Wait())
}

func BenchmarkResolve(b *testing.B) {
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		b.Skip("no procfs: " + err.Error())
	}
	ticks, _ := startTicks(text)
	for b.Loop() {
		Resolver{}.Resolve(seen(uint32(os.Getpid()), ticks*tick, "comm"))
	}
}

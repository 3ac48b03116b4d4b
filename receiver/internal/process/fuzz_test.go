package process

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
)

// A process writes most of what procfs says of it, so an identity may lie, but
// it is text that fits into an attribute.
func FuzzIdentity(f *testing.F) {
	f.Add("nginx: worker process\x00", "PATH=/\x00OTEL_SERVICE_NAME=cart\x00", "0::/kubepods/x\n", "(a) b) S", "/usr/sbin/nginx (deleted)")
	f.Add("-bash", "OTEL_RESOURCE_ATTRIBUTES=service.name=%00%ff,=,,\x00", "", "", "")
	f.Add("python3\x00-um\x00a\x1b.b\x00", "", "1:name=systemd:/a:b:c", "(", "python3.11")
	f.Add("/a\xff\x00", "\x00\x00=", "::\n", ")))", "\n/\x7f")
	dir := f.TempDir()
	pid := filepath.Join(dir, "7")
	f.Fuzz(func(t *testing.T, cmdline, environ, cgroup, comm, exe string) {
		const ticks = 100 // 1 s
		// New files: what is written over others goes to the disk at once.
		if err := errors.Join(os.RemoveAll(pid), os.Mkdir(pid, 0o755)); err != nil {
			t.Fatal(err)
		}
		write := func(name, text string) {
			if err := os.WriteFile(filepath.Join(pid, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("stat", "7 ("+comm+strings.Repeat(" 0", 18)+" 100") // its parenthesis may be missing
		write("cmdline", cmdline)
		write("environ", environ)
		write("cgroup", cgroup)
		_ = os.Symlink(exe, filepath.Join(pid, "exe")) // some texts cannot be a link's
		p := exchange.Process{PID: 7, Start: ticks * 1e7}
		copy(p.Comm[:], comm)
		id := Resolver{Root: dir}.Resolve(p)
		if id.PID != 7 {
			t.Errorf("%+v", id)
		}
		for _, s := range []string{id.ExecutableName, id.ExecutablePath, id.ServiceName, id.ContainerID, id.PodUID} {
			if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < 0x80 && unicode.IsControl(r) }) {
				t.Errorf("%q of %+v", s, id)
			}
		}
		if len(id.ServiceName) > 3*maxName {
			t.Errorf("a name of %d bytes", len(id.ServiceName))
		}
	})
}

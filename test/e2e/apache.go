package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"text/template"
)

var apacheConfig = template.Must(template.New("").Parse(`
ServerRoot {{.Dir}}
ServerName localhost
PidFile {{.Dir}}/apache.pid
DefaultRuntimeDir {{.Dir}}
Listen 127.0.0.1:{{.Port}}
LoadModule mpm_event_module {{.Modules}}/mod_mpm_event.so
LoadModule authz_core_module {{.Modules}}/mod_authz_core.so
LoadModule alias_module {{.Modules}}/mod_alias.so
LoadModule deflate_module {{.Modules}}/mod_deflate.so
LoadModule filter_module {{.Modules}}/mod_filter.so
LoadModule http2_module {{.Modules}}/mod_http2.so
Protocols {{.Protocols}}
User nobody
Group nogroup
StartServers 2
ErrorLog /dev/stderr
LogFormat "%m %U%q %>s %D %{c}L" exact
CustomLog {{.Dir}}/access.log exact
EnableSendfile On
KeepAlive On
MaxKeepAliveRequests 0
DocumentRoot {{.Dir}}/www
AliasMatch ^/(file|gzip)/ {{.Dir}}/www/4k
AliasMatch ^/large/ {{.Dir}}/www/3m
Redirect 301 /moved /file
<Directory {{.Dir}}/www>
    Require all granted
</Directory>
<Location /denied>
    Require all denied
</Location>
<Location /gzip>
    SetOutputFilter DEFLATE
</Location>
`))

// An apache is a running Apache, of threads (mpm_event).
type apache struct {
	*site
	log string
}

// startApache starts one that speaks some protocols, such as "h2c http/1.1".
func startApache(t testing.TB, protocols string) *apache {
	t.Helper()
	exe, dir := program(t, "apache2"), tempDir(t)
	if err := os.Mkdir(filepath.Join(dir, "www"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "www", "4k"), make([]byte, 4<<10))
	writeFile(t, filepath.Join(dir, "www", "3m"), make([]byte, 3<<20))
	s := site{host: "127.0.0.1", port: freePort(t), service: "apache2"}
	config, err := os.Create(filepath.Join(dir, "apache.conf"))
	if err != nil {
		t.Fatal(err)
	}
	defer config.Close()
	err = apacheConfig.Execute(config, struct {
		Dir, Modules, Protocols string
		Port                    int
	}{dir, "/usr/lib/apache2/modules", protocols, s.port})
	if err != nil {
		t.Fatal(err)
	}
	return &apache{
		site: startSite(t, s, exec.Command(exe, "-f", config.Name(), "-DFOREGROUND")),
		log:  filepath.Join(dir, "access.log"),
	}
}

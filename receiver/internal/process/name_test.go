package process

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTheNameOfAProgram(t *testing.T) {
	for _, c := range []struct{ executable, line, want string }{
		{"nginx", "nginx: master process /usr/sbin/nginx", "nginx"},
		{"redis-server", "/usr/bin/redis-server 127.0.0.1:6379", "redis-server"},
		{"kernelthread", "", "kernelthread"},

		{"python3", "python3 app.py", "app"},
		{"python3.11", "/usr/bin/python3.11 -u /srv/shop/manage.py runserver 0:8000", "manage"},
		{"python3", "python3 -m http.server 8000", "http.server"},
		{"python3", "python3 -um http.server", "http.server"},
		{"python3", "python3 -mhttp.server", "http.server"},
		{"python3", "python3 -W ignore -X dev app.py", "app"},
		{"python3", "python3 -Wignore app.py", "app"},
		{"python3", "python3 -c import_this app.py", "python3"},
		{"python3", "python3 -", "python3"},
		{"python3", "python3", "python3"},
		{"python3", "python3 /usr/local/bin/gunicorn shop:app", "gunicorn"},
		{"python3", "python3 /srv/shop/__main__.py", "shop"},
		{"python3", "python3 /srv/shop", "shop"},
		{"python3", "python3 .", "python3"},
		{"pypy3", "pypy3 app.py", "app"},

		{"node", "node server.js", "server"},
		{"node", "node --max-old-space-size=4096 -r dotenv/config dist/main.mjs --port 80", "main"},
		{"node", "node --require=./trace.js server.js", "server"},
		{"node", "node -e 1+1 server.js", "node"},
		{"node", "node --enable-source-maps -- server.js", "server"},
		{"deno", "deno run --allow-net server.ts", "server"},
		{"bun", "bun run index.ts", "index"},

		{"java", "java -Xmx1g -jar /opt/shop.jar --server.port=80", "shop"},
		{"java", "java -jar shop-1.2.3.jar", "shop-1.2.3"},
		{"java", "java -cp /opt/lib/*:/opt/classes -Dx=y com.foo.Main arg", "Main"},
		{"java", "java -classpath a.jar @args kafka.Kafka server.properties", "Kafka"},
		{"java", "java --module-path=mods -m shop/com.foo.Main", "Main"},
		{"java", "java --add-opens java.base/java.lang=ALL-UNNAMED -p mods --module shop", "shop"},
		{"java", "java Hello.java", "Hello"},
		{"java", "java -version", "java"},

		{"ruby3.1", "ruby -Ilib -rbundler/setup bin/rails server", "rails"},
		{"ruby", "ruby -r json -e x", "ruby"},
		{"php8.2", "php -d display_errors=1 artisan serve", "artisan"},
		{"php8.2", "php -S 0:8000 -t public router.php", "router"},
		{"php8.2", "php -S 0:8000", "php8.2"},
		{"perl", "perl -w -MIO::Socket /srv/echo.pl", "echo"},
		{"perl", "perl -we print", "perl"},
		{"bash", "/bin/bash -eu /srv/serve.sh", "serve"},
		{"bash", "bash -o pipefail +x serve", "serve"},
		{"bash", "bash -lc serve", "bash"},
		{"bash", "-bash", "bash"},
		{"dash", "/bin/sh /etc/init.d/shop start", "shop"},
		{"busybox", "httpd -f -p 80", "httpd"},
		{"busybox", "sh /srv/serve.sh", "serve"},
		{"dotnet", "dotnet /app/Shop.Api.dll --urls x", "Shop.Api"},
		{"dotnet", "dotnet exec --depsfile a.json Shop.dll", "Shop"},
		{"dotnet", "dotnet run", "dotnet"},
	} {
		t.Run(c.line, func(t *testing.T) {
			assert.Equal(t, c.want, programName(c.executable, strings.Fields(c.line)))
		})
	}
}

func TestNoCommandLineIsTooOdd(t *testing.T) {
	for _, in := range []string{"java", "python3", "bash", "node", "php", "dotnet"} {
		for _, args := range [][]string{nil, {""}, {"", ""}, {"", "-"}, {"", "--"}, {"", "-m"}, {"", "-jar"}, {"", "-cp"}, {"", "--x="}, {"", "--="}, {"", "/"}, {"", "///"}, {"", "\xff"}, {"", strings.Repeat("x", 300)}} {
			assert.NotEmpty(t, programName(in, args), "%s %q", in, args)
		}
	}
}

func FuzzProgramName(f *testing.F) {
	f.Add("python3", "-u\x00-m\x00http.server")
	f.Add("java", "-cp\x00x\x00com.foo.Main")
	f.Fuzz(func(t *testing.T, executable, line string) {
		name := programName(executable, split([]byte(line)))
		if len(name) > 3*maxName || strings.ContainsRune(name, 0) {
			t.Errorf("%q", name)
		}
	})
}

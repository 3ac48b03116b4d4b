package e2e

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A market is a set of services that speak HTTP, gRPC and MySQL.
type market struct {
	libraries []*site // two processes of one service
	readers   *load
	shop      *site
	shopper   *shopper
	port      int // of the database
}

// marketRequests is how many a library gets on a day.
const marketRequests = 15

func openMarket(t testing.TB) *market {
	t.Helper()
	return &market{
		libraries: []*site{startPython(t), startPython(t)},
		readers:   startLoad(t, 1),
		shop:      startPythonShop(t),
		shopper:   startGoShopper(t),
		port:      startBareDatabase(t),
	}
}

// startBareDatabase starts a MariaDB without users or tables of its own, and
// returns its port.
func startBareDatabase(t testing.TB) int {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	server := start(t, exec.Command(program(t, "mariadbd"), "--no-defaults", "--user=root", "--skip-grant-tables", "--datadir="+dir,
		"--bind-address=127.0.0.1", "--port="+strconv.Itoa(port), "--socket="+filepath.Join(dir, "socket")))
	server.awaitListening(t, loopback(port))
	return port
}

// day has something of everything happen: requests that succeed and that fail.
func (m *market) day(t testing.TB) {
	t.Helper()
	for _, library := range m.libraries {
		m.readers.run(t, library.url(), answers(marketRequests))
	}
	m.shopper.run(t, list{Address: m.shop.address(), Errands: errands(30), Hands: 2})
	const statements = `
		CREATE DATABASE IF NOT EXISTS books; USE books;
		CREATE TABLE IF NOT EXISTS novels (id INT, title TEXT);
		INSERT INTO novels VALUES (1, 'Emma'); SELECT * FROM novels; SELECT * FROM nothing; DELETE FROM novels;`
	client := exec.Command(program(t, "mariadb"), "--no-defaults", "--host=127.0.0.1", "--port="+strconv.Itoa(m.port), "--force")
	client.Stdin = strings.NewReader(statements)
	out, err := client.CombinedOutput()
	if err != nil && !strings.Contains(string(out), "1146") {
		t.Fatalf("mariadb: %v: %s", err, out)
	}
}

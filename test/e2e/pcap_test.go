package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Nobody in particular turns a recording of two exchanges into spans and log
// records, and the collector ends by itself.
func TestAPacketCaptureIsConvertedWithoutPrivileges(t *testing.T) {
	needRoot(t) // to become nobody
	packets, err := os.ReadFile(filepath.Join("..", "..", "receiver", "internal", "pcap", "testdata", "keepalive.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(tempDir(t), "keepalive.pcap") // that nobody may read
	if err := os.WriteFile(file, packets, 0o644); err != nil {
		t.Fatal(err)
	}
	c := launchCollector(t, setup{Binary: forNobody(t), User: nobody,
		Options: fmt.Sprintf("{capture: {pcap: {file: %q, stop_at_end: true}}}", file)})
	select {
	case <-c.done:
	case <-time.After(patience):
		t.Fatal("the collector runs on")
	}
	if code := c.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("%s, want exit status 0", c.cmd.ProcessState)
	}
	c.checkSays(t, "the packet capture has been read")
	c.traces.read(t)
	c.logs.read(t)
	if len(c.traces.items) != 2 || len(c.logs.items) != 2 {
		t.Errorf("%d spans and %d log records, want 2 of each", len(c.traces.items), len(c.logs.items))
	}
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// captures is where pcap has its recordings.
const captures = "../../../pcap/testdata"

func TestAConnectionBecomesAConversation(t *testing.T) {
	out := filepath.Join(t.TempDir(), "case.txtar")
	if err := fromCapture(filepath.Join(captures, "keepalive.pcap"), 1, out, "curl to http.server"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	text := string(got)
	for _, want := range []string{
		"curl to http.server\n\n-- conversation --\nc> @0s\n    \"GET /a.txt HTTP/1.1\\r\\n\"\n",
		"    \"hello, world\\n\"\nc> @", "c< @", "s< @", "close @",
	} {
		i := strings.Index(text, want)
		if i < 0 {
			t.Fatalf("no %q behind that in\n%s", want, got)
		}
		text = text[i+len(want):]
	}
}

func TestWhatIsNotWholeIsRefused(t *testing.T) {
	for file, want := range map[string]string{
		"missing_segment.pcap": "lacks 3492 bytes",
		"snaplen_120.pcap":     "lacks 162 bytes",
	} {
		err := fromCapture(filepath.Join(captures, file), 1, filepath.Join(t.TempDir(), "x"), "")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: err = %v, want %q", file, err, want)
		}
	}
	if err := fromCapture(filepath.Join(captures, "keepalive.pcap"), 2, "", ""); err == nil || !strings.Contains(err.Error(), "has 1 connections") {
		t.Errorf("err = %v", err)
	}
}

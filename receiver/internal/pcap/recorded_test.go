package pcap

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the events of recorded captures")

func TestRecordedCaptures(t *testing.T) {
	files, err := filepath.Glob("testdata/*.pcap*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if filepath.Ext(file) == ".events" {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			s, err := Open(Options{File: file, KeepTime: true})
			if err != nil {
				t.Fatal(err)
			}
			events, err := tell(s)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(events, "\n") + "\n"
			if l := lost(s); l != "" {
				got += "lost " + l + "\n"
			}
			if *update {
				if err := os.WriteFile(file+".events", []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file + ".events")
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("events:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

//go:build linux && (amd64 || arm64)

package capture

import (
	"os"
	"testing"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/leaktest"
)

// The self-test must not pass where a program is missing.
func TestOpenFailsWhereTheSelfTestDoes(t *testing.T) {
	needRoot(t)
	before := leaktest.OpenFiles()
	deaf := backend{name: "deaf"}
	_, err := openHere(Options{}, deaf)
	if want := "self-test: not seen: write, read, sendmsg, read of the answer"; err == nil || err.Error() != want {
		t.Errorf("said %v, want %q", err, want)
	}
	if after := leaktest.OpenFiles(); after != before {
		t.Errorf("%d files are open, want %d", after, before)
	}
}

func TestCloseInterruptsNextAndReleasesAll(t *testing.T) {
	needRoot(t)
	warmUp, err := Open(Options{}) // what the libraries keep
	if err != nil {
		t.Fatal(err)
	}
	if err := warmUp.Close(); err != nil {
		t.Fatal(err)
	}
	before := leaktest.OpenFiles()
	for range 3 {
		src, err := Open(Options{Shards: 3})
		if err != nil {
			t.Fatal(err)
		}
		shards, done := src.Shards(), make(chan error)
		for _, s := range shards {
			go func() {
				for {
					var e Event
					if err := s.Next(&e); err != nil {
						done <- err
						return
					}
				}
			}()
		}
		for range 2 {
			if err := src.Close(); err != nil {
				t.Error(err)
			}
		}
		for _, s := range shards {
			if err := <-done; err != os.ErrClosed {
				t.Errorf("Next returned %v, want %v", err, os.ErrClosed)
			}
			s.SetDeadline(time.Now())
			s.Skip(1, true, 1)
			s.Ignore(1)
		}
		for _, s := range shards {
			if err := s.Next(&Event{}); err != os.ErrClosed {
				t.Errorf("Next returned %v, want %v", err, os.ErrClosed)
			}
		}
		src.Losses(func(string, uint64) { t.Error("losses of a source that is closed") })
		if n := src.Ignored(); n != 0 {
			t.Errorf("%d events ignored of a source that is closed", n)
		}
	}
	if after := leaktest.OpenFiles(); after != before {
		t.Errorf("%d files are open, want %d", after, before)
	}
}

package pcap

import (
	"os"
	"strings"
	"testing"
)

func TestEveryLossIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../documentation.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range append(lossNames[:], "message_cut_by_"+cutOff, "message_cut_by_"+notInFile) {
		if !strings.Contains(string(text), "| "+reason+" |") {
			t.Errorf("metadata.yaml does not say what to do about %s", reason)
		}
	}
}

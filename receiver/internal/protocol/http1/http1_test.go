package http1_test

import (
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/protocol/http1"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/protocol/protocoltest"
)

func TestConversations(t *testing.T) {
	protocoltest.Run(t, http1.New(httpconv.Options{}), "http1")
}

func TestIdleConnectionsAreCheap(t *testing.T) {
	protocoltest.Idle(t, http1.New(httpconv.Options{}), "http1", map[string]int{"nginx-keepalive": 800, "tls-after-http": 100})
}

func FuzzConversation(f *testing.F) {
	protocoltest.Fuzz(f, http1.New(httpconv.Options{}), "http1")
}

func TestRequestsThatAreLostAreCounted(t *testing.T) {
	protocoltest.Dialogues(t, http1.New(httpconv.Options{}), "http1",
		"apache-pipelined", "chunked-over-length", "equal-lengths", "expect-answered-at-once", "folded-fields",
		"go-connect-tunnel", "h2c-accepted", "joined-in-request-body", "lost-continue", "lost-pipelined-response",
		"nginx-bad-request", "nginx-continue", "nginx-pipelined", "not-utf8", "pipelined-window", "reset",
		"tls-after-http")
}

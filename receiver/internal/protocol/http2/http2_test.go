package http2_test

import (
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/protocol/http2"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/protocol/protocoltest"
)

func TestConversations(t *testing.T) {
	protocoltest.Run(t, http2.New(httpconv.Options{}), "http2")
}

func FuzzConversation(f *testing.F) {
	protocoltest.Fuzz(f, http2.New(httpconv.Options{}), "http2")
}

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

func FuzzConversation(f *testing.F) {
	protocoltest.Fuzz(f, http1.New(httpconv.Options{}), "http1")
}

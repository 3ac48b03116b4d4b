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

func TestRequestsThatAreLostAreCounted(t *testing.T) {
	protocoltest.Accounts(t, http2.New(httpconv.Options{}), "http2", "http2_request_not_captured",
		"nghttp-head", "nghttp-nginx", "nghttpd-post", "nghttpd-push") // nghttp leaves the first ids out
}

func TestIdleConnectionsAreCheap(t *testing.T) {
	protocoltest.Idle(t, http2.New(httpconv.Options{}), "http2", map[string]int{"grpc-go-unary": 1500, "nghttp-nginx": 2450, "go-large-head": 4600})
}

func FuzzConversation(f *testing.F) {
	protocoltest.Fuzz(f, http2.New(httpconv.Options{}), "http2")
}

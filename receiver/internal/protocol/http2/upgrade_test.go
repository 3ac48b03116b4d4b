package http2_test

import (
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/protocol/http1"
	"github.com/perisco-io/perisco/receiver/internal/protocol/http2"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/protocol/protocoltest"
)

var _ protocol.Successor = (*http2.Protocol)(nil)

func TestConversationsThatBeginInHTTP1(t *testing.T) {
	protocoltest.Run(t, http1.New(httpconv.Options{}), "http2/upgrade", protocoltest.With(http2.New(httpconv.Options{})))
}

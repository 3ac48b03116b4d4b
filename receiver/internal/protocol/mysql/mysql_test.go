package mysql

import (
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/protocol/protocoltest"
)

// What is told where the handshake was missed.
var unseen = []protocoltest.Option{protocoltest.Default("db.system.name", mysql), protocoltest.Unmarked("db.namespace")}

func TestConversations(t *testing.T) {
	protocoltest.Run(t, New(DefaultOptions()), "mysql", unseen...)
}

func TestConversationsThatWereJoined(t *testing.T) {
	protocoltest.Run(t, New(DefaultOptions()), "mysql/joined", unseen...)
}

func FuzzConversation(f *testing.F) {
	protocoltest.Fuzz(f, New(DefaultOptions()), "mysql")
}

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

func TestIdleConnectionsAreCheap(t *testing.T) {
	protocoltest.Idle(t, New(DefaultOptions()), "mysql", map[string]int{"mysql2-text": 1000, "mysql9-mysql2-prepared": 1950, "go-tls": 100})
}

func FuzzConversation(f *testing.F) {
	protocoltest.Fuzz(f, New(DefaultOptions()), "mysql")
}

func TestRequestsThatAreLostAreCounted(t *testing.T) {
	protocoltest.Dialogues(t, New(DefaultOptions()), "mysql",
		"cli-compressed", "cli-tls", "connector-pipelined", "go-left", "go-tls",
		"go-zlib", "mysql2-user", "mysql9-connector-batch", "mysql9-go-interpolated", "mysql9-go-prepared",
		"mysql9-go-zlib", "mysql9-mysql2-large", "mysql9-mysql2-text", "mysql9-mysql2-user",
		"mysql9-mysqli-commands", "mysql9-mysqli-cursor", "mysql9-mysqli-file", "mysql9-mysqli-procedures",
		"mysqli-commands", "mysqli-compressed", "mysqli-file", "pymysql-odd", "raw-new", "raw-old")
}

//go:build !race

package http1_test

import (
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol/http1"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Under the race detector sync.Pool forgets on purpose.
func TestAnExchangeAllocatesNothing(t *testing.T) {
	n := 0
	c := http1.New(httpconv.Options{}).NewConn(new(exchange.Endpoint), func(exchange.Exchange) { n++ })
	pool := new(stream.Pool)
	var client, server stream.Buffer
	got := testing.AllocsPerRun(1000, func() {
		client.Feed(stream.Chunk{Data: benchRequest, Ack: server.End()}, pool)
		_ = c.Client(&client)
		client.Settle()
		server.Feed(stream.Chunk{Data: benchResponse, Ack: client.End()}, pool)
		_ = c.Server(&server)
		server.Settle()
	})
	if got != 0 || n != 1001 {
		t.Errorf("%v allocations an exchange, %d exchanges of 1001", got, n)
	}
}

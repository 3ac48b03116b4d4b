package engine

import (
	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// enlist notes whether f is a client's end, for its server's to find it. The
// client knows itself by the same address, whatever it calls the server.
func (e *Engine) enlist(f *flow, is bool) {
	if is == f.listed {
		return
	}
	at := f.endpoint.Local
	if f.listed = is; is {
		e.clients[at]++
		return
	}
	if e.clients[at]--; e.clients[at] == 0 {
		delete(e.clients, at)
	}
}

// meet tells a server's end whether its client's is followed, too. That opened
// first, if it was seen opening.
func (e *Engine) meet(ep *exchange.Endpoint) {
	if ep.Side == stream.Server && !ep.Met {
		ep.Met = e.clients[ep.Peer] > 0
	}
}

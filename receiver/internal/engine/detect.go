package engine

import (
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// maxOpening is how many bytes of a side a protocol gets to make up its mind.
const maxOpening = 4 << 10

// detect looks for the protocol that f speaks. A connection that was seen from
// its opening on gets one answer; one that was joined later, or of which bytes
// were lost, is asked about again at the next read or write, since it may
// have been met in the middle of a message.
func (e *Engine) detect(f *flow, lost bool) {
	client, server := &f.halves[stream.Client].buf, &f.halves[stream.Server].buf
	if lost {
		f.whole = false
	}
	verdict, swapped, index := e.ask(f, client.Bytes(), server.Bytes())
	truncated := client.Truncated() || server.Truncated()
	switch {
	case verdict == protocol.Yes:
		if swapped {
			e.enlist(f, false)
			f.swap()
			e.enlist(f, f.endpoint.Side == stream.Client)
		}
		if !f.sure { // what came before it was joined is not known
			f.tally = tally{settled: true}
		}
		f.sure = true
		e.follow(f, index, e.Protocols[index].NewConn(&f.endpoint, e.emits[index]))
		if p := &f.endpoint.Process; p.PID == 0 {
			p.Address = f.endpoint.Local
		}
		e.Sink.Process(f.endpoint.Process)
		e.parse(f, stream.Client)
		e.parse(f, stream.Server)
	case verdict == protocol.Wait && !truncated && max(len(client.Bytes()), len(server.Bytes())) <= maxOpening:
	case protocol.IsTLS(client.Bytes()) || protocol.IsTLS(server.Bytes()):
		e.ignore(f, ignored(protocol.Encrypted), client.Latest())
	case f.whole && !truncated:
		e.ignore(f, unknown, client.Latest())
	default:
		f.whole = false
		for i := range f.halves {
			f.halves[i].buf.Reset()
			f.halves[i].torn = true
		}
		e.strike(f, client.Latest())
	}
}

// follow lets the protocol with this index have a connection.
func (e *Engine) follow(f *flow, index int, conn protocol.Conn) {
	f.conn, f.turns = conn, 0
	_, f.dialogue = conn.(protocol.Dialogue)
	f.speaks, f.skims = uint8(index), e.skims[index].SkimFrom > 0
	if _, f.unbroken = e.Protocols[index].(protocol.Unbroken); f.unbroken {
		e.askWhole(f)
	}
	if a, ok := conn.(protocol.Accountant); ok {
		a.Account(e.lose)
	}
}

// askWhole asks the source for whole reads and writes of f.
func (e *Engine) askWhole(f *flow) {
	if f.entire {
		e.Source.Whole(f.id, stream.Framing{})
		return
	}
	e.Source.Whole(f.id, e.skims[f.speaks])
}

// ask returns the most certain verdict, and which protocol gave it, about the
// sides as they are or, where that is only guessed, as they may be.
func (e *Engine) ask(f *flow, client, server []byte) (best protocol.Verdict, swapped bool, index int) {
	for i, p := range e.Protocols {
		v := p.Detect(client, server)
		if v > best {
			best, swapped, index = v, false, i
		}
		if !f.sure && v != protocol.Yes {
			if v := p.Detect(server, client); v > best {
				best, swapped, index = v, true, i
			}
		}
		if best == protocol.Yes {
			return best, swapped, index
		}
	}
	return best, swapped, index
}

// swap corrects a wrong guess of who is the client. Where a process was
// observed its role was guessed wrongly; where none was, as in a packet
// capture, the end that is told about was: it is the server's.
func (f *flow) swap() {
	f.out = f.out.Peer()
	f.last = f.last.Peer()
	f.halves[0], f.halves[1] = f.halves[1], f.halves[0]
	if ep := &f.endpoint; ep.Process.PID != 0 {
		ep.Side = f.out
	} else {
		ep.Local, ep.Peer = ep.Peer, ep.Local
	}
}

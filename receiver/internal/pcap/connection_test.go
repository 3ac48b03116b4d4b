package pcap

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

func TestConnections(t *testing.T) {
	const client, server = stream.Client, stream.Server
	whole := []string{`1 opened`, `1 client "ask"`, `1 server "answer"`, `1 client ended`, `1 server ended`, `1 closed`}
	for _, c := range []struct {
		name   string
		tape   func(*tape, *talk)
		want   []string
		losses string
	}{
		{
			name: "one exchange",
			tape: func(_ *tape, k *talk) { k.open().client("ask").server("answer").fin(client).fin(server).ack(client) },
			want: whole,
		},
		{
			name: "the server ends first",
			tape: func(_ *tape, k *talk) { k.open().client("ask").server("answer").fin(server).fin(client).ack(server) },
			want: []string{`1 opened`, `1 client "ask"`, `1 server "answer"`, `1 server ended`, `1 client ended`, `1 closed`},
		},
		{
			name: "a handshake alone has no events",
			tape: func(_ *tape, k *talk) { k.open() },
		},
		{
			name: "a refused connection has no events",
			tape: func(_ *tape, k *talk) { k.send(client, layers.TCP{SYN: true}, "").rst(server) },
		},
		{
			name: "every packet is captured twice, as on the interface any",
			tape: func(t *tape, k *talk) {
				for _, f := range []func(){
					func() { k.send(client, layers.TCP{SYN: true}, "") }, func() { k.send(server, layers.TCP{SYN: true, ACK: true}, "") },
					func() { k.ack(client) }, func() { k.client("ask") }, func() { k.server("answer") },
					func() { k.fin(client) }, func() { k.fin(server) }, func() { k.ack(client) },
				} {
					f()
					t.again(0)
				}
			},
			want: whole,
		},
		{
			name: "segments in another order",
			tape: func(t *tape, k *talk) {
				k.open().client("ask").server("a").server("b").server("c")
				t.swap(2)
				k.fin(client)
			},
			want: []string{`1 opened`, `1 client "ask"`, `1 server "a"`, `1 server "b"`, `1 server "c"`, `1 client ended`},
		},
		{
			name: "lost on the way and sent again, while others arrive",
			tape: func(t *tape, k *talk) {
				k.open().client("ask")
				lost := k.seq[server]
				k.unseen(func() { k.server("one ") })
				for range 50 {
					k.server("next ")
					now := k.seq[server]
					k.seq[server] = lost
					k.ack(client) // a duplicate
					k.seq[server] = now
				}
				now := k.seq[server]
				k.seq[server] = lost
				k.server("one ")
				k.seq[server] = now
				k.ack(client)
			},
			want: append([]string{`1 opened`, `1 client "ask"`, `1 server "one "`}, slices.Repeat([]string{`1 server "next "`}, 50)...),
		},
		{
			name: "segments that overlap, the first bytes count",
			tape: func(_ *tape, k *talk) {
				k.open().client("GET /a")
				k.seq[client] -= 2
				k.client("XX HTTP/1.1")
				k.seq[client] -= 20
				k.client("older than everything")
			},
			want: []string{`1 opened`, `1 client "GET /a"`, `1 client " HTTP/1.1"`, `1 client "g"`},
		},
		{
			name: "the request is not in the capture: a hole before the answer",
			tape: func(_ *tape, k *talk) {
				k.open().unseen(func() { k.client("ask") }).server("answer").ack(client)
				for range patience {
					k.ack(client)
				}
				k.client("ask").server("answer")
			},
			want:   []string{`1 opened`, `1 client "" +3 not_in_file`, `1 server "answer"`, `1 client "ask"`, `1 server "answer"`},
			losses: "segment_missing=1",
		},
		{
			name: "the same, and the capture ends with the answer",
			tape: func(_ *tape, k *talk) { k.open().unseen(func() { k.client("ask") }).server("answer") },
			want: []string{`1 opened`, `1 client "" +3 not_in_file`, `1 server "answer"`}, losses: "segment_missing=1",
		},
		{
			name: "the answer was captured before its request",
			tape: func(t *tape, k *talk) { k.open().client("ask").server("answer"); t.swap(1); k.client("ask") },
			want: []string{`1 opened`, `1 client "ask"`, `1 server "answer"`, `1 client "ask"`},
		},
		{
			name: "a packet comes when it is no longer waited for",
			tape: func(t *tape, k *talk) {
				k.open().client("ask")
				late := t.packets[len(t.packets)-1].ip
				t.packets = t.packets[:len(t.packets)-1]
				for range patience + 1 {
					k.server("part")
				}
				t.add(late)
			},
			want:   append([]string{`1 opened`, `1 client "" +3 not_in_file`}, slices.Repeat([]string{`1 server "part"`}, patience+1)...),
			losses: "segment_missing=1 segment_late=1",
		},
		{
			name: "bytes were acknowledged and do not come within the skew of merged captures",
			tape: func(t *tape, k *talk) {
				k.open().client("ask").server("one").unseen(func() { k.server("two") }).server("three").ack(client)
				t.at = t.at.Add(time.Second)
				t.talk(clientV6, serverV6).client("another connection")
				k.server("four")
			},
			want: []string{
				`1 opened`, `1 client "ask"`, `1 server "one"`, `1 server "" +3 not_in_file`, `1 server "three"`,
				`2 client "another connection" ?`, `1 server "four"`,
			},
			losses: "segment_missing=1",
		},
		{
			name: "bytes are missing that nobody acknowledged",
			tape: func(_ *tape, k *talk) {
				k.open().client("ask").server("one").unseen(func() { k.server("two") }).server("three")
			},
			want:   []string{`1 opened`, `1 client "ask"`, `1 server "one"`, `1 server "" +3 not_in_file`, `1 server "three"`},
			losses: "segment_missing=1",
		},
		{
			name: "only the client's packets were captured",
			tape: func(_ *tape, k *talk) {
				k.send(client, layers.TCP{SYN: true}, "")
				k.unseen(func() { k.send(server, layers.TCP{SYN: true, ACK: true}, "") })
				k.client("ask").unseen(func() { k.server("answer") }).client("ask again")
			},
			want:   []string{`1 opened`, `1 client "ask"`, `1 server "" +6 not_in_file`, `1 client "ask again"`},
			losses: "segment_missing=1",
		},
		{
			name: "only the server's packets were captured",
			tape: func(_ *tape, k *talk) {
				k.unseen(func() { k.open().client("ask") }).server("answer").unseen(func() { k.client("ask again") }).server("answer")
			},
			want:   []string{`1 server "answer" ?`, `1 client "" +9 not_in_file ?`, `1 server "answer" ?`},
			losses: "segment_missing=1",
		},
		{
			name: "the opening is not in the capture",
			tape: func(_ *tape, k *talk) {
				k.unseen(func() { k.open() }).client("ask").server("answer").fin(client).fin(server)
			},
			want: []string{`1 client "ask" ?`, `1 server "answer" ?`, `1 client ended ?`, `1 server ended ?`, `1 closed ?`},
		},
		{
			name: "only the second half of the opening is",
			tape: func(_ *tape, k *talk) {
				k.unseen(func() { k.send(client, layers.TCP{SYN: true}, "") })
				k.send(server, layers.TCP{SYN: true, ACK: true}, "").client("ask").server("answer").fin(client).fin(server)
			},
			want: whole,
		},
		{
			name: "the halves of the opening change places",
			tape: func(t *tape, k *talk) {
				k.send(client, layers.TCP{SYN: true}, "").send(server, layers.TCP{SYN: true, ACK: true}, "")
				t.swap(1)
				k.client("ask").server("answer").fin(client).fin(server)
			},
			want: whole,
		},
		{
			name: "Fast Open: data with the SYN",
			tape: func(_ *tape, k *talk) {
				k.send(client, layers.TCP{SYN: true}, "ask").send(server, layers.TCP{SYN: true, ACK: true}, "")
				k.server("answer").fin(client).fin(server)
			},
			want: whole,
		},
		{
			name: "an aborted connection",
			tape: func(_ *tape, k *talk) { k.open().client("ask").rst(server).rst(client) },
			want: []string{`1 opened`, `1 client "ask"`, `1 closed reset`},
		},
		{
			name: "what is held is handed out before an abort",
			tape: func(_ *tape, k *talk) {
				k.open().client("ask").unseen(func() { k.server("one") }).server("two").rst(client)
			},
			want:   []string{`1 opened`, `1 client "ask"`, `1 server "" +3 not_in_file`, `1 server "two"`, `1 closed reset`},
			losses: "segment_missing=1",
		},
		{
			name: "what is waited for at an abort is missing before it",
			tape: func(t *tape, k *talk) {
				k.open().client("ask").unseen(func() { k.server("answer") }).ack(client).rst(client)
				t.at = t.at.Add(time.Second)
				t.talk(netip.AddrPortFrom(clientV4.Addr(), 40002), serverV4).open()
			},
			want:   []string{`1 opened`, `1 client "ask"`, `1 server "" +6 not_in_file`, `1 closed reset`},
			losses: "segment_missing=1",
		},
		{
			name: "ports are used again",
			tape: func(t *tape, k *talk) {
				k.open().client("ask").server("answer")
				next := t.talk(k.ends[client], k.ends[server])
				next.seq = [2]uint32{77, 88}
				next.open().client("hello").server("world")
			},
			want: []string{`1 opened`, `1 client "ask"`, `1 server "answer"`, `1 closed`, `2 opened`, `2 client "hello"`, `2 server "world"`},
		},
		{
			name: "ports are used again, and neither the end nor the opening was captured",
			tape: func(t *tape, k *talk) {
				k.open().client("ask").server("answer")
				next := t.talk(k.ends[client], k.ends[server])
				next.seq = [2]uint32{0x70000000, 0x60000000}
				next.client("hello").server("world")
			},
			want: []string{`1 opened`, `1 client "ask"`, `1 server "answer"`, `1 closed`, `2 client "hello" ?`, `2 server "world" ?`},
		},
		{
			name: "late packets of a closed connection are nothing new",
			tape: func(t *tape, k *talk) {
				k.open().client("ask").server("answer").fin(client).fin(server)
				t.again(2)
				t.again(1)
				k.rst(client)
			},
			want: whole,
		},
		{
			name: "the end of a stream was not captured",
			tape: func(_ *tape, k *talk) {
				k.open().client("ask").server("answer").unseen(func() { k.fin(client) })
				for range 2 * patience {
					k.ack(server)
				}
				k.fin(server)
			},
			want: []string{`1 opened`, `1 client "ask"`, `1 server "answer"`, `1 server ended`},
		},
		{
			name: "keep-alive probes repeat the last byte",
			tape: func(_ *tape, k *talk) {
				k.open().client("ask")
				k.seq[client]--
				k.client("k").server("answer")
			},
			want: []string{`1 opened`, `1 client "ask"`, `1 server "answer"`},
		},
		{
			name: "the capture kept the first bytes of packets",
			tape: func(t *tape, k *talk) {
				k.open().client("ask").server("a long answer")
				t.packets[len(t.packets)-1].keep = 20 + 20 + 6
				k.client("ask")
			},
			want: []string{`1 opened`, `1 client "ask"`, `1 server "a long" +7 snap_length`, `1 client "ask"`},
		},
		{
			name: "the capture kept less than the headers",
			tape: func(t *tape, k *talk) {
				k.open().client("ask")
				t.packets[len(t.packets)-1].keep = 30
			},
			losses: "packet_undecodable=1",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			tape := newTape()
			c.tape(tape, tape.talk(clientV4, serverV4))
			events, losses := play(t, tape.pcap(layers.LinkTypeEthernet))
			if !slices.Equal(events, c.want) || losses != c.losses {
				t.Errorf("events:\n%s\n\nwant:\n%s\n\nlosses = %q, want %q",
					strings.Join(events, "\n"), strings.Join(c.want, "\n"), losses, c.losses)
			}
		})
	}
}

package http2_test

import (
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

func TestMessagesAreCountedWhereNoPrefixIsLost(t *testing.T) {
	const two = "\x00\x00\x00\x00\x03abc\x01\x00\x00\x00\x00"
	tests := []struct {
		name string
		say  func(c *speaker)
		lost int // bytes at the end
		want string
	}{
		{name: "messages and frames that do not begin together", say: func(c *speaker) {
			c.frame(data, 0, 1, []byte(two)[:3]...)
			c.frame(data, padded, 1, append([]byte{2}, two[3:7]+"\x00\x00"...)...)
			c.frame(data, 0, 1)
			c.frame(data, endStream, 1, []byte(two)[7:]...)
		}, want: "shop.Cart/Talk OK 2/1 messages"},
		{name: "one that is not whole", say: func(c *speaker) {
			c.frame(data, endStream, 1, []byte(two+two+"\x00\x00\x00\x00\x03ab")...)
		}, want: "shop.Cart/Talk OK 4/1 messages"},
		{name: "not messages", say: func(c *speaker) {
			c.frame(data, endStream, 1, []byte(two+"hello")...)
		}, want: "shop.Cart/Talk OK"},
		{name: "a message of which something is lost", say: func(c *speaker) {
			c.frame(data, endStream, 1, append([]byte(two+"\x00\x00\x00\x00\x64"), make([]byte, 100)...)...)
		}, lost: 80, want: "shop.Cart/Talk OK 3/1 messages"},
		{name: "a prefix that is lost", say: func(c *speaker) {
			c.frame(data, endStream, 1, []byte(two+two)...)
		}, lost: 5, want: "shop.Cart/Talk OK"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, size := range []int{1, 2, 1000} {
				l, c, s := begin(t, p, stream.Server)
				c.headers(1, false, ":method: POST", ":scheme: http", ":path: /shop.Cart/Talk", "content-type: application/grpc")
				l.must(t, stream.Client, c.take())
				test.say(c)
				said := c.take()
				for said = said[:len(said)-test.lost]; len(said) > size; said = said[size:] {
					l.must(t, stream.Client, said[:size:size])
				}
				if err := l.hear(stream.Client, said, int64(test.lost)); err != nil {
					t.Fatal(err)
				}
				s.headers(1, false, ":status: 200", "content-type: application/grpc")
				s.frame(data, 0, 1, message(7)...)
				s.headers(1, true, "grpc-status: 0")
				l.must(t, stream.Server, s.take())
				l.expect(t, test.want)
			}
		})
	}
}

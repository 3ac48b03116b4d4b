package e2e

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// What an echo and those who speak to it speak, beyond TCP.
const (
	websocket = "websocket" // behind the upgrade: its frames
	encrypted = "tls"
	unknown   = "unknown" // something that nobody else knows
)

// echoed is how long their messages are.
const echoed = 4 << 10

// What a client and a server of WebSocket begin with (RFC 6455 1.2), and a
// message.
var (
	upgrade = "GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
	upgraded = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
	message = append([]byte{0x82, 126, (echoed - 4) >> 8, (echoed - 4) & 0xff}, bytes.Repeat([]byte{0xa5}, echoed-4)...)
)

// echo is the role of a server that says what it hears: <address> <kind>.
func echo(args []string) error {
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	if args[1] == encrypted {
		cert, err := certificate()
		if err != nil {
			return err
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}})
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			if args[1] == websocket {
				if err := answerWith(c, len(upgrade), upgraded); err != nil {
					return
				}
			}
			for buf := make([]byte, echoed); ; {
				if _, err := io.ReadFull(c, buf); err != nil {
					return
				}
				if _, err := c.Write(buf); err != nil {
					return
				}
			}
		}()
	}
}

// answerWith reads so many bytes, and then answers.
func answerWith(c net.Conn, n int, answer string) error {
	if _, err := io.ReadFull(c, make([]byte, n)); err != nil {
		return err
	}
	_, err := io.WriteString(c, answer)
	return err
}

// speak is the role of those who speak to an echo:
// <address> <kind> <connections> <messages of each>.
func speak(args []string) error {
	connections, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	messages, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	done := make(chan error)
	for range connections {
		go func() { done <- chat(args[0], args[1], messages) }()
	}
	var errs []error
	for range connections {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}

func chat(address, kind string, messages int) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	switch kind {
	case encrypted:
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true}) // it is our own
	case websocket:
		if _, err := io.WriteString(c, upgrade); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, make([]byte, len(upgraded))); err != nil {
			return err
		}
	}
	buf := make([]byte, echoed)
	for range messages {
		if _, err := c.Write(message); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			return err
		}
		if !bytes.Equal(buf, message) {
			return fmt.Errorf("%s: not what was said", kind)
		}
	}
	return nil
}

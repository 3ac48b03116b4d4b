package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/pcap"
	"github.com/perisco-io/perisco/receiver/internal/protocol/protocoltest"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// fromCapture writes a conversation of the connection with that number in a
// packet capture, each packet one write. 0 lists the connections.
func fromCapture(file string, number int, out, comment string) error {
	all, err := read(file)
	if err != nil {
		return err
	}
	if number == 0 {
		for i, c := range all {
			fmt.Fprintf(os.Stdout, "%d: %s -> %s, %d bytes asked, %d answered, %d missing\n",
				i+1, c.client, c.server, c.bytes[stream.Client], c.bytes[stream.Server], c.missing)
		}
		return nil
	}
	if number > len(all) {
		return fmt.Errorf("%s: has %d connections", file, len(all))
	}
	c := all[number-1]
	if c.missing > 0 {
		// What a loss does is tried out by the tests themselves.
		return fmt.Errorf("%s: connection %d lacks %d bytes: record one that is whole", file, number, c.missing)
	}
	return c.Write(out, comment)
}

// A connection of the capture.
type connection struct {
	protocoltest.Conversation
	client, server netip.AddrPort
	began          stream.Time
	bytes          [2]uint64 // sent by each side
	missing        uint64
}

// read returns the connections of a capture that moved bytes, in the order in
// which they began to.
func read(file string) (all []*connection, err error) {
	s, err := pcap.Open(pcap.Options{File: file, KeepTime: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	flows := make(map[capture.FlowID]*connection)
	for {
		var e capture.Event
		switch err := s.Next(&e); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		}
		c := flows[e.Flow]
		if c == nil {
			c = &connection{client: e.Peer, server: e.Local, began: e.Time}
			c.Joined = e.Kind != capture.Opened
			flows[e.Flow], all = c, append(all, c)
		}
		c.add(&e)
	}
}

func (c *connection) add(e *capture.Event) {
	side := e.Side
	if !e.Out {
		side = side.Peer()
	}
	at := time.Duration(e.Time - c.began)
	switch e.Kind {
	case capture.Data:
		c.bytes[side] += uint64(e.Len)
		c.missing += uint64(e.Len) - uint64(len(e.Data))
		c.Send(side, e.Data, at)
	case capture.Ended:
		c.End(side, at)
	case capture.Closed:
		c.Close(e.Reset, at)
	}
}

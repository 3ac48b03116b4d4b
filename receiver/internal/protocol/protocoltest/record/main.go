// Command record makes a conversation, as the tests of protocols play them, of
// what a client and a server say to each other, or of a packet capture.
//
//	record -to 127.0.0.1:8081 -out case.txtar -comment "..." -- curl http://127.0.0.1:8080/
//	record -to 127.0.0.1:8081 -out case.txtar -raw 'GET / HTTP/1.0\r\n\r\n'
//	record -file capture.pcap
//	record -file capture.pcap -connection 3 -out case.txtar -comment "..."
//
// Live, it stands between them as a TCP proxy, so that every read of its own
// becomes one write of the conversation. With -raw it is the client, too: it
// writes each given text in one go and waits until the server falls silent. The
// third form lists the connections of a capture.
package main

import (
	"errors"
	"flag"
	"log"
	"strconv"
	"strings"
)

// texts are the values of a flag that may be repeated, unquoted.
type texts []string

func (t *texts) String() string { return strings.Join(*t, " ") }
func (t *texts) Set(s string) error {
	plain, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
	*t = append(*t, plain)
	return err
}

func main() {
	var raw texts
	file := flag.String("file", "", "packet capture to read, instead of a client and a server")
	listen := flag.String("listen", "127.0.0.1:8080", "where the client connects")
	to := flag.String("to", "", "where the server listens")
	out := flag.String("out", "", "file to write")
	comment := flag.String("comment", "", "what is recorded, of which peers")
	number := flag.Int("connection", 0, "which one to write: the first if the client makes several; without it those of a capture are listed")
	linger := flag.Bool("linger", false, "do not close after the last -raw, wait for the server to")
	serve := flag.String("serve", "", "do not record: be the server of the recordings here")
	flag.Var(&raw, "raw", "text to write in one go, quoted as in Go; may be repeated")
	flag.Parse()
	log.SetFlags(0)
	var err error
	switch {
	case *serve != "":
		err = peer(*serve)
	case *file != "":
		err = fromCapture(*file, *number, *out, *comment)
	case len(raw) == 0 && flag.NArg() == 0:
		err = errors.New("name a client and its arguments, or -raw, or the -file of a packet capture")
	default:
		err = live(*listen, *to, raw, flag.Args(), max(*number, 1), *linger, *out, *comment)
	}
	if err != nil {
		log.Fatal(err)
	}
}

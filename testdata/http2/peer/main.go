// Command peer is both sides of what is recorded here of Go: net/http in clear
// text, and grpc-go.
package main

import (
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: peer what address")
	}
	run, ok := map[string]func(string) error{
		"serve-http": serveHTTP, "serve-grpc": serveGRPC,
		"http": speakHTTP, "large-head": largeHead, "large-cookie": largeCookie, "cancel": cancel, "connect": connect, "upload": upload,
		"grpc": speakGRPC, "grpc-streams": streamGRPC, "grpc-fails": failGRPC, "grpc-many": manyGRPC,
	}[os.Args[1]]
	if !ok {
		log.Fatalf("peer does not do %q: testdata/http2/record.sh has what it does", os.Args[1])
	}
	if err := run(os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

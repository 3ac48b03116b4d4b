package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// A shopper is a process that makes calls of gRPC, over one connection that it
// keeps from one list to the next.
type shopper struct {
	*process
	service string // what service.name it must be given
	plans   *json.Encoder
	reports *json.Decoder
}

// A list is what a shopper shall do: the i-th errand is run by hand i modulo
// the number of hands, one after the other by each.
type list struct {
	Address string
	Errands []errand
	Hands   int
	Pause   float64 // seconds before each
}

// An errand is a call that a shopper shall make.
type errand struct {
	Method   string            // such as shop.Cart/Add
	Code     int               // that the shop shall answer
	Messages int               // where there are several
	Wait     int               // milliseconds behind each, in the shop or where they are many
	Size     int               // of each message, in bytes
	Deadline int               // in milliseconds; 0: none
	Metadata map[string]string // besides
}

// order is the first message of an errand. Those who send many wait themselves.
func (e errand) order() string {
	o := order{e.Code, e.Messages, e.Wait}.String()
	return o + strings.Repeat("x", max(0, e.Size-len(o)))
}

// errands are calls of all sorts, each in a trace of its own.
func errands(n int) []errand {
	sorts := []errand{
		{Method: "shop.Cart/Add"},
		{Method: "shop.Cart/Watch", Messages: 5, Wait: 10, Size: 2000},
		{Method: "shop.Cart/Upload", Messages: 5, Wait: 10, Size: 2000},
		{Method: "shop.Cart/Talk", Messages: 5, Wait: 10},
		{Method: "shop.Cart/Add", Size: 9000},
		{Method: "shop.Till/Add", Wait: 20},
		{Method: "shop.Cart/Add", Code: 5},
		{Method: "shop.Cart/Add", Code: 13},
		{Method: "shop.Cart/Nothing"},
		{Method: "shop.Nobody/Add"},
		{Method: "shop.Cart/Watch", Messages: 3, Code: 14},
		{Method: "shop.Cart/Talk", Messages: 3, Code: 16},
		{Method: "shop.Cart/Upload", Messages: 2, Code: 8},
	}
	for code := range codes {
		if codes[code] != "UNIMPLEMENTED" { // which the shop itself never says
			sorts = append(sorts, errand{Method: "shop.Cart/Add", Code: code})
		}
	}
	var es []errand
	for i := range n {
		e := sorts[i%len(sorts)]
		e.Metadata = map[string]string{"traceparent": fmt.Sprintf("00-%032x-%016x-01", i+1, i+1)}
		es = append(es, e)
	}
	return es
}

// A receipt is how an errand went.
type receipt struct {
	Code         int
	Began, Ended float64 // seconds since 1970
}

// startGoShopper starts a shopper of grpc-go.
func startGoShopper(t testing.TB) *shopper {
	t.Helper()
	return startShopper(t, filepath.Base(os.Args[0]), self(t, "shopper"))
}

// startPythonShopper starts a shopper of the C core.
func startPythonShopper(t testing.TB) *shopper {
	t.Helper()
	return startShopper(t, "shop", exec.Command(debianPython(t, "grpc", "python3-grpcio"), "testdata/shop.py", "go"))
}

func startShopper(t testing.TB, service string, cmd *exec.Cmd) *shopper {
	t.Helper()
	s := &shopper{service: service}
	s.process, s.plans, s.reports = startAgent(t, cmd)
	return s
}

// begin hands a list over. report returns what came of it.
func (s *shopper) begin(t testing.TB, l list) {
	t.Helper()
	if err := s.plans.Encode(l); err != nil {
		t.Fatalf("tell the shopper what to do: %v", err)
	}
}

func (s *shopper) report(t testing.TB) []receipt {
	t.Helper()
	var receipts []receipt
	if err := s.reports.Decode(&receipts); err != nil {
		t.Fatalf("hear what the shopper did: %v", err)
	}
	return receipts
}

// run makes calls and checks that the shop answers what it is asked for.
func (s *shopper) run(t testing.TB, l list) []receipt {
	t.Helper()
	s.begin(t, l)
	receipts := s.report(t)
	var wrong findings
	for i, r := range receipts {
		if want := l.Errands[i].wantCode(); codes[r.Code] != want {
			wrong.addf("%s %s, want %s", l.Errands[i].Method, codes[r.Code], want)
		}
	}
	wrong.report(t, "answers of "+l.Address)
	return receipts
}

func (e errand) wantCode() string {
	_, known := streams[e.Method]
	switch {
	case !known:
		return "UNIMPLEMENTED"
	case e.Deadline != 0:
		return "DEADLINE_EXCEEDED"
	}
	return codes[e.Code]
}

// streams are the methods of a shop.
var streams = map[string]grpc.StreamDesc{
	"shop.Till/Add":    {},
	"shop.Cart/Add":    {},
	"shop.Cart/Watch":  {ServerStreams: true},
	"shop.Cart/Upload": {ClientStreams: true},
	"shop.Cart/Talk":   {ServerStreams: true, ClientStreams: true},
}

// goShopping is the role of a shopper of grpc-go: lists on standard input, and
// on standard output what came of them.
func goShopping([]string) error {
	lists, reports := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	var conn *grpc.ClientConn
	for {
		var l list
		if err := lists.Decode(&l); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if conn == nil {
			var err error
			conn, err = grpc.NewClient("passthrough:///"+l.Address, grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})), grpc.WithDisableServiceConfig())
			if err != nil {
				return err
			}
		}
		if err := reports.Encode(l.carryOut(conn)); err != nil {
			return err
		}
	}
}

func (l list) carryOut(conn *grpc.ClientConn) []receipt {
	receipts := make([]receipt, len(l.Errands))
	var wg sync.WaitGroup
	for i := range l.Hands {
		wg.Go(func() {
			for ; i < len(l.Errands); i += l.Hands {
				time.Sleep(time.Duration(l.Pause * float64(time.Second)))
				began := time.Now()
				err := l.Errands[i].run(conn)
				receipts[i] = receipt{int(status.Code(err)), seconds(began), seconds(time.Now())}
			}
		})
	}
	wg.Wait()
	return receipts
}

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

func (e errand) run(conn *grpc.ClientConn) error {
	ctx := metadata.NewOutgoingContext(context.Background(), metadata.New(e.Metadata))
	if e.Deadline != 0 {
		late, stop := context.WithTimeout(ctx, time.Duration(e.Deadline)*time.Millisecond)
		defer stop()
		ctx = late
	}
	message, answer := []byte(e.order()), []byte(nil)
	desc := streams[e.Method]
	if !desc.ServerStreams && !desc.ClientStreams {
		return conn.Invoke(ctx, "/"+e.Method, &message, &answer)
	}
	s, err := conn.NewStream(ctx, &desc, "/"+e.Method)
	if err != nil {
		return err
	}
	sent := 1
	if desc.ClientStreams {
		sent = e.Messages
	}
	for range sent {
		if err := s.SendMsg(&message); err != nil {
			return err
		}
		if desc.ClientStreams && desc.ServerStreams {
			if err := s.RecvMsg(&answer); err != nil {
				return err
			}
		}
		if desc.ClientStreams {
			if err := (order{wait: e.Wait}).pause(ctx); err != nil {
				return err
			}
		}
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	for {
		if err := s.RecvMsg(&answer); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

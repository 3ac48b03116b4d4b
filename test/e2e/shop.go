package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// A shop is a server of gRPC. It has the service shop.Cart:
//
//	Add     one message each way
//	Watch   many come back
//	Upload  many go there
//	Talk    each message comes back at once
//
// The first message says what to do, see order. There is a second service,
// shop.Till, that has Add only. What the metadata has that begins with x- comes
// back, but not from Python.

// startGoShop starts a shop of grpc-go.
func startGoShop(t testing.TB) *site {
	t.Helper()
	s := site{host: "127.0.0.1", port: freePort(t), service: filepath.Base(os.Args[0])}
	return startSite(t, s, self(t, "shop", s.address()))
}

// startPythonShop starts a shop of the C core.
func startPythonShop(t testing.TB) *site {
	t.Helper()
	s := site{host: "127.0.0.1", port: freePort(t), service: "shop"}
	return startSite(t, s, exec.Command(debianPython(t, "grpc", "python3-grpcio"), "testdata/shop.py", "serve", s.address()))
}

// An order is what the first message of a call says.
type order struct {
	code     int // of the answer; behind the messages that come back
	messages int // that Watch sends
	wait     int // milliseconds behind each
}

func parseOrder(message []byte) (o order, err error) {
	_, err = fmt.Sscan(string(message), &o.code, &o.messages, &o.wait)
	return o, err
}

func (o order) String() string { return fmt.Sprint(o.code, " ", o.messages, " ", o.wait, " ") }

func (o order) outcome() error {
	if o.code == 0 {
		return nil
	}
	return status.Error(grpccodes.Code(o.code), "as ordered: not OK")
}

// pause waits unless the call ends before.
func (o order) pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	case <-time.After(time.Duration(o.wait) * time.Millisecond):
		return nil
	}
}

// raw takes messages as they are.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error { *v.(*[]byte) = data; return nil }
func (raw) Name() string                       { return "proto" }

// openShop is a shop: <address>.
func openShop(args []string) error {
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.ForceServerCodec(raw{}),
		grpc.UnaryInterceptor(func(ctx context.Context, m any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			if err := grpc.SetHeader(ctx, extras(ctx)); err != nil {
				return nil, err
			}
			return handle(ctx, m)
		}),
		grpc.StreamInterceptor(func(shop any, s grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			if err := s.SetHeader(extras(s.Context())); err != nil {
				return err
			}
			return handle(shop, s)
		}))
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "shop.Cart", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Add", Handler: add}},
		Streams: []grpc.StreamDesc{
			{StreamName: "Watch", Handler: watch, ServerStreams: true},
			{StreamName: "Upload", Handler: upload, ClientStreams: true},
			{StreamName: "Talk", Handler: talk, ServerStreams: true, ClientStreams: true},
		},
	}, struct{}{})
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "shop.Till", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Add", Handler: add}},
	}, struct{}{})
	return s.Serve(l)
}

// extras is the metadata that a shop of grpc-go sends back.
func extras(ctx context.Context) metadata.MD {
	md, _ := metadata.FromIncomingContext(ctx)
	md = md.Copy()
	maps.DeleteFunc(md, func(key string, _ []string) bool { return !strings.HasPrefix(key, "x-") })
	return md
}

func add(_ any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	var message []byte
	if err := decode(&message); err != nil {
		return nil, err
	}
	return intercept(ctx, message, nil, sell)
}

func sell(ctx context.Context, m any) (any, error) {
	message := m.([]byte)
	o, err := parseOrder(message)
	if err != nil {
		return nil, err
	}
	if err := o.pause(ctx); err != nil {
		return nil, err
	}
	return &message, o.outcome()
}

func watch(_ any, s grpc.ServerStream) error {
	var message []byte
	if err := s.RecvMsg(&message); err != nil {
		return err
	}
	o, err := parseOrder(message)
	if err != nil {
		return err
	}
	for range o.messages {
		if err := s.SendMsg(&message); err != nil {
			return err
		}
		if err := o.pause(s.Context()); err != nil {
			return err
		}
	}
	return o.outcome()
}

// each calls do with every message that comes, and returns the order.
func each(s grpc.ServerStream, do func(message []byte) error) (o order, err error) {
	for first := true; ; first = false {
		var message []byte
		if err := s.RecvMsg(&message); errors.Is(err, io.EOF) {
			return o, nil
		} else if err != nil {
			return o, err
		}
		if first {
			if o, err = parseOrder(message); err != nil {
				return o, err
			}
		}
		if err := do(message); err != nil {
			return o, err
		}
	}
}

func upload(_ any, s grpc.ServerStream) error {
	n := 0
	o, err := each(s, func(message []byte) error {
		n += len(message)
		return nil
	})
	if err == nil {
		err = o.outcome()
	}
	if err != nil {
		return err
	}
	sum := fmt.Append(nil, n)
	return s.SendMsg(&sum)
}

func talk(_ any, s grpc.ServerStream) error {
	o, err := each(s, func(message []byte) error { return s.SendMsg(&message) })
	if err == nil {
		err = o.outcome()
	}
	return err
}

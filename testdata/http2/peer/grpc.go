package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// raw takes messages as they are.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error { *v.(*[]byte) = data; return nil }
func (raw) Name() string                       { return "proto" }

func serveGRPC(addr string) error {
	echo := func(_ any, s grpc.ServerStream) error {
		for {
			var m []byte
			if err := s.RecvMsg(&m); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if err := s.SendMsg(&m); err != nil {
				return err
			}
		}
	}
	collect := func(_ any, s grpc.ServerStream) error {
		var all, m []byte
		for {
			if err := s.RecvMsg(&m); errors.Is(err, io.EOF) {
				return s.SendMsg(&all)
			} else if err != nil {
				return err
			}
			all = append(all, m...)
		}
	}
	watch := func(_ any, s grpc.ServerStream) error {
		var m []byte
		if err := s.RecvMsg(&m); err != nil {
			return err
		}
		for range 5 {
			if err := s.SendMsg(&m); err != nil {
				return err
			}
			time.Sleep(4 * time.Millisecond)
		}
		return nil
	}
	fail := func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var m []byte
		if err := dec(&m); err != nil {
			return nil, err
		}
		if len(m) == 0 {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		if c := codes.Code(m[0]); c != codes.OK {
			return nil, status.Error(c, "as asked: not ok")
		}
		return &m, nil
	}
	s := grpc.NewServer(grpc.ForceServerCodec(raw{}))
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "shop.Cart", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Add", Handler: fail}},
		Streams: []grpc.StreamDesc{
			{StreamName: "Talk", Handler: echo, ServerStreams: true, ClientStreams: true},
			{StreamName: "Upload", Handler: collect, ClientStreams: true},
			{StreamName: "Watch", Handler: watch, ServerStreams: true},
		},
	}, struct{}{})
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return s.Serve(l)
}

func dial(addr string) (*grpc.ClientConn, context.Context) {
	c, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})), grpc.WithUserAgent("shop/1"))
	if err != nil {
		panic(err)
	}
	return c, metadata.AppendToOutgoingContext(context.Background(), "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
}

func speakGRPC(addr string) error {
	c, ctx := dial(addr)
	defer c.Close()
	for range 5 {
		in, out := []byte{0, 1, 2}, []byte(nil)
		if err := c.Invoke(ctx, "/shop.Cart/Add", &in, &out); err != nil {
			return err
		}
	}
	return nil
}

func streamGRPC(addr string) error {
	c, ctx := dial(addr)
	defer c.Close()
	for _, d := range []grpc.StreamDesc{{StreamName: "Talk", ClientStreams: true, ServerStreams: true}, {StreamName: "Upload", ClientStreams: true}, {StreamName: "Watch", ServerStreams: true}, {StreamName: "Talk", ClientStreams: true, ServerStreams: true}} {
		s, err := c.NewStream(ctx, &d, "/shop.Cart/"+d.StreamName)
		if err != nil {
			return err
		}
		m := []byte("message")
		for range 3 {
			if err := s.SendMsg(&m); err != nil {
				return err
			}
			if d.ServerStreams && d.ClientStreams {
				if err := s.RecvMsg(&m); err != nil {
					return err
				}
			}
			time.Sleep(3 * time.Millisecond)
			if !d.ClientStreams {
				break
			}
		}
		if err := s.CloseSend(); err != nil {
			return err
		}
		for s.RecvMsg(&m) == nil {
		}
	}
	return nil
}

func failGRPC(addr string) error {
	c, ctx := dial(addr)
	defer c.Close()
	for code := byte(0); code <= 16; code++ {
		in, out := []byte{code}, []byte(nil)
		_ = c.Invoke(ctx, "/shop.Cart/Add", &in, &out)
	}
	in, out, none := []byte{1}, []byte(nil), []byte(nil)
	_ = c.Invoke(ctx, "/shop.Cart/Unknown", &in, &out)
	_ = c.Invoke(ctx, "/shop.Nobody/Add", &in, &out)
	late, stop := context.WithTimeout(ctx, 20*time.Millisecond)
	defer stop()
	_ = c.Invoke(late, "/shop.Cart/Add", &none, &out)
	in = []byte{0}
	return c.Invoke(ctx, "/shop.Cart/Add", &in, &out)
}

// manyGRPC makes 40 calls, eight at a time.
func manyGRPC(addr string) error {
	c, ctx := dial(addr)
	defer c.Close()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5 {
				in, out := []byte{0, 1, 2}, []byte(nil)
				_ = c.Invoke(ctx, "/shop.Cart/Add", &in, &out)
			}
		})
	}
	all.Wait()
	return nil
}

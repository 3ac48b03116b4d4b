// Package serve is what the services have in common: they listen until a signal
// ends them, and find each other and the database by address.
package serve

import (
	"context"
	"database/sql"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver, by this name
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/perisco-io/perisco/examples/bookstore/internal/trace"
)

const (
	patience = 2 * time.Minute  // with a database that starts
	grace    = 5 * time.Second  // for requests that are under way at the end
	timeout  = 10 * time.Second // of a request to another service
)

// HTTP serves HTTP/1.1, and HTTP/2 to those who begin with it.
func HTTP(address string, handler http.Handler) {
	s := http.Server{Addr: address, Handler: trace.Handler(handler), ReadHeaderTimeout: timeout, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	stopped := make(chan struct{})
	go func() {
		<-terminated()
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		_ = s.Shutdown(ctx) // what is left then is cut off
		close(stopped)
	}()
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	<-stopped
}

// GRPC serves gRPC without TLS.
func GRPC(address string, register func(grpc.ServiceRegistrar)) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	s := grpc.NewServer(grpc.UnaryInterceptor(trace.Server))
	register(s)
	go func() {
		<-terminated()
		time.AfterFunc(grace, s.Stop)
		s.GracefulStop()
	}()
	if err := s.Serve(l); err != nil {
		log.Fatal(err)
	}
}

func terminated() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	return c
}

// Client returns one that speaks HTTP/1.1, or only HTTP/2.
func Client(http2 bool) *http.Client {
	speak := new(http.Protocols)
	speak.SetHTTP1(!http2)
	speak.SetUnencryptedHTTP2(http2)
	return &http.Client{Transport: trace.Transport{RoundTripper: &http.Transport{Protocols: speak}}, Timeout: timeout}
}

// Dial returns a connection to a gRPC service, which need not run yet.
func Dial(address string) *grpc.ClientConn {
	conn, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(trace.Client),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		log.Fatal(err)
	}
	return conn
}

// Database waits for a MySQL server and returns connections to it.
func Database(dsn string) *sql.DB {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		log.Fatal(err)
	}
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Second) {
		err := db.Ping()
		if err == nil {
			return db
		}
		if time.Now().After(deadline) {
			log.Fatal("connect to the database: ", err)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

func serveHTTP(addr string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/trailers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Checksum")
		for i := range 3 {
			fmt.Fprintf(w, "part %d of the answer\n", i)
			w.(http.Flusher).Flush()
			time.Sleep(5 * time.Millisecond)
		}
		w.Header().Set("X-Checksum", "cafe")
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		time.Sleep(5 * time.Millisecond)
		io.WriteString(w, "here it is\n")
	})
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		var code int
		fmt.Sscan(r.PathValue("code"), &code)
		w.WriteHeader(code)
		fmt.Fprintf(w, "that is %d\n", code)
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Write(b)
	})
	mux.HandleFunc("/early", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusRequestEntityTooLarge) // without reading the body
	})
	mux.HandleFunc("/abort", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "only this much")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := &http.Server{Addr: addr, Handler: mux, Protocols: new(http.Protocols), IdleTimeout: 300 * time.Millisecond}
	s.Protocols.SetUnencryptedHTTP2(true)
	s.Protocols.SetHTTP1(true)
	return s.ListenAndServe()
}

func client() *http.Client {
	t := &http.Transport{Protocols: new(http.Protocols)}
	t.Protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: t}
}

func do(c *http.Client, r *http.Request, err error) error {
	if err != nil {
		return err
	}
	resp, err := c.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// speakHTTP makes requests of many kinds, one after the other, with a token
// that is long enough to fill the table.
func speakHTTP(addr string) error {
	c := client()
	token := strings.Repeat("0123456789abcdef", 38)[:600]
	for range 3 {
		for _, what := range []string{"GET /status/200", "DELETE /status/204", "GET /status/404", "PUT /echo", "GET /trailers", "GET /hints", "BREW /status/418", "GET /abort"} {
			method, path, _ := strings.Cut(what, " ")
			var body io.Reader
			if method == "PUT" {
				body = strings.NewReader("hello http2 world")
			}
			r, err := http.NewRequest(method, "http://"+addr+path+"?q=1", body)
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
			if err := do(c, r, err); err != nil && path != "/abort" {
				return err
			}
		}
	}
	return nil
}

// largeHead sends a head of 40 kB, twice.
func largeHead(addr string) error {
	c := client()
	for range 2 {
		r, err := http.NewRequest("GET", "http://"+addr+"/status/200?after="+strings.Repeat("a:%40@", 60), nil)
		for i := range 40 {
			r.Header.Set(fmt.Sprintf("X-Large-%d", i), strings.Repeat("X", 1000))
		}
		r.Header.Set("User-Agent", "large/1")
		if err := do(c, r, err); err != nil {
			return err
		}
	}
	return nil
}

// largeCookie sends a cookie of 64 KiB, twice.
func largeCookie(addr string) error {
	c := client()
	for range 2 {
		r, err := http.NewRequest("GET", "http://"+addr+"/status/200?after="+strings.Repeat("a:%40@", 60), nil)
		r.Header.Set("Cookie", "large="+strings.Repeat("<", 64<<10))
		r.Header.Set("User-Agent", "large/1")
		if err := do(c, r, err); err != nil {
			return err
		}
	}
	return nil
}

// cancel gives up one of two requests.
func cancel(addr string) error {
	c := client()
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer stop()
	r, err := http.NewRequestWithContext(ctx, "GET", "http://"+addr+"/slow", nil)
	_ = do(c, r, err)
	r, err = http.NewRequest("GET", "http://"+addr+"/status/503", nil)
	return do(c, r, err)
}

// connect says what the Connect protocol and gRPC-Web say.
func connect(addr string) error {
	c := client()
	for _, kind := range []string{"application/connect+proto", "application/proto", "application/grpc-web+proto", "application/grpc-web-text"} {
		r, err := http.NewRequest("POST", "http://"+addr+"/shop.Cart/Add", bytes.NewReader([]byte("\x00\x00\x00\x00\x03abc")))
		r.Header.Set("Content-Type", kind)
		if err := do(c, r, err); err != nil {
			return err
		}
	}
	return nil
}

// upload sends 200 kB that are echoed, and as much that is not read.
func upload(addr string) error {
	c := client()
	for _, path := range []string{"/echo", "/early", "/echo"} {
		r, err := http.NewRequest("POST", "http://"+addr+path, bytes.NewReader(make([]byte, 200_000)))
		if err := do(c, r, err); err != nil && path != "/early" {
			return err
		}
	}
	return nil
}

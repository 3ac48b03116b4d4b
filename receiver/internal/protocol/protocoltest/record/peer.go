package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// peer serves, with net/http, what the other servers do not do by themselves.
func peer(addr string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/trailers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Checksum, X-Count")
		for i := range 3 {
			fmt.Fprintf(w, "part %d of the answer\n", i)
			w.(http.Flusher).Flush()
			time.Sleep(5 * time.Millisecond)
		}
		w.Header().Set("X-Checksum", "cafe")
		w.Header().Set("X-Count", "3")
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusProcessing)
		w.WriteHeader(http.StatusEarlyHints)
		time.Sleep(5 * time.Millisecond)
		io.WriteString(w, "here it is\n")
	})
	mux.HandleFunc("/early", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusRequestEntityTooLarge) // without reading the body
	})
	mux.HandleFunc("/full-duplex", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Content-Length", "6")
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, "taken\n")
		w.(http.Flusher).Flush()
		io.Copy(io.Discard, r.Body)
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Minute)
	})
	mux.HandleFunc("/abort", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, "only this much")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		var code int
		fmt.Sscan(r.PathValue("code"), &code)
		w.WriteHeader(code)
		fmt.Fprintf(w, "that is %d\n", code)
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	s := &http.Server{
		Addr:        addr,
		IdleTimeout: 300 * time.Millisecond,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodConnect && r.Header.Get("Proxy-Authorization") == "":
				http.Error(w, "who are you?", http.StatusProxyAuthRequired)
			case r.Method == http.MethodConnect:
				tunnel(w, r)
			default:
				mux.ServeHTTP(w, r)
			}
		}),
	}
	return s.ListenAndServe()
}

// tunnel is the answer of a proxy to CONNECT.
func tunnel(w http.ResponseWriter, r *http.Request) {
	far, err := net.Dial("tcp", r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer far.Close()
	near, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer near.Close()
	io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		io.Copy(far, buffered)
		far.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(near, far)
}

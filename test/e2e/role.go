package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The test's executable is also the Go programs that the tests want to see as
// processes of their own. This variable says which one it shall be.
const roleVariable = "PERISCO_E2E_ROLE"

// self returns the command for a role.
func self(t testing.TB, role string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	return cmd
}

// play plays the role that the environment asks for, if it does.
func play() (played bool) {
	var err error
	switch role := os.Getenv(roleVariable); role {
	case "":
		return false
	case "warden":
		err = keepWatch(os.Args[1:])
	case "server":
		err = serve(os.Args[1:])
	case "visitor":
		err = come(os.Args[1:])
	case "load":
		err = drive(os.Args[1:])
	case "attacker":
		err = strike(os.Args[1:])
	case "echo":
		err = echo(os.Args[1:])
	case "speak":
		err = speak(os.Args[1:])
	case "host":
		err = host(os.Args[1:])
	case "crowd":
		err = crowd(os.Args[1:])
	case "shop":
		err = openShop(os.Args[1:])
	case "shopper":
		err = goShopping(os.Args[1:])
	case "reader":
		err = openReader(os.Args[1:])
	default:
		err = fmt.Errorf("there is no role %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// serve is a site of net/http, of HTTP/1.1 and cleartext HTTP/2: <address> [tls].
func serve(args []string) error {
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	if len(args) > 1 && args[1] == "tls" {
		cert, err := certificate()
		if err != nil {
			return err
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/answer/{status}/{body}/", answer)
	mux.HandleFunc("/hints", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "here it is\n")
	})
	mux.HandleFunc("/trailers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "some text\n")
		w.Header().Set("X-Sum", "1")
	})
	mux.HandleFunc("/events/{count}", sendEvents)
	mux.HandleFunc("/chunks/{count}", sendChunks)
	mux.HandleFunc("/poll/{milliseconds}", func(w http.ResponseWriter, r *http.Request) {
		ms, _ := strconv.Atoi(r.PathValue("milliseconds"))
		time.Sleep(time.Duration(ms) * time.Millisecond)
		_, _ = io.WriteString(w, "nothing new\n")
	})
	mux.HandleFunc("/abort", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "only this much")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/silence", func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	})
	s := http.Server{Handler: mux, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s.Serve(l)
}

func answer(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	status, _ := strconv.Atoi(r.PathValue("status"))
	if r.PathValue("body") == "chunked" {
		w.WriteHeader(status)
		for range 3 {
			_, _ = io.WriteString(w, "a chunk\n")
			_ = http.NewResponseController(w).Flush()
		}
		return
	}
	n, _ := strconv.Atoi(r.PathValue("body"))
	if n > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(n))
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, strings.Repeat("x", n))
}

// sendEvents answers with so many events of 100 bytes, each as soon as it can.
func sendEvents(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.PathValue("count"))
	w.Header().Set("Content-Type", "text/event-stream")
	for range n {
		_, _ = io.WriteString(w, "data: "+strings.Repeat("x", 92)+"\n\n")
		_ = http.NewResponseController(w).Flush()
	}
}

// sendChunks answers with so many times 2 KiB, in chunks whose heads are anywhere in
// what is written at once.
func sendChunks(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.PathValue("count"))
	for range n {
		_, _ = io.WriteString(w, strings.Repeat("x", 2<<10))
	}
}

// certificate returns one that nobody has signed but itself.
func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

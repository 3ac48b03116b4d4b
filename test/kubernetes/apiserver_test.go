package kubernetes

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// binariesVariable names the directory of kube-apiserver, server (etcd) and kubectl.
const binariesVariable = "PERISCO_KUBERNETES"

// An apiServer is a real one, of a cluster without a node or a controller: what
// those would do the test does.
type apiServer struct {
	kubernetes.Interface
	config     *rest.Config // of an administrator
	port       int
	kubectl    string
	kubeconfig string // of the same
	ca         string // path of the certificate
}

func startAPIServer(t *testing.T, binaries string) *apiServer {
	t.Helper()
	dir := t.TempDir()
	key, tokens := filepath.Join(dir, "sa.key"), filepath.Join(dir, "tokens.csv")
	write(t, key, newKey(t))
	write(t, tokens, "secret,admin,admin,system:masters\n")

	clients, peers := "http://127.0.0.1:"+strconv.Itoa(freePort(t)), "http://127.0.0.1:"+strconv.Itoa(freePort(t))
	start(t, exec.Command(filepath.Join(binaries, "server"),
		"--data-dir", filepath.Join(dir, "etcd"), "--unsafe-no-fsync", "--log-level", "error",
		"--listen-client-urls", clients, "--advertise-client-urls", clients,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "default="+peers))

	a := &apiServer{
		port:       freePort(t),
		kubectl:    filepath.Join(binaries, "kubectl"),
		kubeconfig: filepath.Join(dir, "kubeconfig"),
		ca:         filepath.Join(dir, "certs", "apiserver.crt"),
	}
	server := start(t, exec.Command(filepath.Join(binaries, "kube-apiserver"),
		"--etcd-servers", clients, "--cert-dir", filepath.Join(dir, "certs"),
		"--bind-address", "127.0.0.1", "--secure-port", strconv.Itoa(a.port), "--endpoint-reconciler-type", "none",
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", key,
		"--service-account-signing-key-file", key, "--service-cluster-ip-range", "10.96.0.0/16",
		"--token-auth-file", tokens, "--authorization-mode", "RBAC",
		"--disable-admission-plugins", "ServiceAccount")) // no controller makes the accounts of namespaces
	server.await(t, "certificate", func() error { _, err := os.Stat(a.ca); return err })

	a.config = &rest.Config{
		Host:            fmt.Sprintf("https://127.0.0.1:%d", a.port),
		BearerToken:     "secret",
		TLSClientConfig: rest.TLSClientConfig{CAFile: a.ca},
		QPS:             -1,
	}
	client, err := kubernetes.NewForConfig(a.config)
	if err != nil {
		t.Fatal(err)
	}
	a.Interface = client
	server.await(t, "readiness", func() error {
		return client.RESTClient().Get().AbsPath("/readyz").Do(context.Background()).Error()
	})
	write(t, a.kubeconfig, fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c,
		clusters: [{name: c, cluster: {server: %q, certificate-authority: %q}}],
		users: [{name: u, user: {token: secret}}], contexts: [{name: c, context: {cluster: c, user: u}}]}`, a.config.Host, a.ca))
	return a
}

// do runs kubectl.
func (a *apiServer) do(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, a.kubectl, append([]string{"--kubeconfig", a.kubeconfig}, args...)...)
}

// podBytes returns what a pod takes when a watch tells of it.
func (a *apiServer) podBytes(t *testing.T) int {
	t.Helper()
	client, err := rest.HTTPClientFor(a.config)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	list := func(query string) int {
		req, err := http.NewRequest(http.MethodGet, a.config.Host+"/api/v1/namespaces/perisco/pods"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/vnd.kubernetes.protobuf")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		n, err := io.Copy(io.Discard, resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return int(n)
	}
	return list("") - list("?fieldSelector=metadata.name=nobody")
}

func newKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

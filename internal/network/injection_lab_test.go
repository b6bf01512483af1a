package network

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/egress"
)

const (
	theSecret = "s3cr3t-VALUE-of-the-owner"
	ownHost   = "api.example.test"
	ownAddr   = "127.7.1.1"
)

// entries are a Secrets Manager; one that is not there is an error.
type entries map[string]string

func (e entries) Secret(_ context.Context, id string) (string, error) {
	if text, ok := e[id]; ok {
		return text, nil
	}
	return "", ErrNoSecret
}

// injectionLab is a lab whose session has secrets for hosts that it reaches, and an authority of the world outside.
type injectionLab struct {
	*lab
	world *CA
	mu    sync.Mutex
	log   bytes.Buffer
}

// Write keeps what is logged.
func (l *injectionLab) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(p)
}

// newInjectionLab fails its test if the secret is ever in a log.
func newInjectionLab(t *testing.T, list string, from Secrets) *injectionLab {
	t.Helper()
	load := func(name string) *CA {
		ca, err := LoadCA(filepath.Join(t.TempDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		return ca
	}
	injections, err := ParseInjections(list)
	if err != nil {
		t.Fatal(err)
	}
	l := &injectionLab{world: load("world.pem")}
	rules, err := egress.ParseRules("127.7.0.0/16")
	if err != nil {
		t.Fatal(err)
	}
	z := zone{"elsewhere.test": {"127.7.1.2"}}
	for _, name := range []string{ownHost, "other.example.test", "example.test", "api.example.test.evil.test", "evilexample.test"} {
		z[name] = []string{ownAddr}
	}
	ca, roots := load("ca.pem"), x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(l.world.Certificate()))
	n := New(Options{CA: ca, Handler: http.HandlerFunc(sayHost), Roots: roots, Resolve: z.resolve, Log: slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	p := sandboxed
	p.Services = []string{AnyService}
	p.Outside = &Outside{Policy: egress.Policy{Allow: rules, Own: HostAddresses()}, Injections: injections, Secrets: from}
	l.lab = &lab{T: t, n: n, s: n.Open(p), roots: x509.NewCertPool()}
	l.roots.AppendCertsFromPEM([]byte(ca.Certificate()))
	l.ctx, l.end = context.WithCancel(t.Context())
	before := log.Writer()
	log.SetOutput(l) // net/http prints by itself
	t.Cleanup(func() {
		l.end()
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		l.wg.Wait()
		log.SetOutput(before)
		l.mu.Lock()
		defer l.mu.Unlock()
		if strings.Contains(l.log.String(), theSecret) {
			t.Errorf("the secret is in the log: %s", l.log.String())
		}
		if all := fmt.Sprintf("%+v", l.s.Connections()); strings.Contains(all, theSecret) {
			t.Errorf("the secret is in the list of connections: %s", all)
		}
	})
	for name := range z {
		l.resolveA(name)
	}
	return l
}

// host is a server outside with a certificate of the world's authority for whatever name it is asked for.
func (l *injectionLab) host(address string, h http.HandlerFunc, change ...func(*httptest.Server)) {
	l.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Listener = listen(l.T, address)
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if h.ServerName == "" {
			return l.world.mint("nobody.test")
		}
		return l.world.mint(h.ServerName)
	}}
	for _, f := range change {
		f(s)
	}
	s.StartTLS()
	l.Cleanup(s.Close)
}

// client is a program inside, which trusts both authorities and connects to an address whatever the name.
func (l *injectionLab) client(to string, protocols ...string) *http.Client {
	l.Helper()
	roots := l.roots.Clone()
	roots.AppendCertsFromPEM([]byte(l.world.Certificate()))
	var p http.Protocols
	p.SetHTTP1(len(protocols) == 0 || protocols[0] == protocolHTTP1)
	p.SetHTTP2(len(protocols) == 0 || protocols[0] == protocolHTTP2)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, Protocols: &p, DisableCompression: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return l.connect(to) }}
	l.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// raw is a TLS connection from inside, of which the test writes every byte.
func (l *injectionLab) raw(to, sni string, protocols ...string) *tls.Conn {
	l.Helper()
	conn, err := l.connect(to)
	if err != nil {
		l.Fatal(err)
	}
	secure := tls.Client(conn, &tls.Config{ServerName: sni, RootCAs: l.roots, NextProtos: protocols})
	if err := secure.HandshakeContext(l.Context()); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { secure.Close() })
	return secure
}

// body sends a request and returns the status and what is answered.
func body(t *testing.T, c *http.Client, r *http.Request) (int, string) {
	t.Helper()
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

func request(method, url string, content io.Reader, header ...string) *http.Request {
	r := httptest.NewRequest(method, url, content)
	r.RequestURI = ""
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func withoutHTTP2(s *httptest.Server) { s.EnableHTTP2 = false }

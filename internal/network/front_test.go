package network

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// lab is a network and a session whose guest is the test.
type lab struct {
	*testing.T
	n     *Network
	s     *Session
	roots *x509.CertPool
	ctx   context.Context // of the sandbox
	end   context.CancelFunc
	wg    sync.WaitGroup
}

func newLab(t *testing.T, p Policy, h http.HandlerFunc) *lab {
	t.Helper()
	ca, err := LoadCA(filepath.Join(t.TempDir(), "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{T: t, n: New(Options{CA: ca, Handler: h}), roots: x509.NewCertPool()}
	l.s = l.n.Open(p)
	l.roots.AppendCertsFromPEM([]byte(ca.Certificate()))
	l.ctx, l.end = context.WithCancel(t.Context())
	t.Cleanup(func() {
		l.end()
		if err := l.n.Close(); err != nil {
			t.Error(err)
		}
		l.wg.Wait()
	})
	return l
}

// dial makes a connection as the guest relays it.
func (l *lab) dial(listener string) net.Conn {
	l.Helper()
	dir := l.TempDir()
	ln, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		l.Fatal(err)
	}
	defer ln.Close()
	inside, err := net.Dial("unix", filepath.Join(dir, "s"))
	if err != nil {
		l.Fatal(err)
	}
	outside, err := ln.Accept()
	if err != nil {
		l.Fatal(err)
	}
	session := l.s // a test may go on with another
	l.wg.Go(func() { session.Relay(l.ctx, listener, outside) })
	l.Cleanup(func() { inside.Close() })
	if err := inside.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		l.Fatal(err)
	}
	return inside
}

// secure is a TLS client's side of a connection.
func (l *lab) secure(sni string, change ...func(*tls.Config)) (*tls.Conn, error) {
	c := &tls.Config{ServerName: sni, RootCAs: l.roots, MinVersion: tls.VersionTLS12}
	for _, f := range change {
		f(c)
	}
	conn := tls.Client(l.dial(listenHTTPS), c)
	return conn, conn.HandshakeContext(l.Context())
}

// get sends one request and returns what comes back.
func get(conn net.Conn, host string, header ...string) (status int, body string, err error) {
	if _, err := fmt.Fprintf(conn, "GET /k HTTP/1.1\r\nHost: %s\r\n%s\r\n", host, strings.Join(append(header, ""), "\r\n")); err != nil {
		return 0, "", err
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return r.StatusCode, string(b), err
}

func sayHost(w http.ResponseWriter, r *http.Request) {
	p, ok := PeerOf(r.Context())
	fmt.Fprintf(w, "%s %v %s %s", r.Host, ok, p.Session, p.Host.Service)
}

const s3Host = "s3.us-west-2.amazonaws.com"

func TestRequestsReachTheHandler(t *testing.T) {
	l := newLab(t, sandboxed, sayHost)
	const want = s3Host + " true one s3"
	conn, err := l.secure(s3Host)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a kept connection
		if status, body, err := get(conn, s3Host); status != 200 || body != want || err != nil {
			t.Errorf("%d %q %v", status, body, err)
		}
	}
	for _, listener := range []string{listenHTTP, listenLocal} {
		if status, body, err := get(l.dial(listener), s3Host); status != 200 || body != want || err != nil {
			t.Errorf("%s: %d %q %v", listener, status, body, err)
		}
	}
}

func TestHTTP2(t *testing.T) {
	p := sandboxed
	p.Services = []string{AnyService}
	l := newLab(t, p, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) })
	for host, want := range map[string]string{s3Host: "HTTP/1.1", "bedrock-agentcore.us-west-2.amazonaws.com": "HTTP/2.0"} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: l.roots}, ForceAttemptHTTP2: true,
			DialContext: func(context.Context, string, string) (net.Conn, error) { return l.dial(listenHTTPS), nil }}
		r, err := (&http.Client{Transport: transport}).Get("https://" + host + "/")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r.Body)
		r.Body.Close()
		transport.CloseIdleConnections()
		if string(b) != want || err != nil {
			t.Errorf("%s: %s %v, want %s", host, b, err, want)
		}
	}
}

func TestAttackSNISaysS3HostSaysElsewhere(t *testing.T) {
	p := sandboxed
	p.Services = []string{"s3", "sts"}
	l := newLab(t, p, sayHost)
	conn, err := l.secure(s3Host)
	if err != nil {
		t.Fatal(err)
	}
	if status, _, err := get(conn, "sts.us-west-2.amazonaws.com"); status != http.StatusMisdirectedRequest || err != nil {
		t.Errorf("%d %v", status, err)
	}
	if status, _, err := get(l.dial(listenHTTP), "example.org"); status != http.StatusMisdirectedRequest || err != nil {
		t.Errorf("another host without TLS: %d %v", status, err)
	}
}

func TestAttackSNIOfWhatIsNotServed(t *testing.T) {
	l := newLab(t, sandboxed, sayHost)
	for _, sni := range []string{"", "example.org", "sts.us-west-2.amazonaws.com", "s3.amazonaws.com.evil.org"} {
		if conn, err := l.secure(sni, func(c *tls.Config) { c.InsecureSkipVerify = true }); err == nil {
			t.Errorf("%q gets a certificate for %v", sni, conn.ConnectionState().PeerCertificates[0].DNSNames)
		}
	}
}

// TestAttackResumedSessionOfAnotherName resumes a TLS session of a name that is served under a name that is not.
func TestAttackResumedSessionOfAnotherName(t *testing.T) {
	l := newLab(t, sandboxed, sayHost)
	cache := &oneSession{}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cache.state = nil
		with := func(c *tls.Config) { c.ClientSessionCache, c.MaxVersion, c.InsecureSkipVerify = cache, version, true }
		conn, err := l.secure(s3Host, with)
		if err != nil {
			t.Fatal(err)
		}
		if status, _, err := get(conn, s3Host); status != 200 || err != nil { // a ticket of TLS 1.3 comes with the first bytes
			t.Fatal(status, err)
		}
		if cache.state == nil {
			t.Fatal("there is no session to resume")
		}
		if _, err := l.secure("sts.us-west-2.amazonaws.com", with); err == nil {
			t.Errorf("version %x: a resumed session reaches another name", version)
		}
	}
}

// oneSession offers the last TLS session for whatever name.
type oneSession struct{ state *tls.ClientSessionState }

func (s *oneSession) Get(string) (*tls.ClientSessionState, bool) { return s.state, s.state != nil }
func (s *oneSession) Put(_ string, c *tls.ClientSessionState) {
	if c != nil {
		s.state = c
	}
}

func TestAttackS3HostWithAnotherServicesSignature(t *testing.T) {
	l := newLab(t, sandboxed, sayHost)
	const signature = "Authorization: AWS4-HMAC-SHA256 Credential=AKID/20260101/us-west-2/%s/aws4_request, SignedHeaders=host, Signature=00"
	for service, want := range map[string]int{"s3": 200, "sts": 403, "iam": 403, "bedrock-agentcore": 403} {
		if status, _, err := get(l.dial(listenHTTP), s3Host, fmt.Sprintf(signature, service)); status != want || err != nil {
			t.Errorf("signed for %s: %d %v, want %d", service, status, err, want)
		}
	}
}

func TestAttackCONNECT(t *testing.T) {
	l := newLab(t, sandboxed, sayHost)
	conn := l.dial(listenHTTP)
	if _, err := fmt.Fprintf(conn, "CONNECT %s:443 HTTP/1.1\r\nHost: %s\r\n\r\n", s3Host, s3Host); err != nil {
		t.Fatal(err)
	}
	if r, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("%+v %v", r, err)
	}
}

// TestAttackGuestNamesListenersItWasNotGiven has the guest relay to what its session does not have.
func TestAttackGuestNamesListenersItWasNotGiven(t *testing.T) {
	l := newLab(t, Policy{Session: "one"}, sayHost)
	for _, listener := range []string{listenMetadata, listenHTTPS, listenHTTP, listenLocal, "", "admin", "../metadata"} {
		if n, err := l.dial(listener).Read(make([]byte, 1)); n > 0 || err == nil {
			t.Errorf("%q is served", listener)
		}
	}
	for _, address := range l.s.Configure().Addresses {
		if address != resolverAddress+"/32" {
			t.Errorf("a session without anything gets the address %s", address)
		}
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	const most = 5
	p := sandboxed
	p.MaxConnections = most
	l := newLab(t, p, sayHost)
	other := l.n.Open(sandboxed)
	open := 0
	for range 20 {
		conn := l.dial(listenHTTPS) // half-open: nothing is said
		if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			open++
		}
	}
	if open != most {
		t.Errorf("%d connections are open, want %d", open, most)
	}
	l.s = other // another session goes on
	if status, _, err := get(l.dial(listenHTTP), s3Host); status != 200 || err != nil {
		t.Errorf("another session: %d %v", status, err)
	}
}

func TestNamesOverTCPAndDatagrams(t *testing.T) {
	l := newLab(t, sandboxed, sayHost)
	for _, listener := range []string{listenResolver, listenDatagrams} {
		conn := l.dial(listener)
		for range 3 {
			q := question(t, "s3.amazonaws.com.", dnsmessage.TypeA)
			if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...)); err != nil {
				t.Fatal(err)
			}
			var size [2]byte
			if _, err := io.ReadFull(conn, size[:]); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, binary.BigEndian.Uint16(size[:]))
			var m dnsmessage.Message
			if _, err := io.ReadFull(conn, b); err != nil || m.Unpack(b) != nil || len(m.Answers) != 1 {
				t.Errorf("%s: %+v %v", listener, m, err)
			}
		}
		if _, err := conn.Write([]byte{0xff, 0xff, 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: a question of 64 KiB is taken", listener)
		}
	}
}

func TestCloseEndsWhatRuns(t *testing.T) {
	began := make(chan struct{})
	l := newLab(t, sandboxed, func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
	})
	conn := l.dial(listenHTTP)
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", s3Host); err != nil {
		t.Fatal(err)
	}
	idle := l.dial(listenHTTPS)
	<-began
	if err := l.n.Close(); err != nil {
		t.Fatal(err)
	}
	l.wg.Wait()
	for _, c := range []net.Conn{conn, idle, l.dial(listenHTTP)} {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a connection is open after Close")
		}
	}
}

func TestSandboxThatEndsEndsItsRequests(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	l := newLab(t, sandboxed, func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(ended)
	})
	if _, err := fmt.Fprintf(l.dial(listenHTTP), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", s3Host); err != nil {
		t.Fatal(err)
	}
	<-began
	l.end()
	<-ended
	l.wg.Wait()
}

package network

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sunaba-dev/sunaba/internal/sigv4"
)

// Limits of one connection, against hostile or broken clients.
const (
	maxHeaderBytes = 64 << 10
	headerTimeout  = 10 * time.Second // for the TLS handshake, and for a whole header
	idleTimeout    = 2 * time.Minute
)

// front is the HTTP server behind all relayed connections.
type front struct {
	o     Options
	http  *http.Server
	tls   *tls.Config
	s3    *tls.Config // without HTTP/2
	conns chan net.Conn
	done  chan struct{} // closed when no more connections are taken
	close func() error  // cuts everything off, once

	mu       sync.Mutex
	closed   bool
	requests sync.WaitGroup // handlers that run: the HTTP server does not wait for them when it is closed
}

func newFront(o Options) *front {
	f := &front{o: o, conns: make(chan net.Conn), done: make(chan struct{})}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true) // some SDKs speak HTTP/2 without TLS
	f.http = &http.Server{Handler: http.HandlerFunc(f.answer), MaxHeaderBytes: maxHeaderBytes, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		Protocols: &protocols, ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug), ConnContext: withConn}
	// The policy is asked with the configuration and not with the certificate, which a resumed connection does not ask for.
	f.tls = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: f.certificate, GetConfigForClient: f.admit}
	f.s3 = f.tls.Clone()
	f.s3.NextProtos = []string{"http/1.1"}
	served := make(chan error, 1)
	go func() { served <- f.http.Serve(f) }()
	f.close = sync.OnceValue(func() error {
		err := errors.Join(f.Close(), f.http.Close())
		if end := <-served; !errors.Is(end, http.ErrServerClosed) && !errors.Is(end, net.ErrClosed) {
			err = errors.Join(err, end)
		}
		f.requests.Wait()
		return err
	})
	return f
}

// serve hands a connection to the HTTP server. What becomes of it shows in its closed channel.
func (f *front) serve(c *conn) {
	var served net.Conn = c
	if c.listener == listenHTTPS || (c.to != nil && c.to.through != nil) {
		served = tls.Server(newBatch(c), f.tls)
	}
	select {
	case f.conns <- served:
	case <-c.closed:
	case <-f.done:
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (f *front) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (f *front) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.closed = true
		close(f.done)
	}
	return nil
}

// Addr implements net.Listener.
func (f *front) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// connOf finds the relayed connection below TLS.
func connOf(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if b, ok := c.(*batch); ok {
		c = b.Conn
	}
	relayed, _ := c.(*conn)
	return relayed
}

// admit refuses a TLS client that names no endpoint of its session, before it is shown any certificate. S3 speaks HTTP/1.1 only, as on AWS: a large object comes twice as fast.
func (f *front) admit(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	c := connOf(hello.Conn)
	if c == nil {
		return nil, errors.New("not a relayed connection")
	}
	if c.to != nil {
		return f.tls, c.to.through.admit(hello)
	}
	host, ok := c.session.policy.serves(hello.ServerName)
	if !ok {
		f.o.Log.Debug("a sandbox asked for a name that it may not have", "session", c.session.policy.Session, "name", clip(hello.ServerName))
		return nil, fmt.Errorf("the name %q is not served", clip(hello.ServerName))
	}
	if host.Service == "s3" {
		return f.s3, nil
	}
	return f.tls, nil
}

func (f *front) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.o.CA.mint(hostOf(hello.ServerName))
}

// connKey and peerKey are context keys.
type (
	connKey struct{}
	peerKey struct{}
)

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, connOf(c))
}

// Peer says where a request comes from.
type Peer struct {
	Session string // of its policy
	Host    Host   // the endpoint that it is for
}

// PeerOf returns the sandbox that a request comes from; ok is false for requests that came another way.
func PeerOf(ctx context.Context) (p Peer, ok bool) {
	p, ok = ctx.Value(peerKey{}).(Peer)
	return p, ok
}

// answer serves one request of a sandbox.
func (f *front) answer(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	f.requests.Add(1)
	f.mu.Unlock()
	defer f.requests.Done()
	c, _ := r.Context().Value(connKey{}).(*conn)
	if c == nil {
		panic(http.ErrAbortHandler) // ConnContext has set it for every connection of Accept
	}
	switch {
	case c.to != nil && c.to.through != nil:
		c.to.through.forward(w, r, f.o.Log)
		return
	case c.to != nil:
		c.to.forward(w, r, f.o.Log)
		return
	case c.listener == listenMetadata:
		c.session.metadata.ServeHTTP(w, r)
		return
	case c.listener == listenContainer:
		c.session.metadata.serveContainer(w, r)
		return
	}
	host, status, why := c.session.policy.judge(r)
	if status != 0 {
		f.o.Log.Debug("a sandbox's request was refused", "session", c.session.policy.Session, "host", clip(r.Host), "reason", why)
		w.Header().Set("Connection", "close")
		if host.Service == "s3" && status == http.StatusForbidden {
			accessDenied(w, why)
			return
		}
		http.Error(w, why, status)
		return
	}
	f.o.Handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), peerKey{}, Peer{Session: c.session.policy.Session, Host: host})))
}

// judge refuses a request that is for another endpoint than its connection, its Host or its signature says. The signature's scope counts because the server
// chooses the service by it: a session with S3 alone must not reach IAM by asking S3's host.
func (p Policy) judge(r *http.Request) (h Host, status int, why string) {
	name := hostOf(r.Host)
	h, ok := p.serves(name)
	switch {
	case !ok:
		return h, http.StatusMisdirectedRequest, "This sandbox is not served under the requested host name."
	case r.TLS != nil && hostOf(r.TLS.ServerName) != name:
		return h, http.StatusMisdirectedRequest, "The Host header differs from the name that the connection was opened for."
	case r.Method == http.MethodConnect:
		return h, http.StatusMethodNotAllowed, "CONNECT is not served."
	}
	if scope, signed := sigv4.ScopeOf(r); signed && scope.Service != h.Service {
		return h, http.StatusForbidden, "The request is signed for another service than its host is of."
	}
	if h.Service == "s3" && p.Buckets != nil {
		if why := p.Buckets.judge(r, h); why != "" {
			return h, http.StatusForbidden, why
		}
	}
	return h, 0, ""
}

// clip keeps a hostile name from filling a log.
func clip(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

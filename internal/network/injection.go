package network

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sunaba-dev/sunaba/internal/egress"
)

const (
	protocolHTTP1 = "http/1.1"
	protocolHTTP2 = "h2"

	continueTime = time.Second // for a host to say that it wants a body, as curl waits
)

// Answers to the program inside, where its request does not reach the host.
const (
	notSent        = "The request was not sent: "
	noSecret       = notSent + "the session's execution role can read no such secret as the tag sunaba:secrets names for this host. It needs secretsmanager:GetSecretValue on it."
	badSecret      = notSent + "the secret that the tag sunaba:secrets names for this host cannot be used. The server's log says why."
	foreignAddress = notSent + "this session has not resolved the address from the name of the host, and so gets no secret there."
	noCertificate  = notSent + "the host has no certificate for its name that this server trusts."
)

var (
	errForeignAddress = errors.New("the session has not resolved the address from the name, and so gets no secret there")
	errManyUpstream   = errors.New("the session has too many connections")
	errNotHTTP        = errors.New("the host does not speak HTTP as it should")
)

// terminated is a connection to the outside whose TLS ends here, so that its requests get headers that the session does not have. The session speaks to a certificate of its authority, and
// the host outside is spoken to by verified TLS: nothing is said to one that is not who the session named.
type terminated struct {
	out    *outbound
	name   string // in the session's TLS hello
	wanted []injection
	roots  *x509.CertPool

	// HTTP/2 keeps its connection. HTTP/1.1 has one for each request: what follows a response there would be taken for the next, or be printed by net/http.
	multiplexed *http.Transport // nil when the host speaks HTTP/1.1 only
	single      *http.Transport
	failure     error // of the first connection, for all requests

	ctx    context.Context // ends with the connection from inside
	cancel context.CancelFunc

	mu    sync.Mutex
	first *tls.Conn // not in use yet
	open  map[*upstream]struct{}
	ended bool
}

// injects reports whether the name in a connection's TLS hello matters for the headers of requests.
func (o *outside) injects(port uint16) bool { return port == portHTTPS && len(o.injections.all) > 0 }

// terminate serves a connection whose hello has been read, over one to the host outside that has just been made.
func (out *outbound) terminate(ctx context.Context, remote net.Conn, name string, wanted []injection) {
	t := &terminated{out: out, name: name, wanted: wanted, roots: out.o.s.n.o.Roots, open: map[*upstream]struct{}{}}
	t.ctx, t.cancel = context.WithCancel(ctx)
	defer t.close()
	if !slices.Contains(out.names, name) {
		out.refuse(Refused, errForeignAddress)
		t.failure = errForeignAddress
	} else {
		t.meet(remote)
	}
	out.through, out.c.to = t, out
	out.c.session.n.front.serve(out.c)
	<-out.c.closed
}

// meet makes TLS of the first connection, and learns which HTTP the host speaks.
func (t *terminated) meet(remote net.Conn) {
	secure, err := t.secure(t.ctx, t.track(remote, func() {}), protocolHTTP2, protocolHTTP1)
	if err != nil {
		t.failure = t.failed(err)
		return
	}
	t.first = secure
	t.single = t.transport(protocolHTTP1)
	if secure.ConnectionState().NegotiatedProtocol == protocolHTTP2 {
		t.multiplexed = t.transport(protocolHTTP2)
	}
}

func (t *terminated) transport(protocol string) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(protocol == protocolHTTP1)
	protocols.SetHTTP2(protocol == protocolHTTP2)
	return &http.Transport{
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return t.dial(ctx, protocol) },
		Protocols:      &protocols, DisableKeepAlives: protocol == protocolHTTP1, DisableCompression: true, MaxResponseHeaderBytes: maxHeaderBytes,
		ExpectContinueTimeout: continueTime,
	}
}

// dial returns the first connection, or another one to the same address. It counts as one of the session's.
func (t *terminated) dial(ctx context.Context, protocol string) (net.Conn, error) {
	t.mu.Lock()
	first := t.first
	if first != nil && (first.ConnectionState().NegotiatedProtocol == protocolHTTP2) == (protocol == protocolHTTP2) {
		t.first = nil
		t.mu.Unlock()
		return first, nil
	}
	t.mu.Unlock()
	slots := t.out.o.slots
	select {
	case slots <- struct{}{}:
	default:
		return nil, errManyUpstream
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	conn, err := dial(ctx, t.out.way, t.out.to)
	if err != nil {
		<-slots
		return nil, err
	}
	return t.secure(ctx, t.track(conn, func() { <-slots }), protocol)
}

// secure makes TLS of a connection. The host must prove that it has the name which the session has asked for.
func (t *terminated) secure(ctx context.Context, conn *upstream, protocols ...string) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, headerTimeout, errors.New("nobody speaks TLS"))
	defer cancel()
	secure := tls.Client(conn, &tls.Config{ServerName: t.name, RootCAs: t.roots, NextProtos: protocols, MinVersion: tls.VersionTLS12})
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, ignoreClosed(conn.Close()))
	}
	return secure, nil
}

// upstream is one connection to the host outside.
type upstream struct {
	counted
	t       *terminated
	release func()
	once    sync.Once
}

// track enters a connection, so that it ends with the one from inside.
func (t *terminated) track(conn net.Conn, release func()) *upstream {
	u := &upstream{counted: counted{conn, t.out}, t: t, release: release}
	t.mu.Lock()
	ended := t.ended
	t.open[u] = struct{}{}
	t.mu.Unlock()
	if ended {
		_ = u.Close()
	}
	return u
}

// Close implements net.Conn.
func (u *upstream) Close() (err error) {
	u.once.Do(func() {
		u.t.mu.Lock()
		delete(u.t.open, u)
		u.t.mu.Unlock()
		err = u.counted.Close()
		u.release()
	})
	return err
}

// close ends all connections to the host outside.
func (t *terminated) close() {
	t.cancel()
	t.mu.Lock()
	t.ended = true
	open := t.open
	t.open = map[*upstream]struct{}{}
	t.mu.Unlock()
	for u := range open {
		_ = u.Close()
	}
}

// admit refuses a hello that is not what was judged.
func (t *terminated) admit(hello *tls.ClientHelloInfo) error {
	if name, ok := egress.CleanName(hello.ServerName); !ok || name != t.name {
		return fmt.Errorf("the name %q is another one than at first", clip(hello.ServerName))
	}
	return nil
}

// forward passes one request on, with the headers that the session does not have. Its Host must be the name of the connection: what a front that serves many customers would do with
// another is not known.
func (t *terminated) forward(w http.ResponseWriter, r *http.Request, log *slog.Logger) {
	switch {
	case t.failure != nil:
		t.fail(w, t.failure)
		return
	case r.Method == http.MethodConnect || r.URL.IsAbs():
		t.out.deny(w, http.StatusMethodNotAllowed, "This is no proxy.")
		return
	case strings.EqualFold(r.Method, http.MethodTrace) || strings.EqualFold(r.Method, "TRACK"): // their answers repeat the request's headers
		t.out.deny(w, http.StatusMethodNotAllowed, "The method is not served where requests get a secret.")
		return
	case !t.isHost(r.Host):
		t.out.deny(w, http.StatusMisdirectedRequest, "The Host header differs from the name that the connection was opened for.")
		return
	}
	o := t.out.o
	found, err := o.vault.credentials(r.Context(), t.wanted)
	if err != nil {
		if o.s.lines.Allow() {
			log.Warn("a request was not sent without its secret", "session", o.s.policy.Session, "host", t.name, "error", err)
		}
		if errors.Is(err, ErrNoSecret) {
			t.out.deny(w, http.StatusForbidden, noSecret)
		} else {
			t.out.deny(w, http.StatusBadGateway, badSecret)
		}
		return
	}
	_ = http.NewResponseController(w).EnableFullDuplex() // or HTTP/1.1 would have the whole request before any of the answer; HTTP/2 has it anyway
	t.proxy(r, found).ServeHTTP(&scrubbing{w, found}, r)
	found.scrub(w.Header()) // trailers
}

func (t *terminated) isHost(header string) bool {
	host, port, err := net.SplitHostPort(header)
	if err != nil {
		host, port = header, "443"
	}
	name, ok := egress.CleanName(host)
	return ok && name == t.name && port == "443"
}

// proxy sends one request. What it may print is not printed: net/http's errors quote what the host has said, and that may be anything.
func (t *terminated) proxy(r *http.Request, found credentials) *httputil.ReverseProxy {
	upgrade := strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
	transport := t.multiplexed
	if transport == nil || upgrade {
		transport = t.single
	}
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.URL.RawQuery = "https", t.name, p.In.URL.RawQuery
			p.Out.Host = t.name
			if _, said := p.In.Header["User-Agent"]; !said {
				p.Out.Header["User-Agent"] = nil // and none is made up
			}
			if !upgrade { // to anything else, such as h2c: the host would then hear requests that nobody has judged
				delete(p.Out.Header, "Upgrade")
				delete(p.Out.Header, "Connection")
			}
			if p.Out.Body != nil {
				p.Out.Body = newDetached(p.Out.Body, t.out.o.s.n.front)
			}
			for name, value := range found.header { // last, and so after what Connection names has been removed
				p.Out.Header[name] = value
			}
		},
		ModifyResponse: func(answer *http.Response) error {
			found.scrub(answer.Header)
			answer.Header.Del("Alt-Svc") // another way to the host would be one without the secret
			if len(answer.Trailer) > 0 {
				answer.Header.Del("Content-Length") // HTTP/1.1 has trailers behind chunks only
			}
			if answer.StatusCode == http.StatusUnauthorized {
				t.out.o.vault.forget(t.wanted)
			}
			return nil
		},
		Transport: transport, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				panic(http.ErrAbortHandler) // the program has given up, and the host may be as well as ever
			}
			t.fail(w, err)
		},
	}
}

// failed notes why the host was not reached. A certificate may have many names.
func (t *terminated) failed(err error) error {
	err = plain(err)
	t.out.refuse(Failed, errors.New(clip(err.Error())))
	return err
}

// fail answers a request that the host has not answered.
func (t *terminated) fail(w http.ResponseWriter, err error) {
	status, why := http.StatusBadGateway, "The host does not answer."
	if errors.Is(err, errForeignAddress) {
		status, why = http.StatusForbidden, foreignAddress
	} else if _, bad := errors.AsType[*tls.CertificateVerificationError](t.failed(err)); bad {
		why = noCertificate
	}
	w.Header().Set("Connection", "close")
	http.Error(w, why, status)
}

// plain keeps errors that speak of addresses and certificates. Others quote what the host has said, which may be the very header that it got.
func plain(err error) error {
	if bad, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return bad
	}
	if broken, ok := errors.AsType[*net.OpError](err); ok {
		return broken
	}
	for _, known := range []error{errManyUpstream, context.Canceled, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, known) {
			return known
		}
	}
	return errNotHTTP
}

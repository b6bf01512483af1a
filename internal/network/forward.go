package network

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"

	"github.com/sunaba-dev/sunaba/internal/egress"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// carryHTTP serves a connection to port 80 request by request: each has a Host of its own, and a list of names that only counts for the first is none. What is passed on is written
// anew, so that both sides understand it alike.
func (out *outbound) carryHTTP() {
	if _, err := out.c.Write([]byte{proto.Connected}); err != nil {
		return
	}
	out.c.to = out
	out.c.session.n.front.serve(out.c)
	<-out.c.closed
}

// forward passes one request of a sandbox on to the address that its connection was judged for.
func (out *outbound) forward(w http.ResponseWriter, r *http.Request, log *slog.Logger) {
	name, ok := egress.CleanName(hostOf(r.Host))
	switch {
	case r.Method == http.MethodConnect || r.URL.IsAbs():
		out.deny(w, http.StatusMethodNotAllowed, "This is no proxy.")
		return
	case !ok:
		out.deny(w, http.StatusForbidden, "The request names no host.")
		return
	}
	if err := out.speaks(name); err != nil {
		out.deny(w, http.StatusForbidden, "This session may not connect to the host that the request names.")
		return
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := dial(ctx, out.way, out.to)
			if err != nil {
				return nil, err
			}
			return &counted{conn, out}, nil
		},
		DisableCompression: true, DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeaderBytes,
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", out.to.String()
			p.Out.Host = p.In.Host
			if _, said := p.In.Header["User-Agent"]; !said {
				p.Out.Header["User-Agent"] = nil // and none is made up
			}
		},
		Transport: transport, FlushInterval: -1, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			out.refuse(Failed, err)
			w.Header().Set("Connection", "close")
			http.Error(w, "The host does not answer.", http.StatusBadGateway)
		},
	}
	proxy.ServeHTTP(w, r)
}

func (out *outbound) deny(w http.ResponseWriter, status int, why string) {
	out.refuse(Refused, errors.New(why))
	w.Header().Set("Connection", "close")
	http.Error(w, why, status)
}

// counted counts the bytes of a forwarded request.
type counted struct {
	net.Conn
	out *outbound
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.out.mu.Lock()
	c.out.received += int64(n)
	c.out.mu.Unlock()
	return n, err
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.out.mu.Lock()
	c.out.sent += int64(n)
	c.out.mu.Unlock()
	return n, err
}

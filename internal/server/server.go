// Package server is the one listener in front of every service: it finds out which service a request is for and who sends it, and hands it to the service's operations.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/netutil"
	"golang.org/x/time/rate"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/sigv4"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// Options configure a Server.
type Options struct {
	Services []*wire.Service
	Verifier *sigv4.Verifier
	// Admit tells the server who the verifier's principal is, and puts what handlers need to know of it into the request's context.
	Admit func(ctx context.Context, principal any, r *http.Request) (context.Context, Principal)
	S3    http.Handler // answers S3's requests, signatures and all; nil serves none
	// Registry answers the requests that IsRegistry says are a container registry's, which carry a password and no signature; nil serves none.
	Registry   http.Handler
	IsRegistry func(r *http.Request) bool
	// ServiceOf names the service that a Host header is an AWS endpoint of, as signatures name it; "" for any other host. It is asked only about requests whose signature names no service. Nil knows
	// no names.
	ServiceOf func(host string) string
	Log       *slog.Logger
	Version   string
}

// Limits against hostile or broken clients.
const (
	maxHeaderBytes = 64 << 10
	maxBody        = 150 << 20        // a payload of 100 MB as base64, and JSON around it
	maxBodies      = 1 << 30          // bytes of request bodies held at once, over all requests
	headerTimeout  = 10 * time.Second // for the whole header
	bodyStall      = 20 * time.Second // for a small body; larger ones earn their time as they come
	answerStall    = 30 * time.Second // for a client to take an answer, beyond slowestRate
	maxClients     = 4096             // connections at once
	idleTimeout    = 2 * time.Minute  // of a kept-alive connection
)

// Server answers AWS API requests.
type Server struct {
	o        Options
	services map[string]*wire.Service
	bodies   *budget
	http     *http.Server

	strangers *rate.Limiter // log lines about requests without a valid signature
}

// New returns a server for the services.
func New(o Options) *Server {
	s := &Server{o: o, services: map[string]*wire.Service{}, bodies: newBudget(maxBodies), strangers: rate.NewLimiter(10, 100)}
	o.Verifier.MaxBody = func(sigv4.Scope) int64 { return maxBody }
	o.Verifier.Guess = s.serviceOf
	for _, svc := range o.Services {
		s.services[svc.Name] = svc
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true) // the JavaScript Bedrock clients speak HTTP/2 without TLS
	s.http = &http.Server{Handler: s, MaxHeaderBytes: maxHeaderBytes, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		Protocols: &protocols, ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)}
	return s
}

// Serve answers requests on l until Shutdown.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(netutil.LimitListener(l, maxClients)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown stops accepting requests and waits for those that are running, until ctx ends; then it cuts them off and says so.
func (s *Server) Shutdown(ctx context.Context) (cut bool, err error) {
	err = s.http.Shutdown(ctx)
	if ctx.Err() != nil {
		return true, s.http.Close()
	}
	return false, err
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	req := &wire.Request{ID: uuid.NewString(), InvocationID: r.Header.Get("Amz-Sdk-Invocation-Id")}
	r = r.WithContext(wire.WithRequest(r.Context(), req))
	w.Header().Set("X-Amzn-RequestId", req.ID)
	if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 { // a proxy in front may see another end of this body than we do (RFC 9112, 6.1)
		w.Header().Set("Connection", "close")
	}
	if r.Method == http.MethodGet && r.URL.Path == "/health" {
		s.health(w)
		return
	}
	if s.o.Registry != nil && s.o.IsRegistry(r) {
		s.o.Registry.ServeHTTP(w, r)
		return
	}
	if s.o.S3 != nil && s.isS3(r) {
		s.o.S3.ServeHTTP(w, r)
		return
	}
	rec := &recorder{ResponseWriter: w, control: http.NewResponseController(w)}
	err := s.answer(rec, r, req)
	s.log(r, req, rec.status, time.Since(began), err)
}

// answer serves one API request. Its error has been sent already.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, req *wire.Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if abort, ok := p.(error); ok && errors.Is(abort, http.ErrAbortHandler) {
				panic(p)
			}
			err = fault.New(fault.Internal, "An internal error occurred. The server's log has the cause under this request id.").With(panicked(p))
			if rec, ok := w.(*recorder); ok && rec.status == 0 {
				wire.FailUnrouted(w, r, err)
			}
		}
	}()
	svc, known := s.route(r)
	failWith := wire.FailUnrouted
	if known {
		failWith, req.Service = svc.Fail, svc.Name
	}
	identity, body, err := s.authenticate(w, r)
	if err != nil {
		failWith(w, r, err)
		return err
	}
	defer body.release()
	ctx, principal := s.o.Admit(r.Context(), identity.Principal, r)
	req.Region, req.Account, req.Principal = identity.Scope.Region, principal.Account, principal.ARN
	if !known {
		err := fault.New(fault.UnknownOperation, "This server does not serve the service %q.", identity.Scope.Service)
		failWith(w, r, err)
		return err
	}
	return svc.Handle(w, r.WithContext(ctx), body.bytes)
}

// route finds the service of a request.
func (s *Server) route(r *http.Request) (*wire.Service, bool) {
	svc, ok := s.services[s.serviceOf(r)]
	return svc, ok
}

// serviceOf names the service that a request is for: by the scope that it is signed for, then by its Host, then by what it looks like. "" if nothing tells.
func (s *Server) serviceOf(r *http.Request) string {
	if scope, ok := sigv4.ScopeOf(r); ok {
		return scope.Service
	}
	if s.o.ServiceOf != nil {
		if name := s.o.ServiceOf(r.Host); name != "" {
			return name
		}
	}
	for _, svc := range s.o.Services {
		if svc.Claims(r) {
			return svc.Name
		}
	}
	return ""
}

// isS3 reports whether a request is S3's: signed for it, addressed to it, or unsigned and of no other service's form. S3 alone has anonymous requests, and on the loopback endpoint only their path tells.
func (s *Server) isS3(r *http.Request) bool {
	switch s.serviceOf(r) {
	case s3Service:
		return true
	case "":
		return wire.Guess(r) == wire.RestJSON
	}
	return false
}

// s3Service is how signatures name S3.
const s3Service = "s3"

func (s *Server) health(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"status":"ok","version":"` + s.o.Version + `"}` + "\n"))
}

func (s *Server) log(r *http.Request, req *wire.Request, status int, took time.Duration, err error) {
	if req.Principal == "" && !s.strangers.Allow() { // whoever has no key must not fill the disk
		return
	}
	attrs := []slog.Attr{slog.String("service", req.Service), slog.String("operation", req.Operation), slog.Int("status", status),
		slog.Duration("took", took.Round(time.Microsecond)), slog.String("principal", req.Principal), slog.String("request", req.ID)}
	level := slog.LevelInfo
	if err != nil {
		level = slog.LevelWarn
		if status >= http.StatusInternalServerError {
			level = slog.LevelError
		}
		attrs = append(attrs, slog.Any("error", err))
	}
	if req.Operation == "" {
		path := r.URL.EscapedPath()
		attrs = append(attrs, slog.String("method", r.Method), slog.String("path", path[:min(len(path), 256)]))
	}
	s.o.Log.LogAttrs(r.Context(), level, "request", attrs...)
}

// recorder remembers the status of a response, and gives up on a client that does not take it.
type recorder struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	_ = r.control.SetWriteDeadline(time.Now().Add(answerStall + time.Duration(len(b)/slowestRate)*time.Second))
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

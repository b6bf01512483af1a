package s3

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/sigv4"
)

// request is a request that is verified and in canonical form.
type request struct {
	*http.Request // for method, context and connection; what follows replaces its parts

	caller     caller
	region     string // that the client signed for
	address    address
	query      url.Values  // without the parameters of a signature
	header     http.Header // likewise; a presigned request's x-amz-* parameters are here
	body       payload
	conditions map[string][]string
	patience   *patientBody // what the body is read from
}

// payload is a request's body, decoded of aws-chunked and checked while it is read.
type payload struct {
	io.Reader
	length  int64  // -1 if unknown
	trailer string // the lower-case name of the checksum that came in a trailer, if one did
}

// document reads the whole body of a request that is not an object's.
func (p payload) document() ([]byte, error) {
	if p.length > maxDocument {
		return nil, fault.New("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
	}
	data, err := io.ReadAll(io.LimitReader(p, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxDocument {
		return nil, fault.New("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
	}
	return data, nil
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	rec := &recorder{ResponseWriter: w}
	control := http.NewResponseController(w)
	patient := &patientBody{ReadCloser: r.Body, control: control, expected: r.ContentLength != 0}
	patient.ended.Store(!patient.expected)
	original := r
	r = new(http.Request)
	*r = *original // net/http must find its own body in its request, to end the connection gently when there is more to come
	r.Body = patient
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
	req, err := g.read(r)
	req.patience = patient
	if err == nil {
		err = g.serve(rec, req)
	}
	if err != nil && rec.status == 0 {
		patient.hangUp(w)
		fail(rec, r, err)
	}
	g.log(rec, r, req, time.Since(began), err)
	if rec.status >= http.StatusBadRequest && r.ProtoMajor == 1 {
		patient.linger()
	}
	if err != nil && rec.broken {
		panic(http.ErrAbortHandler) // the answer has begun and cannot be completed: the client must see that
	}
}

// read verifies a request and brings it into canonical form.
func (g *Gateway) read(r *http.Request) (*request, error) {
	req := &request{Request: r, region: g.o.Region, body: payload{Reader: r.Body, length: r.ContentLength}}
	var id *sigv4.Identity
	q := r.URL.Query()
	v2 := presignedV2(r, q)
	switch {
	case v2:
	case signed(r, q):
		var err error
		if id, err = g.verifier.Verify(r); err != nil {
			return req, err
		}
		req.caller, _ = id.Principal.(caller)
		req.region = id.Scope.Region
		req.body = payload{Reader: id.Body, length: id.Body.Length()}
		if id.Payload == sigv4.SignedTrailer || id.Payload == sigv4.UnsignedTrailer {
			req.body.trailer = strings.ToLower(strings.TrimSpace(r.Header.Get("X-Amz-Trailer")))
		}
	case strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-"):
		return req, fault.New(codeInvalidRequest, "An anonymous request cannot have an aws-chunked body.")
	}
	var err error
	if req.address, err = addressOf(r.Host, r.URL.EscapedPath()); err != nil {
		return req, err
	}
	if v2 {
		if req.caller, err = g.verifyV2(r, q, req.address); err != nil {
			return req, err
		}
	}
	if (v2 || id != nil) && (req.caller.account == "" || req.caller.principal == nil) {
		return req, fault.Wrap(errors.New("the authority gave a key without account or principal"), "verify")
	}
	req.query, req.header = canonical(r, id != nil && id.Presigned || v2)
	r2 := *r
	r2.Header = req.header
	req.conditions = conditionsOf(&r2, id, req.query, time.Now())
	if v2 {
		req.conditions["s3:signatureversion"] = []string{"AWS"}
		req.conditions["s3:authType"] = []string{"REST-QUERY-STRING"}
	}
	return req, checkEncryption(req.header)
}

// signed says whether a request claims to be signed, in whatever way.
func signed(r *http.Request, q url.Values) bool {
	return r.Header.Get("Authorization") != "" || q.Has("X-Amz-Algorithm") || q.Has("X-Amz-Signature") || q.Has("X-Amz-Credential") || q.Has("Signature") ||
		q.Has("AWSAccessKeyId")
}

// signatureParameters are a presigned request's, and nothing of what it asks for.
var signatureParameters = map[string]bool{"x-amz-algorithm": true, "x-amz-credential": true, "x-amz-date": true, "x-amz-expires": true,
	"x-amz-signedheaders": true, "x-amz-signature": true, "x-amz-security-token": true,
	"awsaccesskeyid": true, "signature": true, "expires": true}

// ownHeaders are headers of the connection, of the signature, and of the encoding that sigv4 has undone.
var ownHeaders = []string{"Authorization", "Connection", "Cookie", "Content-Length", "Date", "Expect", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Te",
	"Trailer", "Transfer-Encoding", "Upgrade", "X-Amz-Content-Sha256", "X-Amz-Date", "X-Amz-Decoded-Content-Length", "X-Amz-Security-Token", "X-Amz-Trailer",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}

// canonical returns what a request asks for, without its signature. SDKs that presign move x-amz-* headers into the query: they are moved back.
func canonical(r *http.Request, presigned bool) (url.Values, http.Header) {
	q, h := url.Values{}, r.Header.Clone()
	hash := h.Get("X-Amz-Content-Sha256")
	for _, name := range ownHeaders {
		h.Del(name)
	}
	for name, values := range r.URL.Query() {
		lower := strings.ToLower(name)
		switch {
		case signatureParameters[lower] || lower == "x-amz-content-sha256":
		case presigned && strings.HasPrefix(lower, "x-amz-"):
			if h.Get(name) == "" {
				h.Set(name, strings.Join(values, ","))
			}
		default:
			q[name] = values
		}
	}
	for name, values := range h { // one line each, so that both sides sign the same
		h[name] = []string{strings.TrimSpace(strings.Join(values, ","))}
	}
	var encodings []string
	for e := range strings.SplitSeq(h.Get("Content-Encoding"), ",") {
		if e = strings.TrimSpace(e); e != "" && !strings.EqualFold(e, "aws-chunked") {
			encodings = append(encodings, e)
		}
	}
	if h.Del("Content-Encoding"); len(encodings) > 0 {
		h.Set("Content-Encoding", strings.Join(encodings, ","))
	}
	if hash != "" {
		h.Set("X-Amz-Content-Sha256", hash) // a condition key; replaced before it is handed over
	}
	return q, h
}

// checkEncryption refuses to pretend encryption with a key that the customer relies on.
func checkEncryption(h http.Header) error {
	const prefix = "X-Amz-Server-Side-Encryption"
	switch v := h.Get(prefix); v {
	case "", "AES256":
	default:
		return fault.New(codeNotImplemented, "This server has no AWS KMS: of x-amz-server-side-encryption it takes AES256 only, not %.40q.", v)
	}
	if h.Get(prefix+"-Customer-Algorithm") != "" || h.Get("X-Amz-Copy-Source-Server-Side-Encryption-Customer-Algorithm") != "" {
		return fault.New(codeNotImplemented, "This server does not encrypt with keys that customers provide (SSE-C).")
	}
	return nil
}

// serve answers a request here, or hands it over.
func (g *Gateway) serve(w *recorder, r *request) error {
	if r.Method == http.MethodPost && strings.HasPrefix(r.header.Get("Content-Type"), "multipart/form-data") {
		return fault.New(codeNotImplemented, "This server does not take uploads of HTML forms (POST Object). Presign a PUT instead.")
	}
	if err := errors.Join(checkIDs(r.query), checkTagging(r.header.Get("X-Amz-Tagging"))); err != nil {
		return err
	}
	if h, ok := g.own(r); ok {
		return h(w, r)
	}
	if r.Method == http.MethodOptions { // a CORS preflight, which is never signed and reads nothing
		r.body = payload{Reader: http.NoBody}
		return g.handOver(w, r)
	}
	if err := g.preauthorize(r); err != nil {
		return err
	}
	return g.handOver(w, r)
}

// log writes one record for a request.
func (g *Gateway) log(w *recorder, r *http.Request, req *request, took time.Duration, err error) {
	level := slog.LevelInfo
	if w.status >= http.StatusInternalServerError {
		level = slog.LevelError
	} else if w.status >= http.StatusBadRequest && w.status != http.StatusNotFound {
		level = slog.LevelWarn
	}
	ctx := context.WithoutCancel(r.Context())
	if !g.o.Log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("service", "s3"), slog.String("method", r.Method), slog.String("bucket", req.address.bucket), slog.String("key", req.address.key),
		slog.Int("status", w.status), slog.Duration("took", took.Round(time.Microsecond)), slog.String("principal", req.caller.arn),
		slog.String("request", w.Header().Get("x-amz-request-id"))}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	g.o.Log.LogAttrs(ctx, level, "request", attrs...)
}

// recorder remembers how far an answer got.
type recorder struct {
	http.ResponseWriter
	status int
	broken bool // begun, and not to be completed
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// patientBody is a request's body whose client must go on sending.
type patientBody struct {
	io.ReadCloser
	control     *http.ResponseController
	began, set  time.Time
	total       int64
	expected    bool // there is a body
	interrupted atomic.Bool
	ended       atomic.Bool // read to the end, or failed
}

// patience is until when the next bytes must come: not long after the last ones, and not later than the slowest rate allows since the body began, so that
// a client that sends a byte a minute does not hold a place for ever.
func patience(began, now time.Time, total int64) time.Time {
	next, rate := now.Add(stallRead), began.Add(stallRead+time.Duration(total/slowestRate)*time.Second)
	if rate.Before(next) {
		return rate
	}
	return next
}

var errInterrupted = errors.New("the answer came before the end of the body")

// Read implements io.Reader.
func (b *patientBody) Read(p []byte) (int, error) {
	if now := time.Now(); now.Sub(b.set) > time.Second { // setting it costs, and a second more or less does not matter
		if b.began.IsZero() {
			b.began = now
		}
		_ = b.control.SetReadDeadline(patience(b.began, now, b.total))
		b.set = now
	}
	if b.interrupted.Load() { // looked at after the deadline is set: interrupt's comes later, or this sees it
		return 0, errInterrupted
	}
	n, err := b.ReadCloser.Read(p)
	b.total += int64(n)
	if err != nil {
		b.ended.Store(true)
	}
	if err != nil && !b.interrupted.Load() { // the connection's watch for a client that goes away must not end with the deadline
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// interrupt ends a Read that waits for the client, and all later ones. The connection is of no more use then, unless the body was at its end.
func (b *patientBody) interrupt() {
	if b.ended.Load() {
		return
	}
	b.interrupted.Store(true)
	_ = b.control.SetReadDeadline(time.Unix(1, 0))
}

// hangUp lets the connection end with the answer if the rest of the body is in the way of the next request.
func (b *patientBody) hangUp(w http.ResponseWriter) {
	if b.expected && !b.ended.Load() {
		w.Header().Set("Connection", "close")
	}
}

// linger takes in what a client goes on sending after it has been answered, for a while: closing a connection that data is coming in on resets it, and the answer would be
// lost. Many clients look for an answer only when they have sent everything, and Go's sends a body that it was not asked for (Expect: 100-continue) all the same.
func (b *patientBody) linger() {
	if !b.expected || b.ended.Load() {
		return
	}
	_ = b.control.Flush()
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for end := time.Now().Add(lingerFor); time.Now().Before(end); {
		_ = b.control.SetReadDeadline(time.Now().Add(lingerStall))
		if _, err := b.ReadCloser.Read(*buf); err != nil {
			return
		}
	}
}

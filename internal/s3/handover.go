package s3

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5" // #nosec: Content-MD5 is S3's
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// streams says whether the body of a request is an object's, or a part's.
func (r *request) streams() bool {
	if r.Method != http.MethodPut || r.address.key == "" || r.header.Get("X-Amz-Copy-Source") != "" {
		return false
	}
	for name := range r.query {
		switch name {
		case "partNumber", "uploadId", "x-id":
		default:
			return false
		}
	}
	return true
}

// preauthorize checks what must be known before a body is taken, and what versitygw would not ask in the way that AWS does.
func (g *Gateway) preauthorize(r *request) error {
	if r.caller.anonymous() && (r.address.bucket == "" || r.address.key == "" && r.Method == http.MethodPut && len(r.query) == 0) {
		return fault.New(codeAccessDenied, "Access Denied")
	}
	if r.address.bucket != "" {
		if _, ok := g.settings.get(r.address.bucket); !ok {
			return errNoSuchBucket(r.address.bucket)
		}
	}
	if !r.streams() {
		return nil
	}
	if r.body.length < 0 {
		return fault.New(codeMissingLength, "You must provide the Content-Length HTTP header.")
	}
	return g.authorize(r.Context(), r.caller, "s3:PutObject", r.address.arn(), r.conditions)
}

// handOver lets versitygw answer a request.
func (g *Gateway) handOver(w *recorder, r *request) error {
	defer g.sweep(r)
	return g.exchange(r, func(resp *http.Response) error {
		if g.vanished(r) { // whatever became of it: nothing may be acknowledged that is not there
			return errNoSuchBucket(r.address.bucket)
		}
		return relay(w, r, g, resp)
	})
}

// exchange sends a request to versitygw and gives its answer to use.
func (g *Gateway) exchange(r *request, use func(*http.Response) error) error {
	v := &grant{ctx: r.Context(), gateway: g, caller: r.caller, conditions: r.conditions,
		perObject: r.Method == http.MethodPost && r.query.Has("delete")}
	if err := g.settleCopySource(r, v); err != nil {
		return err
	}
	id, revoke := g.grants.issue(v)
	defer revoke()
	body, err := r.encode()
	if err != nil {
		return err
	}
	out, err := g.sign(r, id, body)
	if err != nil {
		return err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(r.Context(), "unix", g.socket)
	if err != nil {
		return fmt.Errorf("reach versitygw: %w", err)
	}
	defer context.AfterFunc(r.Context(), func() { _ = conn.Close() })()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		// An answer may come before the body is through, and counts more than an error here.
		if err := out.Write(conn); err != nil && body.failed() != nil {
			// The body ended early: versitygw must see that now, and not wait for the rest.
			_ = conn.(*net.UnixConn).CloseWrite()
		}
	}()
	stop := func() { // the sender, which may wait for the client
		body.abandon()
		if r.streams() {
			r.patience.interrupt()
		}
		<-sent
	}
	defer stop()
	defer func() { _ = conn.Close() }() // first: the sender may wait for versitygw too
	resp, err := answer(conn, out)
	if bad := body.failed(); bad != nil {
		return bad // the client's fault, whatever versitygw made of it
	}
	if err != nil {
		return fmt.Errorf("versitygw's answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < http.StatusBadRequest {
		<-sent // it took the whole body, of which the sender is about to see the end
	}
	if r.streams() && !r.patience.ended.Load() {
		// The client is still sending, and net/http cannot answer while the sender reads. So the sender ends first; that may end the request's context, so the rest of
		// the answer, which is short, must be here by then.
		data, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument))
		if err != nil {
			return fmt.Errorf("versitygw's answer: %w", err)
		}
		resp.Body = io.NopCloser(bytes.NewReader(data))
		_ = conn.Close()
		stop()
	}
	return use(resp)
}

// answer reads the final answer from a connection.
func answer(conn net.Conn, out *http.Request) (*http.Response, error) {
	in := bufio.NewReaderSize(conn, 32<<10)
	for {
		resp, err := http.ReadResponse(in, out)
		if err != nil || resp.StatusCode >= http.StatusOK {
			return resp, err
		}
	}
}

// settleCopySource authorises the source of a copy under the name and the action that AWS uses, and answers versitygw's own question with it.
func (g *Gateway) settleCopySource(r *request, v *grant) error {
	header := r.header.Get("X-Amz-Copy-Source")
	if header == "" {
		return nil
	}
	source, version, err := copySource(header)
	if err != nil {
		return err
	}
	if _, ok := g.settings.get(source.bucket); !ok {
		return errNoSuchBucket(source.bucket)
	}
	r.header.Set("X-Amz-Copy-Source", copySourceHeader(source, version))
	action, asked, conditions := "s3:GetObject", source.arn(), v.conditions
	if version != "" {
		action, asked = "s3:GetObjectVersion", asked+"?versionId="+version
		conditions = with(conditions, map[string][]string{"s3:VersionId": {version}})
	}
	if err := g.authorize(r.Context(), r.caller, action, source.arn(), conditions); err != nil {
		return err
	}
	if err := checkVersion(version); err != nil {
		return err
	}
	v.settle("s3:GetObject", asked, nil)
	return nil
}

// sign makes the request that versitygw gets.
func (g *Gateway) sign(r *request, id string, body *outgoing) (*http.Request, error) {
	escaped, plain := r.address.path()
	u := &url.URL{Scheme: "http", Host: innerHost, Path: plain, RawPath: escaped, RawQuery: strings.ReplaceAll(r.query.Encode(), "+", "%20")}
	h := r.header.Clone()
	for name, value := range body.header {
		h.Set(name, value)
	}
	h.Set("X-Amz-Content-Sha256", body.mode)
	if h.Get("User-Agent") == "" {
		h["User-Agent"] = nil
	}
	out := &http.Request{Method: r.Method, URL: u, Host: innerHost, Header: h, ContentLength: body.length, Body: body}
	if body.length == 0 {
		out.Body = http.NoBody
	}
	// Only what begins with x-amz- must be signed.
	toSign := &http.Request{Method: r.Method, URL: u, Host: innerHost, Header: http.Header{}}
	for name, values := range h {
		if strings.HasPrefix(name, "X-Amz-") {
			toSign.Header[name] = values
		}
	}
	keys := aws.Credentials{AccessKeyID: id, SecretAccessKey: g.grants.secret}
	err := v4.NewSigner().SignHTTP(r.Context(), keys, toSign, body.mode, "s3", innerRegion, time.Now(), func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err != nil {
		return nil, fmt.Errorf("sign for versitygw: %w", err)
	}
	h.Set("Authorization", toSign.Header.Get("Authorization"))
	h.Set("X-Amz-Date", toSign.Header.Get("X-Amz-Date"))
	return out, nil
}

const innerHost = "versitygw"

// outgoing is a body on its way to versitygw.
type outgoing struct {
	source io.Reader
	length int64
	mode   string // x-amz-content-sha256
	header map[string]string

	mu        sync.Mutex
	err       error // of the source
	abandoned bool
}

// encode brings a body into the form that versitygw is to get: unsigned, because the signature has been checked, and with its checksum in a trailer if it came so.
func (r *request) encode() (*outgoing, error) {
	const unsigned = "UNSIGNED-PAYLOAD"
	if !r.streams() {
		document, err := r.body.document()
		if err != nil {
			return nil, err
		}
		o := &outgoing{source: bytes.NewReader(document), length: int64(len(document)), mode: unsigned}
		if r.body.trailer != "" { // checked; some operations insist on a checksum
			sum := md5.Sum(document) // #nosec: Content-MD5 is S3's
			o.header = map[string]string{"Content-Md5": base64.StdEncoding.EncodeToString(sum[:])}
		}
		return o, nil
	}
	if r.body.trailer == "" {
		if r.body.length == 0 { // nothing to send, but its hash must be read
			if _, err := r.body.document(); err != nil {
				return nil, err
			}
		}
		return &outgoing{source: r.body, length: r.body.length, mode: unsigned}, nil
	}
	c, err := newChunked(r.body, r.body.length, r.body.trailer)
	if err != nil {
		return nil, err
	}
	return &outgoing{source: c, length: c.encodedLength(), mode: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", header: map[string]string{
		"X-Amz-Decoded-Content-Length": strconv.FormatInt(r.body.length, 10), "X-Amz-Trailer": r.body.trailer}}, nil
}

// Read implements io.Reader.
func (o *outgoing) Read(p []byte) (int, error) {
	o.mu.Lock()
	gone := o.abandoned
	o.mu.Unlock()
	if gone {
		return 0, errAbandoned
	}
	n, err := o.source.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		o.mu.Lock()
		if o.err == nil && !o.abandoned {
			o.err = err
		}
		o.mu.Unlock()
	}
	return n, err
}

// Close implements io.Closer. The body belongs to the server that the request came to.
func (o *outgoing) Close() error { return nil }

var errAbandoned = errors.New("the answer came before the end of the body")

// failed returns the error of the client's body, if there was one.
func (o *outgoing) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// abandon stops sending: the answer is there.
func (o *outgoing) abandon() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.abandoned = true
}

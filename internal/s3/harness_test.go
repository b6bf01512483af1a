package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/s3"
	"github.com/sunaba-dev/sunaba/internal/sigv4"
)

const (
	account = "000000000000"
	region  = "us-west-2"
)

// principal is what the fake authority knows of a key: what it may do, as "action resource" with * at the end of either.
type principal struct {
	arn   string
	allow []string
}

// authority is a fake: keys with lists of what they may, and bucket policies by a magic word.
type authority struct {
	mu      sync.Mutex
	keys    map[string]s3.Key
	tokens  map[string]string
	expired map[string]bool
	asked   []asked
	broken  error
}

type asked struct {
	action, resource string
	conditions       map[string][]string
}

func newAuthority() *authority {
	a := &authority{keys: map[string]s3.Key{}, tokens: map[string]string{}, expired: map[string]bool{}}
	a.add("AKIAADMIN00000000000", "", account, "admin", "* *")
	return a
}

func (a *authority) add(id, token, account, name string, allow ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	arn := "arn:aws:iam::" + account + ":role/" + name
	a.keys[id] = s3.Key{Secret: "secret-of-" + id, Account: account, PrincipalARN: arn, Principal: principal{arn, allow}}
	a.tokens[id] = token
}

func (a *authority) Key(_ context.Context, id, token string) (s3.Key, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k, ok := a.keys[id]
	switch {
	case !ok:
		return s3.Key{}, sigv4.ErrUnknownKey
	case a.tokens[id] != token:
		return s3.Key{}, sigv4.ErrInvalidToken
	case a.expired[id]:
		return s3.Key{}, sigv4.ErrExpiredToken
	}
	return k, nil
}

func matches(pattern, s string) bool {
	if p, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(s, p)
	}
	return pattern == s
}

// Authorize allows what the principal's list has; "everyone" in a bucket policy allows reading, "insecure" denies what does not come over TLS, "nobody" denies all.
func (a *authority) Authorize(_ context.Context, p any, action, resource string, conditions map[string][]string, policy []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, asked{action, resource, conditions})
	if a.broken != nil {
		return a.broken
	}
	arn := "anonymous"
	denied := func(why string) error {
		return fault.New("AccessDenied", "User: %s is not authorized to perform: %s on resource: %q because %s", arn, action, resource, why)
	}
	doc := string(policy)
	if strings.Contains(doc, "nobody") || strings.Contains(doc, "insecure") && conditions["aws:SecureTransport"][0] != "true" {
		return denied("of an explicit deny in a resource-based policy")
	}
	if strings.Contains(doc, "everyone") && strings.HasPrefix(action, "s3:Get") {
		return nil
	}
	if who, ok := p.(principal); ok {
		arn = who.arn
		for _, rule := range who.allow {
			act, res, _ := strings.Cut(rule, " ")
			if matches(act, action) && matches(res, resource) {
				return nil
			}
		}
	}
	return denied("no identity-based policy allows the " + action + " action")
}

func (a *authority) ValidateBucketPolicy(_ context.Context, _ string, document []byte) error {
	if bytes.Contains(document, []byte("Statement")) {
		return nil
	}
	return fault.New("MalformedPolicy", "Missing required field Statement")
}

func (a *authority) questions(action string) []asked {
	a.mu.Lock()
	defer a.mu.Unlock()
	var found []asked
	for _, q := range a.asked {
		if q.action == action {
			found = append(found, q)
		}
	}
	return found
}

// server is a gateway behind a real listener.
type server struct {
	t         *testing.T
	authority *authority
	gateway   *s3.Gateway
	http      *httptest.Server
	dir       string
	runDir    string
}

func start(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, authority: newAuthority(), dir: t.TempDir()}
	s.open()
	t.Cleanup(s.close)
	return s
}

func (s *server) open() {
	s.t.Helper()
	s.runDir = shortDir(s.t)
	g, err := s3.New(s.t.Context(), s3.Options{Dir: s.dir, RunDir: s.runDir, Region: region, Authority: s.authority, Log: slog.New(slog.NewTextHandler(s.t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))})
	if err != nil {
		s.t.Fatal(err)
	}
	s.gateway, s.http = g, httptest.NewServer(g)
}

func (s *server) close() {
	s.http.Close()
	if err := s.gateway.Close(context.Background()); err != nil {
		s.t.Error(err)
	}
}

func (s *server) restart() {
	s.close()
	s.open()
}

// as returns a client with a key of the authority.
func (s *server) as(id string, options ...func(*awss3.Options)) *awss3.Client {
	o := awss3.Options{Region: region, BaseEndpoint: aws.String(s.http.URL), UsePathStyle: true, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(id, "secret-of-"+id, s.authority.tokens[id])}
	return awss3.New(o, options...)
}

func (s *server) admin(options ...func(*awss3.Options)) *awss3.Client {
	return s.as("AKIAADMIN00000000000", options...)
}

func (s *server) bucket(c *awss3.Client, name string) {
	s.t.Helper()
	r := c.Options().Region
	in := &awss3.CreateBucketInput{Bucket: &name}
	if r != "us-east-1" {
		in.CreateBucketConfiguration = location(r)
	}
	if _, err := c.CreateBucket(s.t.Context(), in); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) put(c *awss3.Client, bucket, key, body string) {
	s.t.Helper()
	if _, err := c.PutObject(s.t.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(body)}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) get(c *awss3.Client, bucket, key string) (string, error) {
	out, err := c.GetObject(s.t.Context(), &awss3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return "", err
	}
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	return string(b), err
}

func (s *server) want(c *awss3.Client, bucket, key, body string) {
	s.t.Helper()
	got, err := s.get(c, bucket, key)
	if err != nil || got != body {
		s.t.Fatalf("%s/%s is %.60q (%v), want %.60q", bucket, key, got, err, body)
	}
}

// wantCode fails unless err is an API error with the code.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorCode() != code {
		t.Fatalf("error is %v, want %s", err, code)
	}
}

// do sends a request that no SDK would.
func (s *server) do(method, path, host string, header http.Header, body io.Reader) (int, string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.http.URL, body)
	if err != nil {
		s.t.Fatal(err)
	}
	r.URL.Opaque = "//" + r.URL.Host + path
	if host != "" {
		r.Host = host
	}
	for k, v := range header {
		r.Header[k] = v
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// tls returns an administrator's client of the same gateway over TLS.
func (s *server) tls(options ...func(*awss3.Options)) *awss3.Client {
	t := httptest.NewTLSServer(s.gateway)
	s.t.Cleanup(t.Close)
	return s.admin(append(options, func(o *awss3.Options) { o.BaseEndpoint, o.HTTPClient = aws.String(t.URL), t.Client() })...)
}

// signedRequest signs a request that no SDK has.
func signedRequest(t *testing.T, s *server, id, method, path string, edit ...func(http.Header)) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.http.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	r.Header.Set("X-Amz-Content-Sha256", empty)
	for _, e := range edit {
		e(r.Header)
	}
	err = v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: id, SecretAccessKey: "secret-of-" + id}, r, r.Header.Get("X-Amz-Content-Sha256"), "s3", region, time.Now(),
		func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// socketClient reaches versitygw itself.
func socketClient(t *testing.T, dir string) *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(dir, "s3.sock"))
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

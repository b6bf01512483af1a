package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"go.uber.org/goleak"

	"github.com/sunaba-dev/sunaba/internal/server"
	"github.com/sunaba-dev/sunaba/internal/sigv4"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var key = aws.Credentials{AccessKeyID: "AKIATESTTESTTESTTEST", SecretAccessKey: "secret"}

type keys struct{}

func (keys) Lookup(_ context.Context, id, token string) (sigv4.Key, error) {
	if id != key.AccessKeyID || token != "" {
		return sigv4.Key{}, sigv4.ErrUnknownKey
	}
	return sigv4.Key{Secret: key.SecretAccessKey, Principal: server.Principal{Account: "000000000000", ARN: "arn:aws:iam::000000000000:root"}}, nil
}

func admit(ctx context.Context, p any, _ *http.Request) (context.Context, server.Principal) {
	return ctx, p.(server.Principal)
}

type echoInput struct {
	ID   string `uri:"id"`
	Text string `aws:"text"`
}

type echoOutput struct {
	ID     string `aws:"id" required:"true"`
	Text   string `aws:"text"`
	Region string `aws:"region"`
	Who    string `aws:"who"`
}

type harness struct {
	*server.Server
	endpoint string
	log      *buffer
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func start(t *testing.T) *harness {
	t.Helper()
	log := &buffer{}
	agentcore := &wire.Service{Name: "bedrock-agentcore", Protocol: wire.RestJSON, Operations: []wire.Operation{
		wire.Op("Echo", "PUT /code-interpreters/{id} 200", func(ctx context.Context, in *echoInput) (*echoOutput, error) {
			r := wire.RequestOf(ctx)
			return &echoOutput{ID: in.ID, Text: in.Text, Region: r.Region, Who: r.Principal}, nil
		}),
		wire.Op("Panic", "PUT /panic 200", func(context.Context, *struct{}) (*struct{}, error) { panic("at the handler's secret place") }),
	}}
	sts := &wire.Service{Name: "sts", Protocol: wire.Query, Namespace: "urn:x"}
	s := server.New(server.Options{Services: []*wire.Service{agentcore, sts}, Verifier: &sigv4.Verifier{Keys: keys{}}, Admit: admit, Log: slog.New(slog.NewJSONHandler(log, nil)), Version: "1"})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if cut, err := s.Shutdown(context.Background()); err != nil || cut {
			t.Error(cut, err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &harness{s, "http://" + l.Addr().String(), log}
}

func request(t *testing.T, h *harness, method, path, service, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, h.endpoint+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if service != "" {
		sum := sha256.Sum256([]byte(body))
		if err := v4.NewSigner().SignHTTP(t.Context(), key, r, hex.EncodeToString(sum[:]), service, "eu-central-1", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func do(t *testing.T, c *http.Client, r *http.Request) (int, http.Header, string) {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

func TestASignedRequestReachesItsHandler(t *testing.T) {
	h := start(t)
	status, header, body := do(t, http.DefaultClient, request(t, h, "PUT", "/code-interpreters/arn%3Aaws%2Fx", "bedrock-agentcore", `{"text":"hi"}`))
	if status != 200 || body != `{"id":"arn:aws/x","text":"hi","region":"eu-central-1","who":"arn:aws:iam::000000000000:root"}` || header.Get("X-Amzn-RequestId") == "" {
		t.Errorf("%d %v %s", status, header, body)
	}
}

func TestHTTP2WithoutTLS(t *testing.T) {
	h := start(t)
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &p}
	defer transport.CloseIdleConnections()
	r := request(t, h, "PUT", "/code-interpreters/a", "bedrock-agentcore", `{}`)
	resp, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
		t.Errorf("%s %s", resp.Status, resp.Proto)
	}
}

func TestRefusals(t *testing.T) {
	h := start(t)
	tampered := request(t, h, "PUT", "/code-interpreters/a", "bedrock-agentcore", `{"text":"hi"}`)
	tampered.Body = io.NopCloser(strings.NewReader(`{"text":"ho"}`))
	unknownKey := request(t, h, "PUT", "/code-interpreters/a", "bedrock-agentcore", `{}`)
	unknownKey.Header.Set("Authorization", strings.Replace(unknownKey.Header.Get("Authorization"), "AKIA", "AKIB", 1))
	query := request(t, h, "POST", "/", "", "Action=GetCallerIdentity")
	query.Host = "sts.us-east-1.amazonaws.com"
	awsjson := request(t, h, "POST", "/", "ssm", "{}")
	awsjson.Header.Set("X-Amz-Target", "AmazonSSM.GetParameter")
	for name, c := range map[string]struct {
		r      *http.Request
		status int
		want   string
	}{
		"unsigned":                 {request(t, h, "PUT", "/code-interpreters/a", "", `{}`), 403, "MissingAuthenticationTokenException"},
		"unsigned, query":          {query, 403, "<Code>MissingAuthenticationToken</Code>"},
		"tampered body":            {tampered, 403, "InvalidSignatureException"},
		"unknown key":              {unknownKey, 403, "UnrecognizedClientException"},
		"service that is not here": {request(t, h, "GET", "/x", "lambda", ""), 404, "UnknownOperationException"},
		"operation":                {request(t, h, "GET", "/code-interpreters/a/b/c", "bedrock-agentcore", ""), 404, "UnknownOperationException"},
		"x-amz-target unsigned":    {awsjson, 403, "InvalidSignatureException"},
	} {
		t.Run(name, func(t *testing.T) {
			status, header, body := do(t, http.DefaultClient, c.r)
			if status != c.status || !strings.Contains(header.Get("X-Amzn-ErrorType")+body, c.want) {
				t.Errorf("%d %v %s", status, header, body)
			}
		})
	}
}

func TestAPanicIsA500AndOnlyInTheLog(t *testing.T) {
	h := start(t)
	status, header, body := do(t, http.DefaultClient, request(t, h, "PUT", "/panic", "bedrock-agentcore", ""))
	if status != 500 || header.Get("X-Amzn-ErrorType") != "InternalServerException" || strings.Contains(body, "secret place") {
		t.Errorf("%d %v %s", status, header, body)
	}
	if status, _, _ := do(t, http.DefaultClient, request(t, h, "PUT", "/code-interpreters/a", "bedrock-agentcore", "{}")); status != 200 {
		t.Errorf("after a panic: %d", status)
	}
	if !strings.Contains(h.log.String(), "secret place") || !strings.Contains(h.log.String(), header.Get("X-Amzn-RequestId")) {
		t.Errorf("the log lacks the panic: %s", h.log)
	}
}

func TestABodyAboveTheLimitIsRefusedUnread(t *testing.T) {
	h := start(t)
	r := request(t, h, "PUT", "/code-interpreters/a", "bedrock-agentcore", "{}")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader("{")), 151<<20
	r.Header.Del("X-Amz-Content-Sha256")
	resp, err := http.DefaultClient.Do(r)
	if err != nil { // the server may close before the client has sent what it promised
		return
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 400 || resp.StatusCode >= 500 {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestHugeHeadersAreRefused(t *testing.T) {
	h := start(t)
	r := request(t, h, "PUT", "/code-interpreters/a", "bedrock-agentcore", "{}")
	r.Header.Set("X-Huge", strings.Repeat("x", 1<<20))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestHealthNeedsNoKey(t *testing.T) {
	h := start(t)
	status, _, body := do(t, http.DefaultClient, request(t, h, "GET", "/health", "", ""))
	var v struct{ Status, Version string }
	if err := json.Unmarshal([]byte(body), &v); err != nil || status != 200 || v.Status != "ok" || v.Version != "1" {
		t.Errorf("%d %s %v", status, body, err)
	}
}

func TestTheSecretIsNeverLogged(t *testing.T) {
	h := start(t)
	do(t, http.DefaultClient, request(t, h, "PUT", "/code-interpreters/a", "bedrock-agentcore", `{"text":"payload-of-the-user"}`))
	r := request(t, h, "PUT", "/code-interpreters/a", "bedrock-agentcore", `{}`)
	_, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	r.Header.Set("Authorization", r.Header.Get("Authorization")+"0")
	do(t, http.DefaultClient, r)
	for _, s := range []string{key.SecretAccessKey + "\"", "payload-of-the-user", signature} {
		if strings.Contains(h.log.String(), s) {
			t.Errorf("%q is in the log: %s", s, h.log)
		}
	}
}

// Whoever knows a key's id can announce large bodies without having its secret. Announcements alone must keep nobody out.
func TestAnnouncedBodiesThatNeverComeKeepNobodyOut(t *testing.T) {
	h := start(t)
	for range 8 {
		r := request(t, h, "PUT", "/code-interpreters/a", "bedrock-agentcore", "{}")
		conn, err := net.Dial("tcp", strings.TrimPrefix(h.endpoint, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		head := "PUT /code-interpreters/a HTTP/1.1\r\nHost: " + strings.TrimPrefix(h.endpoint, "http://") + "\r\nContent-Length: 157286400\r\nX-Amz-Date: " + r.Header.Get("X-Amz-Date") +
			"\r\nAuthorization: " + r.Header.Get("Authorization") + "\r\n\r\n{"
		if _, err := io.WriteString(conn, head); err != nil {
			t.Fatal(err)
		}
	}
	large := `{"text":"` + strings.Repeat("x", 2<<20) + `"}`
	if status, _, body := do(t, http.DefaultClient, request(t, h, "PUT", "/code-interpreters/a", "bedrock-agentcore", large)); status != 200 {
		t.Errorf("%d %.200s", status, body)
	}
}

func TestAFloodOfStrangersIsLoggedSparsely(t *testing.T) {
	h := start(t)
	for range 500 {
		do(t, http.DefaultClient, request(t, h, "GET", "/"+strings.Repeat("x", 1000), "", ""))
	}
	if n := strings.Count(h.log.String(), "\n"); n > 200 || strings.Contains(h.log.String(), strings.Repeat("x", 300)) {
		t.Errorf("%d lines, or whole paths", n)
	}
}

package sigv4

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

var (
	permanent = aws.Credentials{AccessKeyID: testID, SecretAccessKey: testSecret}
	temporary = aws.Credentials{AccessKeyID: testTempID, SecretAccessKey: testSecret, SessionToken: testToken}
)

// order is a request to be signed by the Go SDK's signer.
type order struct {
	method, url, body string
	headers           http.Header
	service           string // "bedrock-agentcore" if empty
	hash              string // "" means the body's own
	sendHash          bool   // x-amz-content-sha256 too
	presign           bool
	creds             aws.Credentials // permanent if zero
	at                time.Time       // testNow if zero
}

// unsent makes the request as a client has it, unsigned, and what the signer is to be told.
func (o order) unsent(t testing.TB) (*http.Request, order) {
	t.Helper()
	if o.service == "" {
		o.service = "bedrock-agentcore"
	}
	if o.creds.AccessKeyID == "" {
		o.creds = permanent
	}
	if o.at.IsZero() {
		o.at = testNow
	}
	var r *http.Request
	var err error
	if o.body == "" {
		r, err = http.NewRequestWithContext(context.Background(), o.method, o.url, nil)
	} else {
		r, err = http.NewRequestWithContext(context.Background(), o.method, o.url, strings.NewReader(o.body))
	}
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range o.headers {
		r.Header[k] = v
	}
	if o.hash == "" {
		sum := sha256.Sum256([]byte(o.body))
		o.hash = hex.EncodeToString(sum[:])
	}
	if o.sendHash || o.service == "s3" && !o.presign {
		r.Header.Set("X-Amz-Content-Sha256", o.hash)
	}
	return r, o
}

// signed returns the request as a server reads it.
func (o order) signed(t testing.TB) *http.Request {
	t.Helper()
	r, o := o.unsent(t)
	s3 := func(s *v4.SignerOptions) { s.DisableURIPathEscaping = o.service == "s3" }
	if !o.presign {
		if err := v4.NewSigner(s3).SignHTTP(context.Background(), o.creds, r, o.hash, o.service, "us-west-2", o.at); err != nil {
			t.Fatal(err)
		}
		return resend(t, r)
	}
	signed, headers, err := v4.NewSigner(s3).PresignHTTP(context.Background(), o.creds, r, o.hash, o.service, "us-west-2", o.at)
	if err != nil {
		t.Fatal(err)
	}
	o.url = signed
	p, _ := o.unsent(t)
	for k, v := range headers {
		p.Header[k] = v
	}
	return resend(t, p)
}

func TestGoSigner(t *testing.T) {
	const base, bucket = "http://127.0.0.1:4566", "http://bucket.s3.us-west-2.amazonaws.com"
	arn := "arn%3Aaws%3Abedrock-agentcore%3Aus-west-2%3A000000000000%3Aruntime%2Fagent-1"
	unsigned := string(UnsignedPayload)
	tests := map[string]order{
		"get":                 {method: "GET", url: base + "/code-interpreters"},
		"post":                {method: "POST", url: base + "/code-interpreters", body: `{"name":"x"}`},
		"post with hash":      {method: "POST", url: base + "/code-interpreters", body: `{"name":"x"}`, sendHash: true},
		"put token":           {method: "PUT", url: base + "/x", body: "{}", creds: temporary},
		"arn path":            {method: "POST", url: base + "/runtimes/" + arn + "/invocations?qualifier=DEFAULT", body: "{}"},
		"odd path":            {method: "GET", url: base + "/a%20b/%E7%A0%82~/c%2Fd/+,;:@&=$"},
		"double slashes":      {method: "GET", url: base + "/a//b///"},
		"dot segments":        {method: "GET", url: base + "/a/./b/../c"},
		"odd query":           {method: "GET", url: base + "/x?b=2&a=1&k=a+b&k=a%2Fb&k=a-b&%E7%A0%82=~*'()&empty&none="},
		"headers":             {method: "GET", url: base + "/x", headers: http.Header{"X-Custom": {"a   b", "c,  d"}, "X-Amzn-Trace-Id": {"Root=1"}}},
		"presigned":           {method: "GET", url: base + "/x?X-Amz-Expires=300&a=b+c", presign: true},
		"presigned token":     {method: "GET", url: base + "/x?X-Amz-Expires=300", presign: true, creds: temporary},
		"presigned sts":       {method: "GET", url: base + "/?Action=GetCallerIdentity", presign: true, service: "sts"},
		"presigned body":      {method: "POST", url: base + "/x?X-Amz-Expires=300", presign: true, body: "{}"},
		"s3 get":              {method: "GET", url: bucket + "/a%20b/%E7%A0%82~/c%2Fd//e/../f", service: "s3"},
		"s3 raw path":         {method: "GET", url: bucket + "/a+b:c@d", service: "s3"},
		"s3 put":              {method: "PUT", url: bucket + "/k", body: "hello", service: "s3", headers: http.Header{"X-Amz-Meta-A": {" b  c "}}},
		"s3 unsigned":         {method: "PUT", url: bucket + "/k", body: "hello", service: "s3", hash: unsigned},
		"s3 presigned":        {method: "GET", url: bucket + "/a%20b?X-Amz-Expires=60&versionId=1", service: "s3", hash: unsigned, presign: true},
		"s3 presigned hash":   {method: "PUT", url: bucket + "/k?X-Amz-Expires=60", service: "s3", body: "hello", presign: true, sendHash: true},
		"s3 presigned hoist":  {method: "PUT", url: bucket + "/k?X-Amz-Expires=60", service: "s3", hash: unsigned, body: "hello", presign: true, creds: temporary},
		"s3 presigned header": {method: "PUT", url: bucket + "/k?X-Amz-Expires=60", service: "s3", hash: unsigned, presign: true, headers: http.Header{"X-Amz-Meta-A": {"b"}}},
	}
	v := testVerifier(testNow.Add(time.Minute))
	for name, o := range tests {
		t.Run(name, func(t *testing.T) {
			_, body, err := verifyAll(v, o.signed(t))
			if err != nil || string(body) != o.body {
				t.Fatalf("payload %q, want %q; error %v", body, o.body, err)
			}
		})
	}
}

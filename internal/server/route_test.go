package server_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/server"
	"github.com/sunaba-dev/sunaba/internal/sigv4"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// Where a request without a readable signature goes, and in whose words it is refused. Nothing of it may depend on luck: a client that reads XML must not get JSON.
func TestRequestsWithoutASignatureAreRefusedInTheRightWords(t *testing.T) {
	type empty struct{}
	op := func(name, binding string) wire.Operation { return wire.Op[empty, empty](name, binding, nil) }
	services := []*wire.Service{
		{Name: "bedrock-agentcore", Protocol: wire.RestJSON, Operations: []wire.Operation{op("Get", "GET /code-interpreters/{id} 200"), op("Tags", "GET /tags/{arn} 200")}},
		{Name: "sts", Protocol: wire.Query, Namespace: "urn:sts"},
		{Name: "ssm", Protocol: wire.AWSJSON, TargetPrefix: "AmazonSSM"},
	}
	names := map[string]string{"s3.us-west-2.amazonaws.com": "s3", "b.s3.us-west-2.amazonaws.com": "s3", "sts.us-east-1.amazonaws.com": "sts",
		"bedrock-agentcore.us-west-2.amazonaws.com": "bedrock-agentcore", "lambda.us-west-2.amazonaws.com": "lambda", "ssm.us-west-2.amazonaws.com": "ssm"}
	s3 := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte("<Error><Code>AccessDenied</Code></Error>"))
	})
	s := server.New(server.Options{Services: services, S3: s3, ServiceOf: func(host string) string { return names[host] }, Verifier: &sigv4.Verifier{Keys: keys{}}, Admit: admit,
		Log: slog.New(slog.DiscardHandler)})
	const (
		anS3    = "<Error><Code>AccessDenied</Code></Error>"
		aQuery  = "<Code>MissingAuthenticationToken</Code>"
		restful = "MissingAuthenticationTokenException"
		local   = "127.0.0.1:4566"
		scope   = "AWS4-HMAC-SHA256 Credential=AKIATESTTESTTESTTEST/20260102/us-west-2/"
	)
	for _, c := range []struct {
		name, method, host, path, target, authorization string
		want                                            string
	}{
		{"S3's host", "GET", "s3.us-west-2.amazonaws.com", "/", "", "", anS3},
		{"a bucket's host", "GET", "b.s3.us-west-2.amazonaws.com", "/k", "", "", anS3},
		{"a bucket's host, a path of another service", "GET", "b.s3.us-west-2.amazonaws.com", "/code-interpreters/x", "", "", anS3},
		{"a bucket's host, a form", "POST", "b.s3.us-west-2.amazonaws.com", "/", "", "", anS3},
		{"a bucket's host, a target", "POST", "b.s3.us-west-2.amazonaws.com", "/", "AmazonSSM.GetParameter", "", anS3},
		{"loopback, a bucket", "GET", local, "/bucket", "", "", anS3},
		{"loopback, an object", "PUT", local, "/bucket/key", "", "", anS3},
		{"loopback, the list of buckets", "GET", local, "/", "", "", anS3},
		{"loopback, a path of a service", "GET", local, "/code-interpreters/x", "", "", restful},
		{"loopback, a path of a service, another method", "PATCH", local, "/code-interpreters", "", "", restful},
		{"loopback, tags", "GET", local, "/tags/arn%3Aaws%3Ax", "", "", restful},
		{"loopback, a form", "POST", local, "/", "", "", aQuery},
		{"loopback, an action in the query", "GET", local, "/?Action=GetCallerIdentity", "", "", aQuery},
		{"loopback, a target that is served", "POST", local, "/", "AmazonSSM.GetParameter", "", restful},
		{"loopback, a target that is not served", "POST", local, "/", "DynamoDB_20120810.GetItem", "", restful},
		{"a service's host", "GET", "bedrock-agentcore.us-west-2.amazonaws.com", "/bucket/key", "", "", restful},
		{"STS's host", "POST", "sts.us-east-1.amazonaws.com", "/", "", "", aQuery},
		{"STS's host, a path", "GET", "sts.us-east-1.amazonaws.com", "/bucket/key", "", "", aQuery},
		{"SSM's host, no target", "POST", "ssm.us-west-2.amazonaws.com", "/", "", "", restful},
		{"the host of a service that is not served", "GET", "lambda.us-west-2.amazonaws.com", "/bucket/key", "", "", restful},
		{"signed for S3, whatever the host", "GET", "sts.us-east-1.amazonaws.com", "/", "", scope + "s3/aws4_request, SignedHeaders=host, Signature=0", anS3},
		{"signed for another service, S3's host", "GET", "s3.us-west-2.amazonaws.com", "/", "", scope + "sts/aws4_request, SignedHeaders=host, Signature=0", "<ErrorResponse"},
		{"a signature that cannot be read, S3's host", "GET", "s3.us-west-2.amazonaws.com", "/b", "", "AWS AKIA:xyz", anS3},
		{"a signature that cannot be read, a service's path", "GET", local, "/code-interpreters/x", "", "Bearer token", restful},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, c.path, nil)
			r.Host, r.RemoteAddr = c.host, "127.0.0.1:1"
			if c.target != "" {
				r.Header.Set("X-Amz-Target", c.target)
			}
			if c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if got := w.Header().Get("X-Amzn-ErrorType") + w.Body.String(); w.Code < 400 || w.Code >= 500 || !strings.Contains(got, c.want) || strings.Contains(got, "<Error><Code>") != (c.want == anS3) {
				t.Errorf("%d %v %s, want %s", w.Code, w.Header(), w.Body, c.want)
			}
		})
	}
}

package sigv4

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

const (
	postURL   = "http://127.0.0.1:4566/code-interpreters/x?a=1"
	bucketURL = "http://bucket.s3.us-west-2.amazonaws.com/k"
)

// edit changes one header line of a request.
func edit(name, old, with string) func(*http.Request) {
	return func(r *http.Request) {
		v := r.Header.Get(name)
		if !strings.Contains(v, old) {
			panic(name + " has no " + old + ": " + v)
		}
		r.Header.Set(name, strings.Replace(v, old, with, 1))
	}
}

func set(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func add(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

func target(old, with string) func(*http.Request) {
	return func(r *http.Request) {
		if !strings.Contains(r.RequestURI, old) {
			panic(r.RequestURI + " has no " + old)
		}
		r.RequestURI = strings.Replace(r.RequestURI, old, with, 1)
		u, err := url.ParseRequestURI(r.RequestURI)
		if err != nil {
			panic(err)
		}
		r.URL = u
	}
}

func body(s string) func(*http.Request) {
	return func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader(s)), int64(len(s)) }
}

// signature rewrites the signature of an Authorization header.
func signature(f func(string) string) func(*http.Request) {
	return func(r *http.Request) {
		before, sig, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
		r.Header.Set("Authorization", before+"Signature="+f(sig))
	}
}

func both(f ...func(*http.Request)) func(*http.Request) {
	return func(r *http.Request) {
		for _, g := range f {
			g(r)
		}
	}
}

func TestTampering(t *testing.T) {
	post := order{method: "POST", url: postURL, body: `{"a":1}`, headers: http.Header{"X-Custom": {"one"}, "X-Amz-Target": {"Op"}}}
	withToken := post
	withToken.creds = temporary
	withHash := post
	withHash.sendHash = true
	presigned := order{method: "GET", url: postURL + "&X-Amz-Expires=300", presign: true}
	presignedToken := presigned
	presignedToken.creds = temporary
	sts := order{method: "POST", url: "http://127.0.0.1:4566/", service: "sts", body: "Action=GetCallerIdentity&Version=2011-06-15"}
	put := order{method: "PUT", url: bucketURL, service: "s3", body: "hello", headers: http.Header{"X-Amz-Meta-A": {"b"}}}
	unsigned := put
	unsigned.hash = string(UnsignedPayload)
	s3URL := order{method: "GET", url: bucketURL + "?X-Amz-Expires=300", service: "s3", hash: string(UnsignedPayload), presign: true}
	const (
		invalid, incomplete            = fault.InvalidSignature, fault.IncompleteSignature
		noMatch             fault.Code = "SignatureDoesNotMatch"
		malformedHeader     fault.Code = "AuthorizationHeaderMalformed"
		malformedQuery      fault.Code = "AuthorizationQueryParametersError"
	)
	replay := func(d time.Duration) func(order) order {
		return func(o order) order { o.at = testNow.Add(d); return o }
	}
	tests := []struct {
		name string
		from order
		do   func(*http.Request)
		kind Kind
		code fault.Code
	}{
		{"method", post, func(r *http.Request) { r.Method = "PUT" }, Mismatch, invalid},
		{"path", post, target("/x", "/y"), Mismatch, invalid},
		{"path escaped slash", post, target("/x", "%2Fx"), Mismatch, invalid},
		{"path escaped letter", post, target("/x", "/%78"), Mismatch, invalid},
		{"query value", post, target("a=1", "a=2"), Mismatch, invalid},
		{"query added", post, target("a=1", "a=1&b=2"), Mismatch, invalid},
		{"query removed", post, target("?a=1", ""), Mismatch, invalid},
		{"query key", post, target("a=1", "A=1"), Mismatch, invalid},
		{"host", post, func(r *http.Request) { r.Host = "example.com" }, Mismatch, invalid},
		{"header value", post, set("X-Custom", "two"), Mismatch, invalid},
		{"header repeated", post, add("X-Custom", "one"), Mismatch, invalid},
		{"header removed", post, func(r *http.Request) { r.Header.Del("X-Custom") }, Mismatch, invalid},
		{"target swapped", post, set("X-Amz-Target", "Other"), Mismatch, invalid},
		{"unsigned x-amz header added", post, set("X-Amz-Other", "1"), UnsignedHeaders, invalid},
		{"token added", post, set("X-Amz-Security-Token", testToken), UnsignedHeaders, invalid},
		{"token added and listed", post, both(set("X-Amz-Security-Token", testToken), edit("Authorization", "x-amz-target", "x-amz-security-token;x-amz-target"),
			edit("Authorization", testID, testTempID)), Mismatch, invalid},
		{"token removed", withToken, func(r *http.Request) { r.Header.Del("X-Amz-Security-Token") }, InvalidToken, fault.UnrecognizedClient},
		{"token swapped", withToken, set("X-Amz-Security-Token", "other"), InvalidToken, fault.UnrecognizedClient},
		{"token repeated", withToken, add("X-Amz-Security-Token", testToken), MalformedHeader, incomplete},
		{"token expired", withToken, set("X-Amz-Security-Token", "old"), ExpiredToken, fault.ExpiredToken},
		{"token expired in the store", withToken, set("X-Amz-Security-Token", "older"), ExpiredToken, fault.ExpiredToken},
		{"body", post, body(`{"a":2}`), Mismatch, invalid},
		{"body emptied", post, body(""), Mismatch, invalid},
		{"body with hash", withHash, body(`{"a":2}`), PayloadMismatch, invalid},
		{"body and hash", withHash, both(body(""), set("X-Amz-Content-Sha256", emptyHash)), Mismatch, invalid},
		{"hash made unsigned", withHash, set("X-Amz-Content-Sha256", string(UnsignedPayload)), UnsupportedPayload, invalid},
		{"hash repeated", withHash, add("X-Amz-Content-Sha256", emptyHash), MalformedHeader, incomplete},
		{"date", post, set("X-Amz-Date", "20250615T123046Z"), Mismatch, invalid},
		{"date of another day", post, set("X-Amz-Date", "20250614T123045Z"), BadScope, invalid},
		{"date unreadable", post, set("X-Amz-Date", "yesterday"), BadDate, incomplete},
		{"date repeated", post, add("X-Amz-Date", "20250615T123045Z"), MalformedHeader, incomplete},
		{"date removed", post, func(r *http.Request) { r.Header.Del("X-Amz-Date") }, BadDate, incomplete},
		{"date by an unsigned header", post, both(func(r *http.Request) { r.Header.Del("X-Amz-Date") }, set("Date", testNow.Format(http.TimeFormat)),
			edit("Authorization", ";x-amz-date", "")), UnsignedHeaders, invalid},
		{"scope date", post, edit("Authorization", "/20250615/", "/20250616/"), BadScope, invalid},
		{"region", post, edit("Authorization", "us-west-2", "us-east-1"), Mismatch, invalid},
		{"service", post, edit("Authorization", "/bedrock-agentcore/", "/lambda/"), Mismatch, invalid},
		{"service to s3", withHash, edit("Authorization", "/bedrock-agentcore/", "/s3/"), Mismatch, noMatch},
		{"terminator", post, edit("Authorization", "aws4_request", "aws5_request"), BadScope, invalid},
		{"key", post, edit("Authorization", testID, "AKIAUNKNOWN"), UnknownKey, fault.UnrecognizedClient},
		{"host unlisted", post, edit("Authorization", "host;", ""), UnsignedHeaders, invalid},
		{"header unlisted", post, edit("Authorization", ";x-amz-target", ""), UnsignedHeaders, invalid},
		{"headers out of order", post, edit("Authorization", "content-length;host", "host;content-length"), MalformedHeader, incomplete},
		{"headers repeated", post, edit("Authorization", "host;", "host;host;"), MalformedHeader, incomplete},
		{"headers in upper case", post, edit("Authorization", "host;", "Host;"), MalformedHeader, incomplete},
		{"signature truncated", post, signature(func(s string) string { return s[:63] }), Mismatch, invalid},
		{"signature longer", post, signature(func(s string) string { return s + "0" }), Mismatch, invalid},
		{"signature in upper case", post, signature(strings.ToUpper), Mismatch, invalid},
		{"signature empty", post, signature(func(string) string { return "" }), MalformedHeader, incomplete},
		{"signature zero", post, signature(func(string) string { return strings.Repeat("0", 64) }), Mismatch, invalid},
		{"credential twice", post, edit("Authorization", "Credential=", "Credential=x,Credential="), MalformedHeader, incomplete},
		{"credential short", post, edit("Authorization", "/aws4_request", ""), MalformedHeader, incomplete},
		{"authorization twice", post, func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, MultipleAuth, incomplete},
		{"authorization removed", post, func(r *http.Request) { r.Header.Del("Authorization") }, MissingAuth, fault.MissingAuth},
		{"authorization basic", post, set("Authorization", "Basic eDp5"), MissingAuth, fault.MissingAuth},
		{"header and query", post, target("a=1", "a=1&X-Amz-Signature=0"), MultipleAuth, incomplete},
		{"sigv4a", post, edit("Authorization", algorithm, "AWS4-ECDSA-P256-SHA256"), UnsupportedAlgorithm, incomplete},
		{"sigv2", post, set("Authorization", "AWS AKID:c2ln"), UnsupportedAlgorithm, incomplete},

		{"presigned expires extended", presigned, target("X-Amz-Expires=300", "X-Amz-Expires=600"), Mismatch, invalid},
		{"presigned expires removed", presigned, target("X-Amz-Expires=300", "x=1"), Mismatch, invalid},
		{"presigned expires twice", presigned, target("X-Amz-Expires=300", "X-Amz-Expires=300&X-Amz-Expires=900"), MalformedQuery, incomplete},
		{"presigned expires beyond a week", presigned, target("X-Amz-Expires=300", "X-Amz-Expires=604801"), MalformedQuery, incomplete},
		{"presigned date", presigned, target("X-Amz-Date=20250615T123045Z", "X-Amz-Date=20250615T123145Z"), Mismatch, invalid},
		{"presigned query", presigned, target("a=1", "a=2"), Mismatch, invalid},
		{"presigned second signature", presigned, target("X-Amz-Signature=", "X-Amz-Signature=0&X-Amz-Signature="), MalformedQuery, incomplete},
		{"presigned escaped second signature", presigned, target("X-Amz-Signature=", "X-Amz-%53ignature=0&X-Amz-Signature="), MalformedQuery, incomplete},
		{"presigned token removed", presignedToken, target("X-Amz-Security-Token=", "x="), InvalidToken, fault.UnrecognizedClient},
		{"presigned token swapped", presignedToken, target("X-Amz-Security-Token=", "X-Amz-Security-Token=a"), InvalidToken, fault.UnrecognizedClient},
		{"presigned token in a header", presigned, set("X-Amz-Security-Token", testToken), MalformedQuery, incomplete},
		{"presigned body", presigned, body("x"), Mismatch, invalid},
		{"presigned region", presigned, target("us-west-2", "us-east-1"), Mismatch, invalid},
		{"presigned date of another day", presigned, target("X-Amz-Date=20250615", "X-Amz-Date=20250614"), BadQueryScope, invalid},
		{"presigned and header", presigned, set("Authorization", "Bearer x"), MultipleAuth, incomplete},
		{"presigned algorithm", presigned, target(algorithm, "AWS4-ECDSA-P256-SHA256"), UnsupportedAlgorithm, incomplete},
		{"presigned expired", replay(-301 * time.Second)(presigned), body(""), Expired, invalid},
		{"presigned from the future", replay(6 * time.Minute)(presigned), body(""), NotYetValid, invalid},
		{"replay after the window", replay(-301 * time.Second)(post), body(`{"a":1}`), Skewed, invalid},
		{"replay before the window", replay(301 * time.Second)(post), body(`{"a":1}`), Skewed, invalid},

		{"sts signature", sts, signature(strings.ToUpper), Mismatch, noMatch},
		{"sts key", sts, edit("Authorization", testID, "AKIAUNKNOWN"), UnknownKey, "InvalidClientTokenId"},
		{"sts incomplete", sts, edit("Authorization", "SignedHeaders=", "Headers="), MalformedHeader, "IncompleteSignature"},
		{"sts replay", replay(-16 * time.Minute)(sts), set("X-Custom", "1"), Skewed, noMatch},

		{"s3 body", put, body("hellO"), PayloadMismatch, "XAmzContentSHA256Mismatch"},
		{"s3 body removed", put, body(""), PayloadMismatch, "XAmzContentSHA256Mismatch"},
		{"s3 hash made unsigned", put, set("X-Amz-Content-Sha256", string(UnsignedPayload)), Mismatch, noMatch},
		{"s3 unsigned made hash", unsigned, set("X-Amz-Content-Sha256", emptyHash), Mismatch, noMatch},
		{"s3 unsigned made streaming", unsigned, set("X-Amz-Content-Sha256", string(UnsignedTrailer)), Mismatch, noMatch},
		{"s3 hash nonsense", put, set("X-Amz-Content-Sha256", "x"), InvalidPayloadHash, "InvalidArgument"},
		{"s3 hash upper case", put, set("X-Amz-Content-Sha256", strings.ToUpper(emptyHash)), InvalidPayloadHash, "InvalidArgument"},
		{"s3 hash of events", put, set("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-EVENTS"), UnsupportedPayload, "NotImplemented"},
		{"s3 hash removed", put, func(r *http.Request) { r.Header.Del("X-Amz-Content-Sha256") }, MissingPayloadHash, "InvalidRequest"},
		{"s3 path", put, target("/k", "/j"), Mismatch, noMatch},
		{"s3 path dots", put, target("/k", "/a/../k"), Mismatch, noMatch},
		{"s3 path slashes", put, target("/k", "//k"), Mismatch, noMatch},
		{"s3 metadata", put, set("X-Amz-Meta-A", "c"), Mismatch, noMatch},
		{"s3 metadata added", put, set("X-Amz-Meta-B", "c"), UnsignedHeaders, "AccessDenied"},
		{"s3 key", put, edit("Authorization", testID, "AKIAUNKNOWN"), UnknownKey, "InvalidAccessKeyId"},
		{"s3 token", put, both(edit("Authorization", "x-amz-meta-a", "x-amz-meta-a;x-amz-security-token"), set("X-Amz-Security-Token", "x")),
			InvalidToken, "InvalidToken"},
		{"s3 date removed", put, func(r *http.Request) { r.Header.Del("X-Amz-Date") }, BadDate, "AccessDenied"},
		{"s3 scope date", put, edit("Authorization", "/20250615/", "/20250616/"), BadScope, malformedHeader},
		{"s3 credential", put, edit("Authorization", "Credential=", "Credential=a/"), MalformedHeader, "IncompleteSignatureException"},
		{"s3 headers", put, edit("Authorization", "host;", "host;host;"), MalformedHeader, malformedHeader},
		{"s3 replay", replay(-16 * time.Minute)(put), set("X-Custom", "1"), Skewed, "RequestTimeTooSkewed"},
		{"s3 header and query", put, target("/k", "/k?X-Amz-Algorithm=x"), MultipleAuth, "InvalidArgument"},
		{"s3 presigned expires", s3URL, target("X-Amz-Expires=300", "X-Amz-Expires=301"), Mismatch, noMatch},
		{"s3 presigned expires removed", s3URL, target("X-Amz-Expires=300", "x=300"), MalformedQuery, malformedQuery},
		{"s3 presigned expires negative", s3URL, target("X-Amz-Expires=300", "X-Amz-Expires=-1"), MalformedQuery, malformedQuery},
		{"s3 presigned expires no number", s3URL, target("X-Amz-Expires=300", "X-Amz-Expires=1h"), MalformedQuery, malformedQuery},
		{"s3 presigned sigv4a", s3URL, target(algorithm, "AWS4-ECDSA-P256-SHA256"), MalformedQuery, malformedQuery},
		{"s3 presigned expired", replay(-301 * time.Second)(s3URL), set("X-Custom", "1"), Expired, "AccessDenied"},
		{"s3 presigned hash", s3URL, target("X-Amz-Expires=300", "X-Amz-Expires=300&X-Amz-Content-Sha256="+emptyHash), Mismatch, noMatch},
		{"s3 presigned streaming", s3URL, target("X-Amz-Expires=300", "X-Amz-Expires=300&X-Amz-Content-Sha256="+string(SignedChunks)),
			UnsupportedPayload, "NotImplemented"},
	}
	v := testVerifier(testNow)
	seen := map[string]bool{}
	for _, x := range tests {
		if seen[x.name] {
			t.Fatalf("two tests are named %q", x.name)
		}
		seen[x.name] = true
		t.Run(x.name, func(t *testing.T) {
			if x.from.at.IsZero() {
				if _, _, err := verifyAll(v, x.from.signed(t)); err != nil {
					t.Fatalf("refused before it is tampered with: %v", err)
				}
			}
			r := x.from.signed(t)
			x.do(r)
			_, _, err := verifyAll(v, r)
			wantRefusal(t, err, x.kind, x.code)
		})
	}
}

// TestUnsignedHeadersThatMayChange has what clients and proxies add after signing.
func TestUnsignedHeadersThatMayChange(t *testing.T) {
	r := order{method: "POST", url: postURL, body: "{}"}.signed(t)
	r.Header.Set("X-Amzn-Trace-Id", "Root=1")
	r.Header.Set("X-Amzn-Bedrock-AgentCore-Runtime-Session-Id", "s")
	r.Header.Set("User-Agent", "other")
	if _, _, err := verifyAll(testVerifier(testNow), r); err != nil {
		t.Fatal(err)
	}
}

func TestMessages(t *testing.T) {
	post := order{method: "POST", url: postURL, body: "{}"}
	late := post
	late.at = testNow.Add(-time.Hour)
	tests := []struct {
		name string
		from order
		do   func(*http.Request)
		want string
	}{
		{"expired", late, set("X-Custom", ""), "Signature expired: 20250615T113045Z is now earlier than 20250615T122545Z (20250615T123045Z - 5 min.)"},
		{"missing", post, func(r *http.Request) { r.Header.Del("Authorization") }, "Missing Authentication Token"},
		{"incomplete", post, both(set("Authorization", algorithm+" X=1"), func(r *http.Request) { r.Header.Del("X-Amz-Date") }),
			"Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. " +
				"Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."},
		{"key", post, edit("Authorization", testID, "AKIAUNKNOWN"), "The security token included in the request is invalid."},
		{"scope", post, edit("Authorization", "/20250615/", "/20250616/"),
			"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20250616' != '20250615', from '20250615T123045Z'."},
		{"host", post, edit("Authorization", "host;", ""), "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."},
		{"sigv4a", post, edit("Authorization", algorithm, "AWS4-ECDSA-P256-SHA256"),
			"Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256', please sign with 'AWS4-HMAC-SHA256'."},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			r := x.from.signed(t)
			x.do(r)
			_, err := testVerifier(testNow).Verify(r)
			if e := fault.From(err); e.Message != x.want {
				t.Errorf("message %q, want %q", e.Message, x.want)
			}
		})
	}
}

func TestKeyStoreFault(t *testing.T) {
	v := testVerifier(testNow)
	v.Keys = testKeys{fail: errors.New("disk is gone")}
	_, err := v.Verify(order{method: "GET", url: postURL}.signed(t))
	if e := fault.From(err); e.Code != fault.Internal || strings.Contains(e.Message, "disk") {
		t.Errorf("answer %s %q", e.Code, e.Message)
	}
}

func TestGuess(t *testing.T) {
	v := testVerifier(testNow)
	v.Guess = func(*http.Request) string { return "s3" }
	r := order{method: "GET", url: bucketURL}.signed(t)
	r.Header.Del("Authorization")
	_, err := v.Verify(r)
	wantRefusal(t, err, MissingAuth, "AccessDenied")
}

func TestScopeOf(t *testing.T) {
	want := Scope{Date: "20250615", Region: "us-west-2", Service: "bedrock-agentcore"}
	for _, presign := range []bool{false, true} {
		s, ok := ScopeOf(order{method: "GET", url: postURL, presign: presign}.signed(t))
		if !ok || s != want {
			t.Errorf("presigned %v: scope %v, %v", presign, s, ok)
		}
	}
	if s, ok := ScopeOf(wire(t, "GET", "/", "x", nil, nil)); ok {
		t.Errorf("scope %v of a request that has none", s)
	}
}

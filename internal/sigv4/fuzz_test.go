package sigv4

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// hostile is a request as net/http could hand it over, whatever its parts.
func hostile(method, target string, h http.Header, body []byte) *http.Request {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil
	}
	return &http.Request{Method: method, URL: u, RequestURI: target, Host: "x", Header: h, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body))}
}

// refused checks that nobody without the secret gets in, and that the answer is a coded one.
func refused(t *testing.T, r *http.Request) {
	t.Helper()
	_, _, err := verifyAll(testVerifier(testNow), r)
	if err == nil {
		t.Fatal("accepted without the secret")
	}
	e, coded := errors.AsType[*fault.Error](err)
	if _, ok := errors.AsType[*Failure](err); !ok || !coded || e.Message == "" || e.Code == "" {
		t.Fatalf("error %v", err)
	}
	if len(e.Message) > 2000 || strings.Contains(e.Error(), testSecret) {
		t.Fatalf("message %q", e.Message)
	}
}

func FuzzAuthorization(f *testing.F) {
	const good = algorithm + " Credential=" + testID + "/20250615/us-west-2/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature="
	f.Add(good+emptyHash, "20250615T123045Z", emptyHash)
	f.Add(algorithm+" Credential=a/b/c/d/e,SignedHeaders=;,Signature", "", "")
	f.Add("AWS4-ECDSA-P256-SHA256 Credential=a/20250615/s3/aws4_request", "x", string(UnsignedPayload))
	f.Add("AWS a:b", "", string(SignedTrailer))
	f.Add(algorithm+"  Credential==,,=, ,SignedHeaders=\xff", "20250615T123045Z", "")
	f.Fuzz(func(t *testing.T, authorization, date, hash string) {
		h := http.Header{"Authorization": {authorization}, "X-Amz-Date": {date}, "X-Amz-Content-Sha256": {hash}}
		refused(t, hostile("GET", "/a?b=c", h, []byte("body")))
		_, _ = ScopeOf(hostile("GET", "/", h, nil))
	})
}

func FuzzPresigned(f *testing.F) {
	f.Add("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + testID + "%2F20250615%2Fus-west-2%2Fs3%2Faws4_request&X-Amz-Date=20250615T123045Z" +
		"&X-Amz-Expires=300&X-Amz-SignedHeaders=host&X-Amz-Signature=" + emptyHash)
	f.Add("X-Amz-Signature=&X-Amz-Expires=-9223372036854775808")
	f.Add("X-Amz-Algorithm=%zz&%58-Amz-Credential=%2F%2F%2F%2F&X-Amz-Date")
	f.Fuzz(func(t *testing.T, query string) {
		r := hostile("GET", "/a", http.Header{}, nil)
		r.URL.RawQuery = query
		r.RequestURI += "?" + query
		refused(t, r)
	})
}

// FuzzChunks feeds hostile bodies to the chunk reader: nothing may panic, nothing signed is accepted without the key, and
// never more bytes than announced, nor fewer.
func FuzzChunks(f *testing.F) {
	_, doc := chunkedExample(true)
	f.Add(doc[len(doc)-400:], uint8(1), int64(10))
	f.Add([]byte("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"), uint8(2), int64(5))
	f.Add([]byte("0;chunk-signature="+emptyHash+"\r\n\r\n"), uint8(0), int64(0))
	f.Add([]byte("ffffffffffffffff\r\n"), uint8(2), int64(1))
	f.Fuzz(func(t *testing.T, body []byte, mode uint8, length int64) {
		m := []Payload{SignedChunks, SignedTrailer, UnsignedTrailer}[mode%3]
		trailer := "x-amz-checksum-crc32"
		if m == SignedChunks {
			trailer = ""
		}
		c, bad := newChunkReader(bytes.NewReader(body), max(0, length), m, trailer)
		if bad != nil {
			t.Fatal(bad)
		}
		c.signing = []byte("a key that the input cannot know")
		p, err := io.ReadAll(c)
		switch {
		case err != nil:
		case m != UnsignedTrailer:
			t.Fatalf("%s accepted without the key", m)
		case int64(len(p)) != max(0, length):
			t.Fatalf("%d bytes of %d", len(p), length)
		}
		if int64(len(p)) > max(0, length) {
			t.Fatalf("%d bytes, more than the %d announced", len(p), length)
		}
	})
}

// FuzzRoundTrip signs arbitrary requests with the Go SDK and verifies them; then it changes one thing and they must not verify.
func FuzzRoundTrip(f *testing.F) {
	f.Add("/a b/砂/%2F/../c//", "k=v&k=a+b&~=%2F", "  a   b ", []byte("{}"), false)
	f.Add("/", "", "", []byte{}, true)
	f.Add("/+:@&=$,;", "a-b=1&a%2Fb=2&a=3", "\x01", []byte("x"), true)
	f.Fuzz(func(t *testing.T, path, query, header string, body []byte, s3 bool) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		for _, name := range authNames {
			values.Del(name)
		}
		u := &url.URL{Scheme: "http", Host: "127.0.0.1:4566", Path: "/" + strings.TrimLeft(path, "/"), RawQuery: values.Encode()}
		r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, u.String(), bytes.NewReader(body))
		if err != nil {
			return
		}
		for i := range len(header) {
			if header[i] < ' ' || header[i] > '~' {
				return // net/http's client would not send it, or its server trim it
			}
		}
		r.Header.Set("X-Custom", header)
		sum := sha256.Sum256(body)
		hash, service := hex.EncodeToString(sum[:]), "bedrock-agentcore"
		if s3 {
			service = "s3"
			r.Header.Set("X-Amz-Content-Sha256", hash)
		}
		if err := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = s3 }).SignHTTP(context.Background(), permanent, r, hash, service,
			"us-west-2", testNow); err != nil {
			t.Fatal(err)
		}
		got := resend(t, r)
		_, p, err := verifyAll(testVerifier(testNow), got)
		if err != nil || !bytes.Equal(p, body) {
			t.Fatalf("%q?%q: payload %q, error %v", r.URL.EscapedPath(), r.URL.RawQuery, p, err)
		}
		for _, change := range []func(*http.Request){
			func(r *http.Request) { r.RequestURI = "/x" + r.RequestURI },
			func(r *http.Request) { r.URL.RawQuery += "&zz=1" },
			func(r *http.Request) { r.Header.Set("X-Custom", header+"x") },
			func(r *http.Request) {
				r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(append([]byte("x"), body...))), int64(len(body)+1)
			},
		} {
			changed := resend(t, r)
			change(changed)
			if _, _, err := verifyAll(testVerifier(testNow), changed); err == nil {
				t.Fatal("accepted after a change")
			}
		}
	})
}

// FuzzCanonical compares the canonical forms with what they are made of: encoding twice changes nothing, and no form loses a byte.
func FuzzCanonical(f *testing.F) {
	f.Add("/a%20b//c/../%2f%zz%", "b=2&a=1&&=&%=%41+")
	f.Fuzz(func(t *testing.T, path, query string) {
		for _, family := range []Family{JSON, S3} {
			for _, p := range canonicalPaths(path, family) {
				if strings.ContainsAny(p, "\n?&") && !strings.ContainsAny(path, "\n?&") {
					t.Fatalf("path %q becomes %q", path, p)
				}
			}
		}
		once := reencode(path, true, false)
		if again := reencode(once, true, false); again != once {
			t.Fatalf("%q becomes %q, then %q", path, once, again)
		}
		sorted := sortedQuery(query, false, true)
		if again := sortedQuery(sorted, false, true); again != sorted {
			t.Fatalf("%q becomes %q, then %q", query, sorted, again)
		}
		if n := normalise("/" + path); n[0] != '/' || normalise(n) != n {
			t.Fatalf("%q is normalised to %q", path, n)
		}
	})
}

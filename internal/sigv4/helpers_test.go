package sigv4

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// AWS's documented example credentials.
const (
	testID     = "AKIAIOSFODNN7EXAMPLE"
	testTempID = "ASIAIOSFODNN7EXAMPLE"
	testSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	testToken  = "FwoGZXIvYXdzEXAMPLE//token+with/odd=="
)

var testNow = time.Date(2025, 6, 15, 12, 30, 45, 0, time.UTC)

// testKeys has one permanent key, one temporary, and one that is past its time.
type testKeys struct{ fail error }

func (k testKeys) Lookup(_ context.Context, id, token string) (Key, error) {
	switch {
	case k.fail != nil:
		return Key{}, k.fail
	case id == testID && token == "", id == testTempID && token == testToken:
		return Key{Secret: testSecret, Principal: "arn:aws:iam::000000000000:root"}, nil
	case id == testTempID && token == "old":
		return Key{Secret: testSecret, Expires: testNow}, nil
	case id == testTempID && token == "older":
		return Key{}, fmt.Errorf("token: %w", ErrExpiredToken)
	case id == testID, id == testTempID:
		return Key{}, fmt.Errorf("key %s: %w", id, ErrInvalidToken)
	}
	return Key{}, ErrUnknownKey
}

func testVerifier(now time.Time) *Verifier {
	return &Verifier{Keys: testKeys{}, Now: func() time.Time { return now }}
}

// wire sends a request through net/http's own parser, so that tests see what a server sees. Header lines are written as given.
func wire(t testing.TB, method, target, host string, headers [][2]string, body []byte) *http.Request {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, host)
	chunked, length := false, false
	for _, h := range headers {
		chunked = chunked || strings.EqualFold(h[0], "Transfer-Encoding")
		length = length || strings.EqualFold(h[0], "Content-Length")
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	switch {
	case chunked:
		fmt.Fprintf(&b, "\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	case length || len(body) == 0:
		fmt.Fprintf(&b, "\r\n%s", body)
	default:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	}
	return readRequest(t, b.Bytes())
}

func readRequest(t testing.TB, wire []byte) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
	if err != nil {
		t.Fatalf("net/http refuses the request itself: %v", err)
	}
	return r
}

// resend writes a client's request to the wire and reads it as a server would.
func resend(t testing.TB, r *http.Request) *http.Request {
	t.Helper()
	if r.GetBody != nil {
		fresh, err := r.GetBody()
		if err != nil {
			t.Fatal(err)
		}
		r.Body = fresh
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return readRequest(t, b.Bytes())
}

// verifyAll verifies a request and reads its whole payload.
func verifyAll(v *Verifier, r *http.Request) (*Identity, []byte, error) {
	id, err := v.Verify(r)
	if err != nil {
		return nil, nil, err
	}
	p, err := id.Body.Bytes(200 << 20)
	return id, p, err
}

func wantRefusal(t testing.TB, err error, kind Kind, code fault.Code) {
	t.Helper()
	if err == nil {
		t.Fatalf("accepted, want %s (%s)", code, kind)
	}
	e, ok := errors.AsType[*fault.Error](err)
	if !ok {
		t.Fatalf("error %v (%T) is not coded", err, err)
	}
	f, ok := errors.AsType[*Failure](err)
	if !ok || f.Kind != kind || e.Code != code {
		t.Fatalf("refused with %v, want kind %q and code %s", err, kind, code)
	}
	if e.Message == "" || f.Status < 400 {
		t.Fatalf("message %q, status %d", e.Message, f.Status)
	}
	if text := err.Error() + e.Message; strings.Contains(text, testSecret) || strings.Contains(text, testToken) {
		t.Fatalf("the error tells a secret: %s", text)
	}
}

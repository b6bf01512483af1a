package sigv4

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"go.uber.org/goleak"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestServer has a real server and clients over HTTP/1.1 and cleartext HTTP/2, with and without a Content-Length.
func TestServer(t *testing.T) {
	v := testVerifier(testNow)
	v.MaxBody = func(Scope) int64 { return 4 << 20 }
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, p, err := verifyAll(v, r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		again, _ := io.ReadAll(r.Body)
		sum := sha256.Sum256(p)
		_, _ = fmt.Fprintf(w, "%d %d %x %d", len(p), id.Body.Length(), sum, len(again))
	}))
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	defer srv.Close()
	body := bytes.Repeat([]byte("0123456789abcdef"), 3<<16)
	sum := sha256.Sum256(body)
	for _, h2 := range []bool{false, true} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("http2=%v chunked=%v", h2, chunked), func(t *testing.T) {
				tr := &http.Transport{Protocols: new(http.Protocols)}
				defer tr.CloseIdleConnections()
				tr.Protocols.SetHTTP1(!h2)
				tr.Protocols.SetUnencryptedHTTP2(h2)
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/a%2Fb//c/%E7%A0%82?x=a%20b&x=%2F&~", bytes.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				if chunked {
					r.ContentLength, r.Body = -1, io.NopCloser(bytes.NewReader(body))
				}
				if err := v4.NewSigner().SignHTTP(t.Context(), permanent, r, hex.EncodeToString(sum[:]), "bedrock-agentcore", "us-west-2", testNow); err != nil {
					t.Fatal(err)
				}
				res, err := tr.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				got, err := io.ReadAll(res.Body)
				if err != nil {
					t.Fatal(err)
				}
				if want := fmt.Sprintf("%d %d %x %d", len(body), len(body), sum, len(body)); string(got) != want {
					t.Errorf("answer %q, want %q", got, want)
				}
			})
		}
	}
}

func TestBodyLimits(t *testing.T) {
	post := order{method: "POST", url: postURL, body: strings.Repeat("x", 1000)}
	withHash := post
	withHash.sendHash = true
	s3 := order{method: "PUT", url: bucketURL, service: "s3", body: post.body}
	unknownLength := func(r *http.Request) {
		r.ContentLength = -1
		r.Header.Del("Content-Length")
	}
	limited := func(r *http.Request) { r.Body = http.MaxBytesReader(httptest.NewRecorder(), r.Body, 999) }
	tests := []struct {
		name  string
		from  order
		do    func(*http.Request)
		limit int64
		code  fault.Code // "" means accepted
	}{
		{"hashed here, fits", post, nil, 1000, ""},
		{"hashed here, too large", post, nil, 999, fault.RequestTooLarge},
		{"hash given, fits", withHash, nil, 1000, ""},
		{"hash given, too large", withHash, nil, 999, fault.RequestTooLarge},
		{"s3 fits", s3, nil, 1000, ""},
		{"s3 too large", s3, nil, 999, "EntityTooLarge"},
		{"s3 without the length that was signed", s3, unknownLength, 1000, "SignatureDoesNotMatch"},
		{"limited by net/http", post, limited, 1000, fault.RequestTooLarge},
		{"limited by net/http, hash given", withHash, limited, 1000, fault.RequestTooLarge},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			v := testVerifier(testNow)
			v.MaxBody = func(s Scope) int64 { return x.limit }
			r := x.from.signed(t)
			if x.do != nil {
				x.do(r)
			}
			id, err := v.Verify(r)
			if err == nil {
				var p []byte
				p, err = id.Body.Bytes(x.limit)
				if err == nil && string(p) != post.body {
					t.Fatalf("payload %q", p)
				}
			}
			switch {
			case x.code == "" && err != nil:
				t.Fatal(err)
			case x.code != "" && !fault.Is(err, x.code):
				t.Fatalf("error %v, want %s", err, x.code)
			}
		})
	}
}

// TestBodyCut has connections that end before the body does.
func TestBodyCut(t *testing.T) {
	for name, x := range map[string]struct {
		from order
		code fault.Code
	}{
		"hashed here": {order{method: "POST", url: postURL, body: "0123456789"}, fault.Validation},
		"hash given":  {order{method: "POST", url: postURL, body: "0123456789", sendHash: true}, fault.Validation},
		"sts":         {order{method: "POST", url: postURL, service: "sts", body: "0123456789"}, "MalformedInput"},
		"s3":          {order{method: "PUT", url: bucketURL, service: "s3", body: "0123456789"}, "IncompleteBody"},
		"s3 unsigned": {order{method: "PUT", url: bucketURL, service: "s3", body: "0123456789", hash: string(UnsignedPayload)}, "IncompleteBody"},
	} {
		t.Run(name, func(t *testing.T) {
			r := x.from.signed(t)
			var b bytes.Buffer
			_ = r.Write(&b)
			cutShort := bytes.TrimSuffix(b.Bytes(), []byte("789"))
			r = readRequest(t, cutShort)
			_, _, err := verifyAll(testVerifier(testNow), r)
			wantRefusal(t, err, IncompleteBody, x.code)
		})
	}
}

// TestLastByteWaits shows that who reads exactly the told length learns of a payload that is not the one signed.
func TestLastByteWaits(t *testing.T) {
	r := order{method: "PUT", url: bucketURL, service: "s3", body: "0123456789"}.signed(t)
	r.Body = io.NopCloser(strings.NewReader("0123456780"))
	id, err := testVerifier(testNow).Verify(r)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.ReadFull(id.Body, make([]byte, 10))
	wantRefusal(t, err, PayloadMismatch, "XAmzContentSHA256Mismatch")
	if n == 10 {
		t.Error("all bytes were handed out")
	}
	if _, again := id.Body.Read(make([]byte, 1)); !errors.Is(again, err) {
		t.Errorf("the error does not stay: %v", again)
	}
}

func TestReadAllAllocates(t *testing.T) {
	for _, n := range []int{0, 1, firstBuffer - 1, firstBuffer, firstBuffer + 1, 5 << 20} {
		for _, told := range []bool{false, true} {
			length := int64(-1)
			if told {
				length = int64(n)
			}
			p, err := readAll(&drip{left: n}, length, 5<<20)
			if err != nil || len(p) != n {
				t.Errorf("%d bytes, told %v: %d, %v", n, told, len(p), err)
			}
			if told && cap(p) > n+n/8+512 || cap(p) > n+n/2+2*firstBuffer {
				t.Errorf("%d bytes, told %v: a buffer of %d", n, told, cap(p))
			}
		}
	}
	if _, err := readAll(&drip{left: 5<<20 + 1}, -1, 5<<20); err == nil {
		t.Error("more than the limit is read")
	}
	// A length that is only told costs its sender bytes before it costs memory.
	if p, err := readAll(&drip{left: 10, err: io.ErrUnexpectedEOF}, 1<<40, 1<<41); err == nil {
		t.Errorf("%d bytes of a body that was cut", len(p))
	}
}

// drip gives out bytes in odd pieces.
type drip struct {
	left int
	err  error
}

func (d *drip) Read(p []byte) (int, error) {
	if d.left == 0 {
		if d.err != nil {
			return 0, d.err
		}
		return 0, io.EOF
	}
	n := min(len(p), d.left, 12345)
	d.left -= n
	return n, nil
}

func TestConcurrent(t *testing.T) {
	v := testVerifier(testNow)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				o := order{method: "POST", url: postURL, body: "{}", service: fmt.Sprintf("service-%d", (i*j)%150)}
				if _, _, err := verifyAll(v, o.signed(t)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestKeyCache(t *testing.T) {
	var c keyCache
	key := func(i int) cacheKey { return cacheKey{secret: testSecret, scope: Scope{Service: fmt.Sprint(i)}} }
	for i := range 10 * keysPerGeneration {
		c.put(key(i), []byte{byte(i)})
		if k, ok := c.get(key(0)); !ok || k[0] != 0 { // what is in use stays
			t.Fatalf("lost after %d", i)
		}
	}
	if n := len(c.young) + len(c.old); n > 2*keysPerGeneration {
		t.Errorf("%d keys", n)
	}
	if _, ok := c.get(key(1)); ok {
		t.Error("a key that nobody asked for is kept")
	}
	// A request that does not verify leaves nothing behind.
	v := testVerifier(testNow)
	r := order{method: "GET", url: postURL}.signed(t)
	r.Method = "PUT"
	if _, err := v.Verify(r); err == nil || len(v.cache.young) != 0 {
		t.Errorf("error %v, %d keys", err, len(v.cache.young))
	}
}

// TestKeyStoreContext shows that the store gets the request's own context.
func TestKeyStoreContext(t *testing.T) {
	type mark struct{}
	v := testVerifier(testNow)
	v.Keys = keyFunc(func(ctx context.Context) error {
		if ctx.Value(mark{}) == nil {
			return net.ErrClosed
		}
		return ErrUnknownKey
	})
	r := order{method: "GET", url: postURL}.signed(t)
	_, err := v.Verify(r.WithContext(context.WithValue(t.Context(), mark{}, true)))
	wantRefusal(t, err, UnknownKey, fault.UnrecognizedClient)
}

type keyFunc func(context.Context) error

func (f keyFunc) Lookup(ctx context.Context, _, _ string) (Key, error) { return Key{}, f(ctx) }

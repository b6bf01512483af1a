package sigv4

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

type vector struct {
	Name    string
	Method  string
	Host    string
	Target  string
	Headers [][2]string
	Body    []byte
	Gzip    []byte
}

func loadVectors(t testing.TB) (time.Time, []vector) {
	t.Helper()
	data, err := os.ReadFile("testdata/botocore.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Time    string
		Vectors []vector
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	now, err := time.Parse(longDate, file.Time)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range file.Vectors {
		if v.Gzip == nil {
			continue
		}
		z, err := gzip.NewReader(bytes.NewReader(v.Gzip))
		if err != nil {
			t.Fatal(err)
		}
		if file.Vectors[i].Body, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	return now, file.Vectors
}

// TestBotocore verifies requests that botocore signed: testdata/botocore_vectors.py says how they were made.
func TestBotocore(t *testing.T) {
	now, vectors := loadVectors(t)
	if len(vectors) < 100 {
		t.Fatalf("%d vectors", len(vectors))
	}
	v := testVerifier(now)
	for _, x := range vectors {
		t.Run(x.Name, func(t *testing.T) {
			r := wire(t, x.Method, x.Target, x.Host, x.Headers, x.Body)
			id, body, err := verifyAll(v, r)
			if err != nil {
				t.Fatal(err)
			}
			if id.Principal != "arn:aws:iam::000000000000:root" || id.Scope.Region != "us-west-2" || !id.Time.Equal(now) {
				t.Errorf("identity %+v", id)
			}
			if id.Payload == UnsignedTrailer {
				if n := r.Header.Get(decodedLength); n == "" || bytes.Contains(body, []byte(checksumPrefix)) {
					t.Errorf("payload of %d bytes is not decoded", len(body))
				}
			} else if !bytes.Equal(body, x.Body) {
				t.Errorf("payload %q, want %q", body, x.Body)
			}
			if id.Presigned != strings.Contains(x.Target, "X-Amz-Signature=") {
				t.Errorf("presigned: %v", id.Presigned)
			}
		})
	}
}

// TestBotocoreTampered turns one byte of each signature, target and body of the vectors: none may pass.
func TestBotocoreTampered(t *testing.T) {
	now, vectors := loadVectors(t)
	v := testVerifier(now)
	for _, x := range vectors {
		t.Run(x.Name, func(t *testing.T) {
			y := x
			y.Target = "/z" + x.Target
			if _, _, err := verifyAll(v, wire(t, y.Method, y.Target, y.Host, y.Headers, y.Body)); err == nil {
				t.Error("another path passes")
			}
			y = x
			y.Target += map[bool]string{true: "&", false: "?"}[strings.Contains(x.Target, "?")] + "z=1"
			if _, _, err := verifyAll(v, wire(t, y.Method, y.Target, y.Host, y.Headers, y.Body)); err == nil {
				t.Error("another query passes")
			}
			y = x
			if _, _, err := verifyAll(v, wire(t, "TRACE", y.Target, y.Host, y.Headers, y.Body)); err == nil {
				t.Error("another method passes")
			}
			if _, _, err := verifyAll(v, wire(t, y.Method, y.Target, "x"+y.Host, y.Headers, y.Body)); err == nil {
				t.Error("another host passes")
			}
			unsigned := strings.Contains(x.Target, "X-Amz-Signature=") && strings.Contains(x.Target, "%2Fs3%2F")
			for _, h := range x.Headers {
				unsigned = unsigned || h[1] == string(UnsignedPayload)
			}
			if len(x.Body) == 0 || unsigned {
				return
			}
			y.Body = bytes.Clone(x.Body)
			y.Body[len(y.Body)/2] ^= 1
			if _, _, err := verifyAll(v, wire(t, y.Method, y.Target, y.Host, y.Headers, y.Body)); err == nil {
				t.Error("another body passes")
			}
		})
	}
}

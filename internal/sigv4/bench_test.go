package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
)

// BenchmarkVerify is a small request, as the clients of AgentCore send it: JSON without a payload hash. uncached derives the signing key anew.
func BenchmarkVerify(b *testing.B) {
	o := order{method: "POST", url: postURL, body: `{"name":"executeCode","arguments":{"code":"print(1)"}}`, creds: temporary}
	for _, name := range []string{"cached", "uncached"} {
		b.Run(name, func(b *testing.B) {
			v := testVerifier(testNow)
			r := o.signed(b)
			text := []byte(o.body)
			b.ReportAllocs()
			for b.Loop() {
				if name == "uncached" {
					v.cache = keyCache{}
				}
				r.Body = io.NopCloser(bytes.NewReader(text))
				if _, err := v.Verify(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkKey(b *testing.B) {
	k := cacheKey{secret: testSecret, scope: testScope}
	b.Run("derive", func(b *testing.B) {
		for b.Loop() {
			DeriveSigningKey(testSecret, testScope)
		}
	})
	b.Run("cache", func(b *testing.B) {
		var c keyCache
		c.put(k, DeriveSigningKey(testSecret, testScope))
		for b.Loop() {
			c.get(k)
		}
	})
	b.Run("cache, parallel", func(b *testing.B) {
		var c keyCache
		c.put(k, DeriveSigningKey(testSecret, testScope))
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				c.get(k)
			}
		})
	})
}

// BenchmarkBody is 100 MB through each payload mode; "buffered" is what a client without a payload hash costs.
func BenchmarkBody(b *testing.B) {
	const size = 100 << 20
	big := strings.Repeat("0123456789abcdef", size/16)
	sum := sha256.Sum256([]byte(big))
	run := func(name string, f func(b *testing.B, v *Verifier)) {
		b.Run(name, func(b *testing.B) {
			v := testVerifier(testNow)
			v.MaxBody = func(Scope) int64 { return size }
			b.SetBytes(size)
			b.ReportAllocs()
			f(b, v)
		})
	}
	run("hash", func(b *testing.B, v *Verifier) {
		r := order{method: "PUT", url: bucketURL, service: "s3", hash: hex.EncodeToString(sum[:]), body: big}.signed(b)
		for b.Loop() {
			r.Body = io.NopCloser(strings.NewReader(big))
			drain(b, v, r)
		}
	})
	run("buffered", func(b *testing.B, v *Verifier) {
		r := order{method: "POST", url: postURL, body: big}.signed(b)
		for b.Loop() {
			r.Body = io.NopCloser(strings.NewReader(big))
			drain(b, v, r)
		}
	})
	var chunks []string
	for i := 0; i < size; i += 64 << 10 {
		chunks = append(chunks, big[i:i+64<<10])
	}
	for _, mode := range []Payload{SignedChunks, SignedTrailer, UnsignedTrailer} {
		u := upload{mode: mode, chunks: chunks}
		if mode != SignedChunks {
			u.trailer = "x-amz-checksum-crc64nvme"
		}
		run(string(mode), func(b *testing.B, v *Verifier) {
			r := u.request(b)
			encoded, err := io.ReadAll(r.Body)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				r.Body = io.NopCloser(bytes.NewReader(encoded))
				drain(b, v, r)
			}
		})
	}
}

func drain(b *testing.B, v *Verifier, r *http.Request) {
	b.Helper()
	id, err := v.Verify(r)
	if err != nil {
		b.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, id.Body); err != nil || n != id.Body.Length() {
		b.Fatalf("%d bytes, %v", n, err)
	}
}

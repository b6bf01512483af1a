package s3_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
)

// TestEarlyAnswers: an answer that comes before the end of a large body reaches the client.
func TestEarlyAnswers(t *testing.T) {
	s, role := limited(t)
	large := bytes.Repeat([]byte("x"), 20<<20)
	for name, c := range map[string]struct {
		code string
		call func() error
	}{
		"not allowed": {"AccessDenied", func() error {
			_, err := role.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String("theirs"), Key: aws.String("k"), Body: bytes.NewReader(large)})
			return err
		}},
		"no bucket": {"NoSuchBucket", func() error {
			_, err := s.admin().PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String("nowhere"), Key: aws.String("k"), Body: bytes.NewReader(large)})
			return err
		}},
		"no upload": {"NoSuchUpload", func() error {
			_, err := role.UploadPart(t.Context(), &awss3.UploadPartInput{Bucket: aws.String("mine"), Key: aws.String("k"), PartNumber: aws.Int32(1), UploadId: aws.String("x"), Body: bytes.NewReader(large)})
			return err
		}},
		"there already": {"PreconditionFailed", func() error {
			_, err := role.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String("mine"), Key: aws.String("own"), IfNoneMatch: aws.String("*"), Body: bytes.NewReader(large)})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, c.call(), c.code) })
	}
}

// TestTrapTruncatedBody: a client that goes away in the middle of a body that is not signed leaves the old object, in any mode. versitygw would store what came.
func TestTrapTruncatedBody(t *testing.T) {
	s, role := limited(t)
	up, err := role.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: aws.String("mine"), Key: aws.String("parts")})
	if err != nil {
		t.Fatal(err)
	}
	const id, token = "ASIALIMITED000000000", "session-token"
	later := time.Now().Add(time.Hour)
	unsigned := signedRequest(t, s, id, http.MethodPut, "/mine/own", func(h http.Header) {
		h.Set("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
		h.Set("X-Amz-Decoded-Content-Length", "10000000")
		h.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
		h.Set("X-Amz-Security-Token", token)
	})
	chunk := "40000\r\n" + strings.Repeat("x", 256<<10) + "\r\n"
	for name, c := range map[string]struct {
		path, body string
		header     http.Header
	}{
		"unsigned payload":   {presignV2("PUT", "/mine/own", id, token, later, ""), strings.Repeat("x", 1<<20), nil},
		"chunks":             {"/mine/own", chunk + chunk + chunk, unsigned.Header},
		"chunks, and a half": {"/mine/own", chunk + chunk + chunk[:1000], unsigned.Header},
		"a part":             {presignV2("PUT", "/mine/parts", id, token, later, "partNumber=1&uploadId="+*up.UploadId), strings.Repeat("x", 1<<20), nil},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", s.http.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			var head bytes.Buffer
			fmt.Fprintf(&head, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 10000100\r\n", c.path, s.http.Listener.Addr())
			c.header.Write(&head)
			if _, err := conn.Write(append(head.Bytes(), "\r\n"+c.body...)); err != nil {
				t.Fatal(err)
			}
			conn.Close()
			s.restart() // waits for the request to end
			s.want(s.admin(), "mine", "own", "public knowledge")
			parts, err := s.admin().ListParts(t.Context(), &awss3.ListPartsInput{Bucket: aws.String("mine"), Key: aws.String("parts"), UploadId: up.UploadId})
			if err != nil || len(parts.Parts) != 0 {
				t.Fatalf("parts: %+v, %v", parts, err)
			}
		})
	}
}

// TestAttackLargeDocument: what is not an object's data is held in memory, so it is bounded.
func TestAttackLargeDocument(t *testing.T) {
	s, _ := limited(t)
	for _, path := range []string{"/mine?delete", "/mine?tagging", "/mine/own?tagging", "/mine/own?acl", "/mine/k?uploads"} {
		code, body := s.do("POST", path, "", nil, io.MultiReader(bytes.NewReader(make([]byte, 6<<20))))
		if code < 400 || code >= 500 {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

// TestAttackWrongPayloadHash: a body that is not the one that was signed is not stored.
func TestAttackWrongPayloadHash(t *testing.T) {
	s, _ := limited(t)
	r := signedRequest(t, s, "AKIAADMIN00000000000", http.MethodPut, "/mine/own")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader("forged")), 6
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "XAmzContentSHA256Mismatch") {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	s.want(s.admin(), "mine", "own", "public knowledge")
}

// TestSidecarMetadata is a data folder without extended attributes.
func TestSidecarMetadata(t *testing.T) {
	s := &server{t: t, authority: newAuthority(), dir: t.TempDir()}
	if err := os.Mkdir(filepath.Join(s.dir, "sidecar"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.open()
	t.Cleanup(s.close)
	c := s.admin()
	s.bucket(c, "sidecar")
	_, err := c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String("sidecar"), Key: aws.String("d/k"), Body: strings.NewReader("v"), Metadata: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	s.restart()
	head, err := s.admin().HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String("sidecar"), Key: aws.String("d/k")})
	if err != nil || head.Metadata["a"] != "b" {
		t.Fatalf("%+v, %v", head, err)
	}
	s.want(s.admin(), "sidecar", "d/k", "v")
}

// TestStaleSettings: what a crash left of a deleted bucket is not the next bucket's.
func TestStaleSettings(t *testing.T) {
	s := start(t)
	s.bucket(s.admin(), "stale")
	s.close()
	if err := os.RemoveAll(filepath.Join(s.dir, "buckets", "stale")); err != nil {
		t.Fatal(err)
	}
	s.open()
	if _, err := s.gateway.Owns(t.Context(), "stale"); err == nil {
		t.Fatal("a bucket without a folder has an owner")
	}
	s.authority.add("AKIAOTHER00000000000", "", "111111111111", "other", "* *")
	s.bucket(s.as("AKIAOTHER00000000000"), "stale")
	if owner, _ := s.gateway.Owns(t.Context(), "stale"); owner != "111111111111" {
		t.Fatalf("the owner is %q", owner)
	}
}

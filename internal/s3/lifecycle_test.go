package s3_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
)

// waitingBody gives its first half, then waits for a sign.
type waitingBody struct {
	first, second io.Reader
	half          chan struct{} // closed when the first half is taken
	sign          chan struct{}
	told          bool
}

// Read implements io.Reader.
func (b *waitingBody) Read(p []byte) (int, error) {
	if n, err := b.first.Read(p); !errors.Is(err, io.EOF) {
		return n, err
	}
	if !b.told {
		b.told = true
		close(b.half)
		<-b.sign
	}
	return b.second.Read(p)
}

// A bucket that is deleted while a body comes does not come back with it, and its name is free.
func TestABucketIsDeletedUnderAWrite(t *testing.T) {
	for _, what := range []string{"object", "part"} {
		t.Run(what, func(t *testing.T) {
			s := start(t)
			c, bucket, key := s.admin(), aws.String("gone"), aws.String("a/b/c")
			s.bucket(c, *bucket)
			p := awss3.NewPresignClient(c)
			request, err := p.PresignPutObject(t.Context(), &awss3.PutObjectInput{Bucket: bucket, Key: key})
			if what == "part" {
				up, err2 := c.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
				if err2 != nil {
					t.Fatal(err2)
				}
				request, err = p.PresignUploadPart(t.Context(), &awss3.UploadPartInput{Bucket: bucket, Key: key, UploadId: up.UploadId, PartNumber: aws.Int32(1)})
			}
			if err != nil {
				t.Fatal(err)
			}
			half := bytes.Repeat([]byte("x"), 1<<20)
			body := &waitingBody{first: bytes.NewReader(half), second: bytes.NewReader(half), half: make(chan struct{}), sign: make(chan struct{})}
			status := make(chan int, 1)
			go func() {
				defer close(status)
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, request.URL, body)
				if err != nil {
					t.Error(err)
					return
				}
				r.ContentLength = int64(2 * len(half))
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				_ = resp.Body.Close()
				status <- resp.StatusCode
			}()
			<-body.half
			if _, err := c.DeleteBucket(t.Context(), &awss3.DeleteBucketInput{Bucket: bucket}); err != nil {
				t.Fatal(err)
			}
			close(body.sign)
			if got := <-status; got != http.StatusNotFound {
				t.Errorf("the write was answered with %d", got)
			}
			for _, folder := range []string{"buckets", "versions"} {
				if _, err := os.Stat(filepath.Join(s.dir, folder, *bucket)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("in %s there is a folder of the bucket: %v", folder, err)
				}
			}
			s.bucket(c, *bucket)
			if list, err := c.ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: bucket}); err != nil || len(list.Contents) != 0 {
				t.Errorf("the new bucket: %+v %v", list, err)
			}
		})
	}
}

// What a crash in the middle of that leaves is uploads without a bucket; objects without one were put there by hand, and are not removed.
func TestALeftFolderIsClearedOfUploadsOnly(t *testing.T) {
	s := start(t)
	folder := filepath.Join(s.dir, "buckets", "left")
	if err := os.MkdirAll(filepath.Join(folder, ".sgwtmp", "multipart", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.bucket(s.admin(), "left")
	folder = filepath.Join(s.dir, "buckets", "by-hand")
	if err := os.MkdirAll(filepath.Join(folder, ".sgwtmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "object"), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := s.admin().CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String("by-hand"), CreateBucketConfiguration: location(region)})
	wantCode(t, err, "InternalError")
	if got, err := os.ReadFile(filepath.Join(folder, "object")); err != nil || string(got) != "precious" {
		t.Errorf("%q %v", got, err)
	}
}

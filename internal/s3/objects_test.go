package s3_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func TestObjects(t *testing.T) {
	s := start(t)
	c, ctx := s.admin(), t.Context()
	s.bucket(c, "objects")
	keys := []string{"a", "dir/b c+d", "dir/ü%41&=?#", "dir/sub/deep", "x'\"<>"}
	for _, k := range keys {
		s.put(c, "objects", k, "content of "+k)
		s.want(c, "objects", k, "content of "+k)
	}
	out, err := c.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: aws.String("objects"), Prefix: aws.String("dir/"), Delimiter: aws.String("/")})
	if err != nil || len(out.Contents) != 2 || len(out.CommonPrefixes) != 1 {
		t.Fatalf("list: %+v, %v", out, err)
	}
	head, err := c.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: aws.String("objects"), Key: aws.String("a")})
	if err != nil || *head.ContentLength != 12 || head.ServerSideEncryption != types.ServerSideEncryptionAes256 {
		t.Fatalf("head: %+v, %v", head, err)
	}
	part, err := c.GetObject(ctx, &awss3.GetObjectInput{Bucket: aws.String("objects"), Key: aws.String("a"), Range: aws.String("bytes=3-6")})
	if err != nil {
		t.Fatal(err)
	}
	defer part.Body.Close()
	if b, _ := io.ReadAll(part.Body); string(b) != "tent" {
		t.Fatalf("range is %q", b)
	}
	_, err = c.PutObject(ctx, &awss3.PutObjectInput{Bucket: aws.String("objects"), Key: aws.String("a"), IfNoneMatch: aws.String("*"), Body: strings.NewReader("x")})
	wantCode(t, err, "PreconditionFailed")
	_, err = c.GetObject(ctx, &awss3.GetObjectInput{Bucket: aws.String("objects"), Key: aws.String("missing")})
	wantCode(t, err, "NoSuchKey")
	_, err = c.CopyObject(ctx, &awss3.CopyObjectInput{Bucket: aws.String("objects"), Key: aws.String("copy"), CopySource: aws.String("objects/dir/b%20c%2Bd")})
	if err != nil {
		t.Fatal(err)
	}
	s.want(c, "objects", "copy", "content of dir/b c+d")
	del := &types.Delete{}
	for _, k := range append(keys, "copy") {
		del.Objects = append(del.Objects, types.ObjectIdentifier{Key: aws.String(k)})
	}
	gone, err := c.DeleteObjects(ctx, &awss3.DeleteObjectsInput{Bucket: aws.String("objects"), Delete: del})
	if err != nil || len(gone.Deleted) != len(keys)+1 || len(gone.Errors) > 0 {
		t.Fatalf("delete: %+v, %v", gone, err)
	}
	if _, err := c.DeleteBucket(ctx, &awss3.DeleteBucketInput{Bucket: aws.String("objects")}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.gateway.Owns(ctx, "objects"); err == nil {
		t.Error("the deleted bucket still has an owner")
	}
}

func TestTagsMetadataAndVersions(t *testing.T) {
	s := start(t)
	c, ctx := s.admin(), t.Context()
	s.bucket(c, "versions")
	b := aws.String("versions")
	_, err := c.PutBucketVersioning(ctx, &awss3.PutBucketVersioningInput{Bucket: b, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.PutObject(ctx, &awss3.PutObjectInput{Bucket: b, Key: aws.String("k"), Body: strings.NewReader("one"), Tagging: aws.String("a=1&b=2"),
		Metadata: map[string]string{"long": strings.Repeat("m", 1500)}})
	if err != nil || first.VersionId == nil {
		t.Fatalf("put: %+v, %v", first, err)
	}
	s.put(c, "versions", "k", "two")
	if _, err := c.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: b, Key: aws.String("k")}); err != nil {
		t.Fatal(err)
	}
	list, err := c.ListObjectVersions(ctx, &awss3.ListObjectVersionsInput{Bucket: b})
	if err != nil || len(list.Versions) != 2 || len(list.DeleteMarkers) != 1 {
		t.Fatalf("versions: %+v, %v", list, err)
	}
	old, err := c.GetObject(ctx, &awss3.GetObjectInput{Bucket: b, Key: aws.String("k"), VersionId: first.VersionId})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Body.Close()
	if body, _ := io.ReadAll(old.Body); string(body) != "one" || len(old.Metadata["long"]) != 1500 {
		t.Fatalf("old version is %q with %d metadata", body, len(old.Metadata["long"]))
	}
	_, err = c.CopyObject(ctx, &awss3.CopyObjectInput{Bucket: b, Key: aws.String("copy"), CopySource: aws.String("versions/k?versionId=" + *first.VersionId)})
	if err != nil {
		t.Fatal(err)
	}
	s.want(c, "versions", "copy", "one")
	tags, err := c.GetObjectTagging(ctx, &awss3.GetObjectTaggingInput{Bucket: b, Key: aws.String("copy")})
	if err != nil || len(tags.TagSet) != 2 {
		t.Fatalf("tags: %+v, %v", tags, err)
	}
}

func TestMultipartSurvivesARestart(t *testing.T) {
	s := start(t)
	c, ctx := s.admin(), t.Context()
	s.bucket(c, "multipart")
	b, k := aws.String("multipart"), aws.String("large")
	up, err := c.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: b, Key: k})
	if err != nil {
		t.Fatal(err)
	}
	parts := [][]byte{make([]byte, 5<<20), make([]byte, 5<<20), []byte("end")}
	var done []types.CompletedPart
	for i, p := range parts {
		if i < 2 {
			rand.Read(p)
		}
		if i == 1 {
			s.restart()
			c = s.admin()
		}
		out, err := c.UploadPart(ctx, &awss3.UploadPartInput{Bucket: b, Key: k, UploadId: up.UploadId, PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(p)})
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, types.CompletedPart{ETag: out.ETag, PartNumber: aws.Int32(int32(i + 1)), ChecksumCRC32: out.ChecksumCRC32})
	}
	_, err = c.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{Bucket: b, Key: k, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.get(c, "multipart", "large")
	if err != nil || got != string(bytes.Join(parts, nil)) {
		t.Fatalf("the object has %d bytes and is not what was sent (%v)", len(got), err)
	}
}

func TestPresigned(t *testing.T) {
	s := start(t)
	s.authority.add("ASIASESSION000000000", "tökén/+=", account, "session", "* *")
	c := s.as("ASIASESSION000000000")
	s.bucket(c, "presigned")
	p := awss3.NewPresignClient(c)
	put, err := p.PresignPutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String("presigned"), Key: aws.String("a b"), Metadata: map[string]string{"x": "y"}})
	if err != nil {
		t.Fatal(err)
	}
	send := func(method, url string, header http.Header, body string) (int, string) {
		r, _ := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		r.Header = header.Clone()
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	if code, body := send("PUT", put.URL, put.SignedHeader, "presigned body"); code != 200 {
		t.Fatalf("put: %d %s", code, body)
	}
	get, err := p.PresignGetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String("presigned"), Key: aws.String("a b")})
	if err != nil {
		t.Fatal(err)
	}
	if code, body := send("GET", get.URL, get.SignedHeader, ""); code != 200 || body != "presigned body" {
		t.Fatalf("get: %d %s", code, body)
	}
	head, err := c.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String("presigned"), Key: aws.String("a b")})
	if err != nil || head.Metadata["x"] != "y" {
		t.Fatalf("metadata: %v, %v", head, err)
	}
	if code, body := send("GET", strings.Replace(get.URL, "a%20b", "other", 1), get.SignedHeader, ""); code != 403 || !strings.Contains(body, "SignatureDoesNotMatch") {
		t.Fatalf("another key with the same signature: %d %s", code, body)
	}
}

// unseekable makes the SDK send aws-chunked with a trailing checksum.
type unseekable struct{ io.Reader }

func TestTrailingChecksums(t *testing.T) {
	s := start(t)
	c := s.admin()
	s.bucket(c, "trailers")
	tlsServer := s.tls()
	body := strings.Repeat("0123456789abcdef", 20_000)
	for _, algorithm := range []types.ChecksumAlgorithm{types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmCrc64nvme,
		types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256} {
		key := string(algorithm)
		in := &awss3.PutObjectInput{Bucket: aws.String("trailers"), Key: &key, Body: unseekable{strings.NewReader(body)}, ContentLength: aws.Int64(int64(len(body))), ChecksumAlgorithm: algorithm}
		if _, err := tlsServer.PutObject(t.Context(), in); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		s.want(c, "trailers", key, body)
		head, err := c.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String("trailers"), Key: &key, ChecksumMode: types.ChecksumModeEnabled})
		if err != nil || aws.ToString(head.ContentEncoding) != "" {
			t.Fatalf("%s: %+v, %v", key, head, err)
		}
		if head.ChecksumCRC32 == nil && head.ChecksumCRC32C == nil && head.ChecksumCRC64NVME == nil && head.ChecksumSHA1 == nil && head.ChecksumSHA256 == nil {
			t.Errorf("%s: no checksum was kept", key)
		}
	}
	if n := len(s.authority.questions("s3:PutObject")); n == 0 {
		t.Error("nobody asked")
	}
}

func TestClientGoesAwayInTheMiddle(t *testing.T) {
	s := start(t)
	c := s.admin()
	s.bucket(c, "aborted")
	s.put(c, "aborted", "k", "old")
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	go func() {
		w.Write(make([]byte, 1<<20))
		cancel()
		w.CloseWithError(context.Canceled)
	}()
	_, err := s.tls().PutObject(ctx, &awss3.PutObjectInput{Bucket: aws.String("aborted"), Key: aws.String("k"), Body: unseekable{r}, ContentLength: aws.Int64(10 << 20)})
	if err == nil {
		t.Fatal("half a body was taken")
	}
	s.want(c, "aborted", "k", "old")
}

func TestCloseEndsEverything(t *testing.T) {
	s := start(t)
	s.bucket(s.admin(), "closing")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.gateway.Close(ctx); err != nil {
		t.Fatal(err)
	}
	_, err := s.admin().GetObject(ctx, &awss3.GetObjectInput{Bucket: aws.String("closing"), Key: aws.String("k")})
	wantCode(t, err, "InternalError")
}

package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
	"golang.org/x/sys/unix"
)

// files is versitygw's posix backend without bucket policies: they are kept and evaluated here. One that versitygw could see it would evaluate itself, against the
// conditions of the unix socket: no TLS, no address.
type files struct{ *posix.Posix }

// GetBucketPolicy implements backend.Backend.
func (files) GetBucketPolicy(context.Context, string) ([]byte, error) {
	return nil, s3err.GetAPIError(s3err.ErrNoSuchBucketPolicy)
}

// PutObject implements backend.Backend.
func (f files) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	in.Body = whole(in.Body, in.ContentLength)
	out, err := f.Posix.PutObject(ctx, in)
	return out, asClients(err)
}

// UploadPart implements backend.Backend.
func (f files) UploadPart(ctx context.Context, in *awss3.UploadPartInput) (*awss3.UploadPartOutput, error) {
	in.Body = whole(in.Body, in.ContentLength)
	out, err := f.Posix.UploadPart(ctx, in)
	return out, asClients(err)
}

// GetObject implements backend.Backend.
func (f files) GetObject(ctx context.Context, in *awss3.GetObjectInput) (*awss3.GetObjectOutput, error) {
	inner := *in
	inner.IfModifiedSince, inner.IfUnmodifiedSince = inSeconds(in.IfModifiedSince, in.IfUnmodifiedSince)
	return f.Posix.GetObject(ctx, &inner)
}

// HeadObject implements backend.Backend.
func (f files) HeadObject(ctx context.Context, in *awss3.HeadObjectInput) (*awss3.HeadObjectOutput, error) {
	inner := *in
	inner.IfModifiedSince, inner.IfUnmodifiedSince = inSeconds(in.IfModifiedSince, in.IfUnmodifiedSince)
	return f.Posix.HeadObject(ctx, &inner)
}

// CopyObject implements backend.Backend.
func (f files) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (s3response.CopyObjectOutput, error) {
	in.CopySourceIfModifiedSince, in.CopySourceIfUnmodifiedSince = inSeconds(in.CopySourceIfModifiedSince, in.CopySourceIfUnmodifiedSince)
	return f.Posix.CopyObject(ctx, in)
}

// UploadPartCopy implements backend.Backend.
func (f files) UploadPartCopy(ctx context.Context, in *awss3.UploadPartCopyInput) (s3response.CopyPartResult, error) {
	inner := *in
	inner.CopySourceIfModifiedSince, inner.CopySourceIfUnmodifiedSince = inSeconds(in.CopySourceIfModifiedSince, in.CopySourceIfUnmodifiedSince)
	return f.Posix.UploadPartCopy(ctx, &inner)
}

// inSeconds makes conditions about a time hold for the whole second that it names. Clients know Last-Modified in seconds, versitygw compares with the file's time, which is finer: an object
// would always be newer than its own Last-Modified. versitygw takes a file for modified that is later than the first time, and for unmodified that is earlier than the second.
func inSeconds(modified, unmodified *time.Time) (later, earlier *time.Time) {
	if modified != nil {
		t := modified.Add(time.Second - time.Nanosecond)
		later = &t
	}
	if unmodified != nil {
		t := unmodified.Add(time.Second)
		earlier = &t
	}
	return later, earlier
}

// errIncomplete is the answer to a body that is shorter than it said.
var errIncomplete = s3err.APIError{Code: "IncompleteBody", Description: "The request body terminated unexpectedly", HTTPStatusCode: http.StatusBadRequest}

// asClients takes an error of a body that ended early for the client's, not the server's.
func asClients(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errIncomplete) {
		return errIncomplete
	}
	return err
}

// whole makes sure that a body is all there. A connection that ends in the middle of a body is a plain end of file to versitygw's HTTP server, and without a signature
// over the body the beginning of an object would be stored as the object.
func whole(body io.Reader, length *int64) io.Reader {
	w := &wholeBody{Reader: body}
	if length != nil {
		w.left = *length
	}
	if sum, ok := body.(middlewares.ChecksumReader); ok { // what the backend looks for
		return struct {
			*wholeBody
			checksummed
		}{w, sum}
	}
	return w
}

type checksummed interface {
	Algorithm() string
	Checksum() string
}

type wholeBody struct {
	io.Reader
	left int64
}

// Read implements io.Reader.
func (w *wholeBody) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.left -= int64(n)
	if errors.Is(err, io.EOF) && w.left != 0 || w.left < 0 {
		err = errIncomplete
	}
	return n, err
}

// The folders in Options.Dir.
const (
	bucketsFolder    = "buckets"
	versionsFolder   = "versions"
	attributesFolder = "attributes" // values for which extended attributes have no room
	sidecarFolder    = "sidecar"    // all metadata, where there are no extended attributes
	settingsFolder   = "settings"
)

// maxCopy is the largest source of one copy, as on AWS. versitygw's own limit is in its command line.
const maxCopy = 5 << 30

// openBackend opens the data in a folder. It changes the working folder of the process to that of the buckets: versitygw uses relative paths.
func openBackend(dir string) (files, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return files{}, fmt.Errorf("folder of S3's data: %w", err)
	}
	for _, name := range []string{bucketsFolder, versionsFolder} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return files{}, fmt.Errorf("folder of S3's data: %w", err)
		}
	}
	o := posix.PosixOpts{VersioningDir: filepath.Join(dir, versionsFolder), ValidateBucketNames: true, Concurrency: maxRequests, CopyObjectThreshold: maxCopy}
	o.SetNewDirPerm(0o700)
	o.SetNewFilePerm(0o600)
	metadata, err := openMetadata(dir, &o)
	if err != nil {
		return files{}, err
	}
	p, err := quietly(func() (*posix.Posix, error) { return posix.New(filepath.Join(dir, bucketsFolder), metadata, o) })
	if err != nil {
		return files{}, fmt.Errorf("open S3's data: %w", err)
	}
	return files{p}, nil
}

// openMetadata decides where metadata is kept: once for a data folder, when it is new. An existing folder of sidecar files is the mark.
func openMetadata(dir string, o *posix.PosixOpts) (meta.MetadataStorer, error) {
	sidecar := filepath.Join(dir, sidecarFolder)
	_, err := os.Lstat(sidecar)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("folder of S3's metadata: %w", err)
	}
	if err != nil {
		ok, err := keepsAttributes(filepath.Join(dir, bucketsFolder))
		if err != nil {
			return nil, err
		}
		if ok {
			spill := filepath.Join(dir, attributesFolder)
			if err := os.MkdirAll(spill, 0o700); err != nil {
				return nil, fmt.Errorf("folder of S3's metadata: %w", err)
			}
			return attributes{dir: spill}, nil
		}
		if err := os.Mkdir(sidecar, 0o700); err != nil {
			return nil, fmt.Errorf("folder of S3's metadata: %w", err)
		}
	}
	o.SideCarDir = sidecar
	s, err := meta.NewSideCar(sidecar)
	if err != nil {
		return nil, fmt.Errorf("folder of S3's metadata: %w", err)
	}
	return s, nil
}

// keepsAttributes tries whether files of a folder can have extended attributes.
func keepsAttributes(dir string) (bool, error) {
	f, err := os.CreateTemp(dir, ".attributes-*")
	if err != nil {
		return false, fmt.Errorf("folder of S3's data: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	defer func() { _ = f.Close() }()
	err = unix.Fsetxattr(int(f.Fd()), "user.sunaba", make([]byte, 1024), 0)
	if errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.E2BIG) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("extended attributes of S3's data: %w", err)
	}
	return true, nil
}

// quietly keeps what versitygw's constructor prints off standard output, which belongs to the command. New documents when it may be called.
func quietly[T any](f func() (T, error)) (T, error) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		var none T
		return none, err
	}
	stdout := os.Stdout
	os.Stdout = null
	defer func() {
		os.Stdout = stdout
		_ = null.Close()
	}()
	return f()
}

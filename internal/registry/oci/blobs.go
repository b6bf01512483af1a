package oci

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/registry"
)

// blob serves GET and HEAD of a blob, ranges included. A push asks with HEAD whether it must send a blob at all.
func (q *request) blob() error {
	if q.r.Method == http.MethodHead {
		// Who may read the blob may also ask whether it is there: containerd does on a pull.
		if err := q.may(q.id, "BatchCheckLayerAvailability", "GetDownloadUrlForLayer"); err != nil {
			return err
		}
		b, err := q.o.Registry.Reserve(q.ctx, q.id, q.arg)
		if err != nil {
			return err
		}
		q.describe(b)
		q.w.Header().Set("Content-Length", strconv.FormatInt(b.Size, 10))
		q.w.WriteHeader(http.StatusOK)
		return nil
	}
	if err := q.may(q.id, "GetDownloadUrlForLayer"); err != nil {
		return err
	}
	return q.send(q.id, q.arg)
}

// download serves the URLs of GetDownloadUrlForLayer, which say themselves what they permit.
func (q *request) download(token string) error {
	if q.r.Method != http.MethodGet && q.r.Method != http.MethodHead {
		return errMethod
	}
	d, err := q.o.Registry.VerifyDownload(token)
	if err != nil {
		return &refusal{status: http.StatusForbidden, code: denied, message: "The URL is not valid, or no longer.", cause: err}
	}
	q.id = d.ID
	return q.send(d.ID, d.Digest)
}

func (q *request) describe(b registry.Blob) {
	h := q.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Docker-Content-Digest", b.Digest)
	h.Set("ETag", `"`+b.Digest+`"`)
	h.Set("Accept-Ranges", "bytes")
}

func (q *request) send(id registry.ID, digest string) (err error) {
	f, b, err := q.o.Registry.Open(q.ctx, id, digest)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	q.describe(b)
	return serveFile(q, f)
}

// serveFile answers with a file, or with the range of it that is asked for.
func serveFile(q *request, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	http.ServeContent(q.w, q.r, "", info.ModTime(), f)
	return nil
}

// uploadBegin serves POST: begin an upload, mount a blob, or send it whole.
func (q *request) uploadBegin() error {
	if err := q.may(q.id, "InitiateLayerUpload"); err != nil {
		return err
	}
	query := q.r.URL.Query()
	if digest, from := query.Get("mount"), query.Get("from"); digest != "" && from != "" {
		mounted, err := q.mount(digest, from)
		if mounted || err != nil {
			return err
		}
	}
	if digest := query.Get("digest"); digest != "" {
		if err := errors.Join(q.may(q.id, "UploadLayerPart"), q.may(q.id, "CompleteLayerUpload")); err != nil {
			return err
		}
		return q.whole(digest)
	}
	upload, err := q.o.Registry.Begin(q.ctx, q.id, q.arn)
	if err != nil {
		return err
	}
	q.arg = upload
	q.progress(0)
	q.w.WriteHeader(http.StatusAccepted)
	return nil
}

// whole takes a blob that comes in one request; what cannot be finished is not kept, since the client has no place to go on at.
func (q *request) whole(digest string) (err error) {
	if q.arg, err = q.o.Registry.Begin(q.ctx, q.id, q.arn); err != nil {
		return err
	}
	if err = q.finish(digest); err == nil {
		return nil
	}
	if gone := q.o.Registry.Cancel(context.WithoutCancel(q.ctx), q.id, q.arn, q.arg); gone != nil && !isCode(gone, registry.UploadNotFound) {
		return errors.Join(err, gone)
	}
	return err
}

// mount gives the repository a blob of another one that the caller may read. If it cannot, the client uploads: the specification wants no error.
func (q *request) mount(digest, from string) (bool, error) {
	source := registry.ID{Scope: q.scope, Name: from}
	if !registry.ValidName(from) || !registry.ValidDigest(digest) {
		return false, nil
	}
	if err := q.may(source, "GetDownloadUrlForLayer"); err != nil {
		if isCode(err, fault.AccessDenied) {
			return false, nil
		}
		return false, err
	}
	b, err := q.o.Registry.Mount(q.ctx, source, q.id, digest)
	if isCode(err, registry.LayersNotFound) || isCode(err, registry.RepositoryNotFound) {
		return false, nil // if it is the target that does not exist, beginning the upload says so
	}
	if err != nil {
		return false, err
	}
	q.created("blobs", b.Digest)
	return true, nil
}

// created answers 201 with the place of what is there now.
func (q *request) created(kind, digest string) {
	h := q.w.Header()
	h.Set("Location", "/v2/"+q.id.Name+"/"+kind+"/"+digest)
	h.Set("Docker-Content-Digest", digest)
	q.w.WriteHeader(http.StatusCreated)
}

// progress says where an upload goes on.
func (q *request) progress(size int64) {
	h := q.w.Header()
	h.Set("Location", "/v2/"+q.id.Name+"/blobs/uploads/"+q.arg)
	h.Set("Docker-Upload-Uuid", q.arg)
	h.Set("Range", "0-"+strconv.FormatInt(max(size-1, 0), 10))
	h.Set("Content-Length", "0")
}

func (q *request) uploadStatus() error {
	if err := q.may(q.id, "UploadLayerPart"); err != nil {
		return err
	}
	size, err := q.o.Registry.Received(q.ctx, q.id, q.arn, q.arg)
	if err != nil {
		return err
	}
	q.progress(size)
	q.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (q *request) uploadPart() error {
	if err := q.may(q.id, "UploadLayerPart"); err != nil {
		return err
	}
	size, err := q.appendBody()
	if err != nil {
		return err
	}
	q.progress(size)
	q.w.WriteHeader(http.StatusAccepted)
	return nil
}

func (q *request) uploadCancel() error {
	if err := q.may(q.id, "UploadLayerPart"); err != nil {
		return err
	}
	if err := q.o.Registry.Cancel(q.ctx, q.id, q.arn, q.arg); err != nil {
		return err
	}
	q.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (q *request) uploadEnd() error {
	if err := q.may(q.id, "CompleteLayerUpload"); err != nil {
		return err
	}
	digest := q.r.URL.Query().Get("digest")
	if q.r.ContentLength != 0 {
		if err := q.may(q.id, "UploadLayerPart"); err != nil {
			return err
		}
	}
	return q.finish(digest)
}

// finish takes the rest of an upload, if any, and makes it a blob.
func (q *request) finish(digest string) error {
	if !registry.ValidDigest(digest) {
		return refuse(http.StatusBadRequest, digestInvalid, "the digest must be sha256 and 64 hexadecimal digits")
	}
	if q.r.ContentLength != 0 {
		if _, err := q.appendBody(); err != nil {
			return err
		}
	}
	b, err := q.o.Registry.Finish(q.ctx, q.id, q.arn, q.arg, true, digest)
	if err != nil {
		return err
	}
	q.created("blobs", b.Digest)
	return nil
}

// appendBody adds the request's body to the upload, at the place that Content-Range says.
func (q *request) appendBody() (int64, error) {
	first, length, err := parseContentRange(q.r.Header.Get("Content-Range"))
	if err != nil {
		return 0, err
	}
	if first >= 0 && q.r.ContentLength >= 0 && q.r.ContentLength != length {
		return 0, refuse(http.StatusBadRequest, sizeInvalid, "Content-Range and Content-Length do not agree")
	}
	size, err := q.o.Registry.Append(q.ctx, q.id, q.arn, q.arg, first, q.body())
	switch {
	case isCode(err, registry.InvalidLayerPart):
		q.progress(size)
	case isCode(err, registry.LimitExceeded):
		err = as(err, registry.LimitExceeded, http.StatusRequestEntityTooLarge, sizeInvalid)
	}
	return size, err
}

// parseContentRange reads "FIRST-LAST", as the specification has it, or "bytes FIRST-LAST/TOTAL", as HTTP has it. Without the header, first is -1.
func parseContentRange(s string) (first, length int64, err error) {
	if s == "" {
		return -1, 0, nil
	}
	s = strings.TrimPrefix(s, "bytes ")
	s, _, _ = strings.Cut(s, "/")
	a, b, ok := strings.Cut(s, "-")
	first, errFirst := parseDigits(a)
	last, errLast := parseDigits(b)
	if !ok || errFirst != nil || errLast != nil || last < first || last-first == 1<<63-1 {
		return 0, 0, refuse(http.StatusRequestedRangeNotSatisfiable, uploadInvalid, "Content-Range cannot be read")
	}
	return first, last - first + 1, nil
}

// parseDigits reads a number without sign.
func parseDigits(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err //nolint:gosec // 63 bits
}

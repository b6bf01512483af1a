package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Upload is a blob that is coming in.
type Upload struct {
	ID        string // a UUID
	Owner     string // whoever began it; nobody else may go on
	CreatedAt time.Time
}

// progress is what this process knows of an upload: after a restart, only the file does.
type progress struct {
	sync.Mutex // held by the request that writes
	sum        hash.Hash
	summed     int64 // bytes in sum
	over       bool  // finished or cancelled: the file is gone
}

// errBusy answers a second writer of one upload.
var errBusy = fault.New(InvalidLayerPart, "Another request is writing to this upload.")

var uuids = regexp.MustCompile(`\A[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\z`)

// NoUpload is the answer to the id of an upload that a repository does not have.
func NoUpload(id ID, upload string) error {
	return fault.New(UploadNotFound, "Upload with id '%s' could not be found for the repository with name '%s' in the registry with id '%s'", clip(upload), id.Name, id.Account)
}

func (s *Service) uploadPath(id string) string { return filepath.Join(s.o.Dir, "uploads", id) }

// Begin begins an upload and returns its id.
func (s *Service) Begin(ctx context.Context, id ID, owner string) (string, error) {
	if err := CheckName(id.Name); err != nil {
		return "", err
	}
	u := Upload{ID: s.o.NewID(), Owner: owner, CreatedAt: now()}
	if err := s.o.Store.CreateUpload(ctx, id, u, s.o.Limits.Uploads); err != nil {
		return "", err
	}
	f, err := os.OpenFile(s.uploadPath(u.ID), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		err = errors.Join(f.Close(), syncDir(filepath.Join(s.o.Dir, "uploads")))
	}
	if err != nil {
		return "", errors.Join(fault.Wrap(err, "begin an upload"), s.o.Store.DeleteUpload(ctx, u.ID))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uploads[u.ID] = &progress{sum: sha256.New()}
	return u.ID, nil
}

// hold finds an upload of an owner and keeps other writers out until release.
func (s *Service) hold(ctx context.Context, id ID, owner, upload string) (p *progress, release func(), err error) {
	if err := CheckName(id.Name); err != nil {
		return nil, nil, err
	}
	if !uuids.MatchString(upload) {
		return nil, nil, NoUpload(id, upload)
	}
	u, err := s.o.Store.Upload(ctx, id, upload)
	if err != nil {
		return nil, nil, err
	}
	if u.Owner != owner { // as if there were none: an id is no permission
		return nil, nil, NoUpload(id, upload)
	}
	s.mu.Lock()
	if p = s.uploads[upload]; p == nil {
		p = &progress{sum: sha256.New()}
		s.uploads[upload] = p
	}
	s.mu.Unlock()
	if !p.TryLock() {
		return nil, nil, errBusy
	}
	if p.over {
		p.Unlock()
		return nil, nil, NoUpload(id, upload)
	}
	return p, p.Unlock, nil
}

// drop forgets an upload whose file is gone or goes now. The caller holds it.
func (s *Service) drop(p *progress, upload string) {
	p.over = true
	s.mu.Lock()
	delete(s.uploads, upload)
	s.mu.Unlock()
}

// size returns how many bytes of an upload are there.
func (s *Service) size(id ID, upload string) (int64, error) {
	info, err := os.Stat(s.uploadPath(upload))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, NoUpload(id, upload)
	}
	if err != nil {
		return 0, fault.Wrap(err, "look at an upload")
	}
	return info.Size(), nil
}

// Received returns how many bytes of an upload have come.
func (s *Service) Received(ctx context.Context, id ID, owner, upload string) (int64, error) {
	_, release, err := s.hold(ctx, id, owner, upload)
	if err != nil {
		return 0, err
	}
	defer release()
	return s.size(id, upload)
}

// Append adds what r has to an upload, and returns how many bytes the upload has then. They are on disk. first is the position that they must begin at, -1 for wherever the upload is.
// What came before an error of r stays: the client may go on from there. InvalidLayerPart if first is another position, LimitExceeded beyond the largest blob.
func (s *Service) Append(ctx context.Context, id ID, owner, upload string, first int64, r io.Reader) (int64, error) {
	p, release, err := s.hold(ctx, id, owner, upload)
	if err != nil {
		return 0, err
	}
	defer release()
	at, err := s.size(id, upload)
	if err != nil {
		return 0, err
	}
	if first >= 0 && first != at {
		return at, fault.New(InvalidLayerPart, "The first byte of the layer part is %d, and the upload '%s' goes on at %d.", first, upload, at)
	}
	f, err := os.OpenFile(s.uploadPath(upload), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return at, fault.Wrap(err, "open an upload")
	}
	w := &appender{f: f, p: p, size: at, limit: s.o.Limits.Layer}
	_, err = io.Copy(struct{ io.Writer }{w}, struct{ io.Reader }{r})
	if e := errors.Join(f.Sync(), f.Close()); e != nil {
		p.summed = -1 // what is in the file is not known any more; Finish reads it
		return at, fault.Wrap(e, "keep a part of an upload")
	}
	return w.size, err
}

// appender writes to an upload's file and into its sum, as long as the sum has all that came before.
type appender struct {
	f           *os.File
	p           *progress
	size, limit int64
}

func (a *appender) Write(b []byte) (int, error) {
	if a.size+int64(len(b)) > a.limit {
		return 0, fault.New(LimitExceeded, "A layer has at most %d bytes.", a.limit)
	}
	n, err := a.f.Write(b)
	if a.p.summed == a.size {
		a.p.sum.Write(b[:n])
		a.p.summed += int64(n)
	}
	a.size += int64(n)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return n, fault.New(LimitExceeded, "The disk of the registry is full.").With(err)
	}
	return n, err
}

// Finish makes a blob of an upload. digests are what its content must have; more than one is only right if they are the same. InvalidLayer if it has another, and
// the upload is gone then; EmptyUpload if it must have content and has none.
func (s *Service) Finish(ctx context.Context, id ID, owner, upload string, mayBeEmpty bool, digests ...string) (Blob, error) {
	p, release, err := s.hold(ctx, id, owner, upload)
	if err != nil {
		return Blob{}, err
	}
	defer release()
	for _, d := range digests {
		if !ValidDigest(d) {
			return Blob{}, fault.New(InvalidLayer, "The layer digest '%s' is not valid: it must be sha256 and 64 hexadecimal digits.", clip(d))
		}
	}
	b, err := s.summed(id, p, upload)
	if err != nil {
		return b, err
	}
	if b.Size == 0 && !mayBeEmpty {
		return b, fault.New(EmptyUpload, "Upload with id '%s' contains no layer parts.", upload)
	}
	for _, d := range digests {
		if d != b.Digest {
			s.drop(p, upload)
			return b, errors.Join(fault.New(InvalidLayer, "The layer digest of the upload '%s' is '%s' and not '%s'.", upload, b.Digest, d),
				os.Remove(s.uploadPath(upload)), s.o.Store.DeleteUpload(ctx, upload))
		}
	}
	// From here on, the client's going must not leave a blob without its record.
	ctx = context.WithoutCancel(ctx)
	lock := s.lock(b.Digest)
	lock.Lock()
	defer lock.Unlock()
	if err := s.place(s.uploadPath(upload), b.Digest); err != nil {
		return b, fault.Wrap(err, "put a blob in its place")
	}
	s.drop(p, upload)
	return b, s.o.Store.Link(ctx, id, b, upload, now())
}

// summed returns digest and size of what an upload has; the file is read again if this process has not seen all of it come.
func (s *Service) summed(id ID, p *progress, upload string) (Blob, error) {
	size, err := s.size(id, upload)
	if err != nil {
		return Blob{}, err
	}
	if p.summed != size {
		f, err := os.Open(s.uploadPath(upload))
		if err != nil {
			return Blob{}, fault.Wrap(err, "read an upload")
		}
		p.sum.Reset()
		n, err := io.Copy(p.sum, f)
		if err = errors.Join(err, f.Close()); err != nil {
			p.summed = -1
			return Blob{}, fault.Wrap(err, "read an upload")
		}
		p.summed, size = n, n
	}
	return Blob{Digest: "sha256:" + hex.EncodeToString(p.sum.Sum(nil)), Size: size}, nil
}

// Cancel ends an upload and removes what came.
func (s *Service) Cancel(ctx context.Context, id ID, owner, upload string) error {
	p, release, err := s.hold(ctx, id, owner, upload)
	if err != nil {
		return err
	}
	defer release()
	s.drop(p, upload)
	return errors.Join(ignoreMissing(os.Remove(s.uploadPath(upload))), s.o.Store.DeleteUpload(context.WithoutCancel(ctx), upload))
}

// Add puts small content that is at hand into a repository.
func (s *Service) Add(ctx context.Context, id ID, content []byte) (Blob, error) {
	const owner = ""
	upload, err := s.Begin(ctx, id, owner)
	if err != nil {
		return Blob{}, err
	}
	if _, err := s.Append(ctx, id, owner, upload, 0, bytes.NewReader(content)); err != nil {
		return Blob{}, errors.Join(err, s.Cancel(context.WithoutCancel(ctx), id, owner, upload))
	}
	return s.Finish(ctx, id, owner, upload, true)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Blob is content that images are made of.
type Blob struct {
	Digest string
	Size   int64
}

// blobPath is where a blob lies. The digest must be valid.
func (s *Service) blobPath(digest string) string {
	hex := digest[len("sha256:"):]
	return filepath.Join(s.o.Dir, "blobs", "sha256", hex[:2], hex)
}

// lock keeps one blob from being put in place and swept at once.
func (s *Service) lock(digest string) *sync.Mutex {
	n, _ := strconv.ParseUint(digest[len("sha256:"):][:2], 16, 8)
	return &s.locks[int(n)%len(s.locks)]
}

// Blob says whether a repository has a blob, and its size: LayersNotFound if not.
func (s *Service) Blob(ctx context.Context, id ID, digest string) (Blob, error) {
	return s.blob(ctx, id, digest, s.o.Store.Blob)
}

// Reserve is Blob for a push that will name the blob in a manifest: it stays for a grace period at least.
func (s *Service) Reserve(ctx context.Context, id ID, digest string) (Blob, error) {
	return s.blob(ctx, id, digest, func(ctx context.Context, id ID, digest string) (Blob, error) {
		return s.o.Store.Touch(ctx, id, digest, now())
	})
}

func (s *Service) blob(ctx context.Context, id ID, digest string, find func(context.Context, ID, string) (Blob, error)) (Blob, error) {
	if err := CheckName(id.Name); err != nil {
		return Blob{}, err
	}
	if !ValidDigest(digest) {
		return Blob{}, invalid("layerDigest", "Invalid layer digest: %s", clip(digest))
	}
	return find(ctx, id, digest)
}

// Open opens a blob that a repository has.
func (s *Service) Open(ctx context.Context, id ID, digest string) (*os.File, Blob, error) {
	b, err := s.Blob(ctx, id, digest)
	if err != nil {
		return nil, b, err
	}
	f, err := os.Open(s.blobPath(digest))
	if errors.Is(err, fs.ErrNotExist) { // the repository was emptied and swept since
		if _, again := s.o.Store.Blob(ctx, id, digest); fault.Is(again, LayersNotFound) || fault.Is(again, RepositoryNotFound) {
			return nil, b, again
		}
	}
	if err != nil {
		return nil, b, fault.Wrap(err, "open a blob")
	}
	return f, b, nil
}

// Mount gives a repository a blob of another one. Whether the caller may read the other is for the caller's caller to decide.
func (s *Service) Mount(ctx context.Context, from, to ID, digest string) (Blob, error) {
	if err := CheckName(from.Name); err != nil {
		return Blob{}, err
	}
	return s.blob(ctx, to, digest, func(ctx context.Context, to ID, digest string) (Blob, error) {
		return s.o.Store.Mount(ctx, from, to, digest, now())
	})
}

// place moves a file that is on disk to where its digest belongs.
func (s *Service) place(from, digest string) error {
	to := s.blobPath(digest)
	dir := filepath.Dir(to)
	if err := os.Mkdir(dir, 0o700); err == nil {
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir puts the names of a folder on disk.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeFile writes a small file for good, or not at all.
func writeFile(path string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

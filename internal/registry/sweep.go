package registry

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// sweepStep is how many orphans are looked up at once, and sweepEvery how often Run sweeps.
const (
	sweepStep  = 500
	sweepEvery = time.Hour
)

// Run sweeps at once and then every hour, until ctx ends.
func (s *Service) Run(ctx context.Context, log *slog.Logger) {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			log.Error("the registry could not remove what nobody needs", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// Sweep removes uploads that rested too long, and blobs that no image needs and no push asked for within the grace period. It may run beside everything else:
//
//   - A push that finds a blob ([Service.Reserve]), mounts or uploads one has the grace period to name it in a manifest. From then on the manifest keeps the link, and the link the blob:
//     links are removed, manifests stored and orphans forgotten in transactions, one after the other.
//   - A blob's record goes before its file, and both under the lock under which an upload of the same content puts file and record in place.
//   - A file without a record, which a crash leaves between the two, goes once it is older than the grace period.
//
// A blob whose last link goes stays for another grace period, for those who are reading it.
func (s *Service) Sweep(ctx context.Context) error {
	at := now()
	before := at.Add(-s.o.Limits.Grace)
	return errors.Join(s.sweepUploads(ctx, at.Add(-s.o.Limits.Idle)), s.o.Store.Unlink(ctx, before, at), s.sweepOrphans(ctx, before), s.sweepFiles(ctx, before))
}

func (s *Service) sweepUploads(ctx context.Context, before time.Time) error {
	ids, err := s.o.Store.Uploads(ctx, before)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if s.rests(id, before) {
			if err := errors.Join(s.o.Store.DeleteUpload(ctx, id), s.removeUpload(id)); err != nil {
				return err
			}
		}
	}
	// What has no record: the repository is gone, or a crash came between the two.
	files, err := os.ReadDir(filepath.Join(s.o.Dir, "uploads"))
	for _, f := range files {
		if s.rests(f.Name(), before) {
			err = errors.Join(err, s.removeUpload(f.Name()))
		}
	}
	return err
}

// rests reports whether nothing was written to an upload since a time; one without a file has nothing to go on with.
func (s *Service) rests(id string, before time.Time) bool {
	info, err := os.Stat(s.uploadPath(id))
	return errors.Is(err, fs.ErrNotExist) || (err == nil && info.ModTime().Before(before))
}

// removeUpload removes an upload's file, unless somebody writes to it this moment.
func (s *Service) removeUpload(id string) error {
	s.mu.Lock()
	p := s.uploads[id]
	s.mu.Unlock()
	if p != nil {
		if !p.TryLock() {
			return nil
		}
		defer p.Unlock()
		s.drop(p, id)
	}
	return ignoreMissing(os.Remove(s.uploadPath(id)))
}

func (s *Service) sweepOrphans(ctx context.Context, before time.Time) error {
	for {
		digests, err := s.o.Store.Orphans(ctx, before, sweepStep)
		if err != nil {
			return err
		}
		removed := 0
		for _, d := range digests {
			gone, err := s.removeOrphan(ctx, d, before)
			if err != nil {
				return err
			}
			if gone {
				removed++
			}
		}
		if removed == 0 {
			return nil
		}
	}
}

func (s *Service) removeOrphan(ctx context.Context, digest string, before time.Time) (bool, error) {
	lock := s.lock(digest)
	lock.Lock()
	defer lock.Unlock()
	gone, err := s.o.Store.DeleteOrphan(ctx, digest, before)
	if err != nil || !gone {
		return false, err
	}
	return true, ignoreMissing(os.Remove(s.blobPath(digest)))
}

// sweepFiles removes files of blobs that have no record.
func (s *Service) sweepFiles(ctx context.Context, before time.Time) error {
	root := filepath.Join(s.o.Dir, "blobs", "sha256")
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return errors.Join(ignoreMissing(err), ctx.Err())
		}
		digest := "sha256:" + d.Name()
		if !ValidDigest(digest) {
			return nil
		}
		lock := s.lock(digest)
		lock.Lock()
		defer lock.Unlock()
		info, err := d.Info()
		if err != nil || !info.ModTime().Before(before) {
			return ignoreMissing(err)
		}
		if known, err := s.o.Store.HasBlob(ctx, digest); err != nil || known {
			return err
		}
		return ignoreMissing(os.Remove(path))
	})
}

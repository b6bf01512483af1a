package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	partialPrefix = "partial-"
	removedPrefix = "removed-"
	recordName    = "image.json"
	rootName      = "rootfs"
)

type lockMode int

const (
	shared    lockMode = unix.LOCK_SH
	exclusive lockMode = unix.LOCK_EX
)

// errLocked says that somebody else holds the lock.
var errLocked = errors.New("locked")

// lockDir locks a folder; closing the file unlocks it. It fails with errLocked rather than wait, and with fs.ErrNotExist when the folder was
// renamed or removed in the meantime.
func lockDir(dir string, mode lockMode) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), int(mode)|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errLocked
		}
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	mine, err := f.Stat()
	if err == nil {
		var now os.FileInfo
		if now, err = os.Stat(dir); err == nil && !os.SameFile(mine, now) {
			err = fs.ErrNotExist
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// lockPoll is how often a waiting process looks whether a lock is free: flock itself cannot wait with a context.
const lockPoll = 50 * time.Millisecond

// waitDir locks a folder exclusively, and waits for it as long as the context allows.
func waitDir(ctx context.Context, dir string) (*os.File, error) {
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		f, err := lockDir(dir, exclusive)
		if !errors.Is(err, errLocked) {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for another process to finish with %s: %w", dir, ctx.Err())
		case <-tick.C:
		}
	}
}

// staging is an image in the making.
type staging struct {
	store *Store
	id    string
	dir   string // partial-<id>
	root  string // its root file system; exists and is empty at first
	lock  *os.File
}

// stage begins an image, or returns nil if the image is there already: made before, or by another process while this one waited.
func (s *Store) stage(ctx context.Context, id string, waiting func()) (*staging, error) {
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	dir := filepath.Join(s.dir, partialPrefix+id)
	var lock *os.File
	for lock == nil {
		if s.has(id) {
			return nil, nil
		}
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		var err error
		if lock, err = lockDir(dir, exclusive); errors.Is(err, errLocked) {
			waiting()
			lock, err = waitDir(ctx, dir)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // not there any more: finished or cleaned by another process, so look again
			return nil, err
		}
	}
	st := &staging{store: s, id: id, dir: dir, root: filepath.Join(dir, rootName), lock: lock}
	if s.has(id) {
		st.abandon()
		return nil, nil
	}
	err := emptyDir(dir)
	if broken := filepath.Join(s.dir, id); err == nil { // an image without its record, which somebody must have deleted
		if _, statErr := os.Lstat(broken); statErr == nil {
			err = s.discard(broken)
		}
	}
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	if err := errors.Join(os.Mkdir(st.root, 0o755), os.Chmod(st.root, 0o755)); err != nil { // whatever the umask
		st.abandon()
		return nil, err
	}
	return st, nil
}

func (s *Store) has(id string) bool {
	_, err := os.Stat(filepath.Join(s.dir, id, recordName))
	return err == nil
}

// abandon removes the half-made image. It does nothing after commit.
func (st *staging) abandon() {
	if st.lock == nil {
		return
	}
	_ = removeTree(st.dir) // what cannot be removed now is found by the next clean
	_ = st.lock.Close()
	st.lock = nil
}

// commit makes the image visible under its id, all at once: what it consists of is on the disk before its folder gets its name.
func (st *staging) commit(img Image) error {
	img.ID = st.id
	var err error
	if img.Size, err = diskUsage(st.root); err != nil {
		return err
	}
	b, err := json.MarshalIndent(img, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(st.dir, recordName), append(b, '\n'), 0o600); err != nil {
		return err
	}
	if err := unix.Syncfs(int(st.lock.Fd())); err != nil {
		return fmt.Errorf("writing the image to disk: %w", err)
	}
	if err := os.Rename(st.dir, filepath.Join(st.store.dir, st.id)); err != nil {
		return err
	}
	_ = st.lock.Close()
	st.lock = nil
	return syncDir(st.store.dir)
}

// clean removes what crashed builds, imports and removals left behind.
func (s *Store) clean() error {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), partialPrefix) && !strings.HasPrefix(e.Name(), removedPrefix) {
			continue
		}
		dir := filepath.Join(s.dir, e.Name())
		lock, err := lockDir(dir, exclusive)
		if errors.Is(err, errLocked) || errors.Is(err, fs.ErrNotExist) { // somebody is at it
			continue
		}
		if err == nil {
			err = removeTree(dir)
			_ = lock.Close()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// makeDir makes the store's folder. Images hold set-user-ID files and device permissions of anybody's making, so only the owner may enter.
func (s *Store) makeDir() error {
	if err := os.MkdirAll(filepath.Dir(s.dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// removeTree removes a tree, unless something is mounted in it: the content of a mount is not ours to delete.
func removeTree(dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("cannot tell whether something is mounted in %s: %w", dir, err)
	}
	if at := mountUnder(string(table), abs); at != "" {
		return fmt.Errorf("%s is still mounted; run: umount -l '%s'", at, at)
	}
	return os.RemoveAll(dir)
}

// mountUnder returns a mount point at or below dir in a mountinfo table, or "".
func mountUnder(table, dir string) string {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if at := unescape.Replace(fields[4]); at == dir || strings.HasPrefix(at, dir+"/") {
			return at
		}
	}
	return ""
}

// diskUsage returns the bytes that a tree takes on disk, files with several links counted once.
func diskUsage(dir string) (int64, error) {
	var total int64
	seen := map[uint64]bool{} // by inode: a root file system is one file system
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return &fs.PathError{Op: "lstat", Path: path, Err: err}
		}
		if st.Nlink > 1 && !d.IsDir() {
			if seen[st.Ino] {
				return nil
			}
			seen[st.Ino] = true
		}
		total += st.Blocks * 512
		return nil
	})
	return total, err
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

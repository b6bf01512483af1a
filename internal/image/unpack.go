package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

const (
	maxPath      = 4096      // bytes of one name in an archive
	maxNameBytes = 256 << 20 // bytes of all names: what is remembered of an archive must fit in memory
	whiteout     = ".wh."    // prefix of a file that removes another from the layers below
	opaque       = ".wh..wh..opq"
)

// unpacker unpacks the layers of one image into a folder, from the bottom up. Archives are hostile: every access goes through an [os.Root], symbolic
// links in parent folders are resolved as if the folder were the root of the file system, and sizes and counts are bounded.
type unpacker struct {
	root       *os.Root
	limits     Limits
	privileged bool // ownership and all modes are kept
	progress   func()

	streamed  int64 // bytes read of all layers
	written   int64 // bytes of file contents: a sparse file has more of them than its archive
	entries   int
	nameBytes int

	made    map[string]bool // what this layer has put there, parents included: not subject to its own whiteouts
	dirs    []dirTime       // set at the end, because filling a folder changes its time
	skipped map[string]int  // kinds of entries left out

	parentOf, parentAt string // the last parent resolved, and where it is
}

type dirTime struct {
	name string
	at   time.Time
}

func newUnpacker(dir string, limits Limits) (*unpacker, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &unpacker{root: root, limits: limits, privileged: os.Geteuid() == 0, progress: func() {}, skipped: map[string]int{}}, nil
}

func (u *unpacker) close() { _ = u.root.Close() }

func tooLarge(l Limits) error {
	return fmt.Errorf("%w: it is larger than %s unpacked", ErrInvalid, humanize.IBytes(uint64(l.Bytes)))
}

// apply unpacks one layer over those before it.
func (u *unpacker) apply(ctx context.Context, layer io.Reader) error {
	u.made = map[string]bool{}
	u.forget()
	archive := tar.NewReader(layer)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		if u.entries++; u.entries > u.limits.Entries {
			return fmt.Errorf("%w: more than %d files", ErrInvalid, u.limits.Entries)
		}
		if u.nameBytes += len(h.Name); u.nameBytes > maxNameBytes {
			return fmt.Errorf("%w: file names of more than %s", ErrInvalid, humanize.IBytes(maxNameBytes))
		}
		const report = 256
		if u.entries%report == 0 {
			u.progress()
		}
		if err := u.entry(h, archive); err != nil {
			return fmt.Errorf("entry %q: %w", shorten(h.Name), err)
		}
	}
}

// finish sets the times of folders and tells what was left out.
func (u *unpacker) finish() ([]string, error) {
	for _, d := range slices.Backward(u.dirs) {
		info, err := u.root.Lstat(d.name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() { // removed by a later layer
			continue
		}
		if err == nil {
			err = u.root.Chtimes(d.name, d.at, d.at)
		}
		if err != nil {
			return nil, err
		}
	}
	var notes []string
	for kind, n := range u.skipped {
		notes = append(notes, fmt.Sprintf("%s left out: %d", kind, n))
	}
	slices.Sort(notes)
	return notes, nil
}

// entry puts one entry in its place.
func (u *unpacker) entry(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	clean, err := cleanName(h.Name)
	if err != nil {
		return err
	}
	if clean == "." {
		if h.Typeflag != tar.TypeDir {
			return fmt.Errorf("%w: the root of an image is a folder", ErrInvalid)
		}
		return u.folder(".", h)
	}
	dir, base := path.Split(clean)
	parent, err := u.parent(path.Clean(dir))
	if err != nil {
		return err
	}
	if hidden, ok := strings.CutPrefix(base, whiteout); ok {
		return u.whiteout(parent, base, hidden)
	}
	name := path.Join(parent, base)
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		err = u.file(name, h, content)
	case tar.TypeDir:
		err = u.folder(name, h)
	case tar.TypeSymlink:
		err = u.symlink(name, h)
	case tar.TypeLink:
		err = u.hardlink(name, h)
	case tar.TypeChar, tar.TypeBlock:
		u.skipped["device files"]++ // every sandbox has its own /dev
		return nil
	case tar.TypeFifo:
		u.skipped["named pipes"]++
		return nil
	default:
		u.skipped["entries of an unknown kind"]++
		return nil
	}
	if err == nil {
		u.made[name] = true
	}
	return err
}

// file writes a regular file.
func (u *unpacker) file(name string, h *tar.Header, content io.Reader) error {
	if h.Size > u.limits.Bytes-u.written {
		return tooLarge(u.limits)
	}
	if err := u.clear(name); err != nil {
		return err
	}
	f, err := u.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, content)
	u.written += n
	switch {
	case errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF):
		err = fmt.Errorf("%w: %w", ErrInvalid, err)
	case err == nil && n != h.Size:
		err = fmt.Errorf("%w: %d bytes instead of %d", ErrInvalid, n, h.Size)
	}
	if err == nil {
		err = u.attributes(f, h)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return u.root.Chtimes(name, h.ModTime, h.ModTime)
}

// folder makes a folder, or changes one from a layer below.
func (u *unpacker) folder(name string, h *tar.Header) error {
	info, err := u.root.Lstat(name)
	if err != nil || !info.IsDir() {
		if err := u.clear(name); err != nil {
			return err
		}
		if err := u.root.Mkdir(name, 0o700); err != nil {
			return err
		}
	}
	f, err := u.root.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	u.dirs = append(u.dirs, dirTime{name, h.ModTime})
	return errors.Join(u.attributes(f, h), f.Close())
}

// attributes sets owner, mode and the user's extended attributes. Capabilities of files are left out: they would be rights on the host.
func (u *unpacker) attributes(f *os.File, h *tar.Header) error {
	mode := uint32(h.Mode) & 0o7777
	if u.privileged {
		if err := f.Chown(h.Uid, h.Gid); err != nil {
			return err
		}
	} else {
		u.skipped["owners, for want of root,"]++
		mode = mode&0o777 | 0o600
		if h.Typeflag == tar.TypeDir {
			mode |= 0o700
		}
	}
	for key, value := range h.PAXRecords {
		attribute, ok := strings.CutPrefix(key, "SCHILY.xattr.")
		if !ok || !strings.HasPrefix(attribute, "user.") {
			continue
		}
		err := unix.Fsetxattr(int(f.Fd()), attribute, []byte(value), 0)
		if errors.Is(err, unix.ENOTSUP) {
			u.skipped["extended attributes, which the cache's file system lacks,"]++
			continue
		}
		if err != nil {
			return fmt.Errorf("extended attribute %q: %w", shorten(attribute), err)
		}
	}
	return unix.Fchmod(int(f.Fd()), mode) // last: a change of owner clears bits of it
}

func (u *unpacker) symlink(name string, h *tar.Header) error {
	if h.Linkname == "" || len(h.Linkname) > maxPath {
		return fmt.Errorf("%w: a symbolic link with a target of %d bytes", ErrInvalid, len(h.Linkname))
	}
	if err := u.clear(name); err != nil {
		return err
	}
	if err := u.root.Symlink(h.Linkname, name); err != nil {
		return err
	}
	if u.privileged {
		if err := u.root.Lchown(name, h.Uid, h.Gid); err != nil {
			return err
		}
	}
	parent, err := u.root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	at := unix.NsecToTimespec(h.ModTime.UnixNano())
	err = unix.UtimesNanoAt(int(parent.Fd()), path.Base(name), []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
	return errors.Join(err, parent.Close())
}

func (u *unpacker) hardlink(name string, h *tar.Header) error {
	clean, err := cleanName(h.Linkname)
	if err != nil {
		return fmt.Errorf("link target: %w", err)
	}
	dir, base := path.Split(clean)
	parent, err := u.lookup(path.Clean(dir))
	if err != nil {
		return fmt.Errorf("link target %q: %w", shorten(h.Linkname), err)
	}
	target := path.Join(parent, base)
	info, err := u.root.Lstat(target)
	switch {
	case err != nil:
		return fmt.Errorf("%w: link target %q: %w", ErrInvalid, shorten(h.Linkname), err)
	case info.IsDir():
		return fmt.Errorf("%w: a hard link to a folder", ErrInvalid)
	case target == name:
		return nil
	}
	if err := u.clear(name); err != nil {
		return err
	}
	return u.root.Link(target, name)
}

// clear removes what is in the way of a new entry.
func (u *unpacker) clear(name string) error {
	info, err := u.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() || info.Mode().Type() == fs.ModeSymlink {
		u.forget()
	}
	if info.IsDir() {
		return u.root.RemoveAll(name)
	}
	return u.root.Remove(name)
}

// whiteout removes what the layers below have: one entry, or, for an opaque folder, all in it.
func (u *unpacker) whiteout(parent, base, hidden string) error {
	u.forget()
	if base == opaque {
		return u.removeOlder(parent, true)
	}
	if strings.HasPrefix(hidden, whiteout) { // bookkeeping of an old storage driver
		return nil
	}
	if hidden == "" || hidden == "." || hidden == ".." {
		return fmt.Errorf("%w: a whiteout of nothing", ErrInvalid)
	}
	return u.removeOlder(path.Join(parent, hidden), false)
}

// removeOlder removes what this layer has not made itself, from name downwards; name itself stays if keep is set.
func (u *unpacker) removeOlder(name string, keep bool) error {
	if !keep && !u.made[name] {
		return u.root.RemoveAll(name)
	}
	info, err := u.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := u.root.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	children, err := f.Readdirnames(-1)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	for _, child := range children {
		if err := u.removeOlder(path.Join(name, child), false); err != nil {
			return err
		}
	}
	return nil
}

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sort"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

const (
	maxPaths = 10_000 // of one call
	maxDepth = 256    // components of one path: each is opened in turn
	maxPath  = 4096   // bytes of one path, PATH_MAX
)

// files serves the file operations. They are confined to the working folder, which neither `..` nor a symbolic link leaves, and run with the user's credentials. A process of
// the user that swaps folders for links while they run can lead them elsewhere, but only where that user may go anyway.
func (a *Agent) files(ctx context.Context, config *proto.Configure, c *call) (*proto.Result, error) {
	if len(c.Paths) > maxPaths || len(c.Files) > maxPaths {
		return nil, bad(proto.BadRequest, "", "more than %d paths in one call", maxPaths)
	}
	if err := makeDir(config.Dir, config.User); err != nil { // the user may have removed it
		return nil, fmt.Errorf("make the working folder: %w", err)
	}
	if c.Op != proto.OpWrite { // nothing more comes from the host
		var cancel context.CancelFunc
		_, cancel = c.whileOpen(ctx)
		defer cancel()
	}
	result := &proto.Result{}
	err := asUser(config.User, func() (err error) {
		root, err := os.OpenRoot(config.Dir)
		if err != nil {
			return fileError(config.Dir, err)
		}
		defer func() { err = errors.Join(err, root.Close()) }()
		d := &folder{root: root, dir: config.Dir}
		switch c.Op {
		case proto.OpWrite:
			return d.write(c)
		case proto.OpRead:
			return d.read(c)
		case proto.OpList:
			return d.list(c)
		}
		result.Count, err = d.remove(c.Paths)
		return err
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// folder is the working folder.
type folder struct {
	root *os.Root
	dir  string
}

// clean turns a path of a caller into one relative to the folder. Absolute paths below the folder are taken as relative to it.
func (d *folder) clean(p string) (string, error) {
	switch {
	case strings.ContainsRune(p, 0):
		return "", bad(proto.BadPath, p, "the path %q contains a NUL byte", p)
	case len(p) > maxPath, strings.Count(p, "/") >= maxDepth:
		return "", bad(proto.BadPath, "", "a path of %d bytes is too long: at most %d bytes and %d folders deep", len(p), maxPath, maxDepth)
	case !utf8.ValidString(p):
		return "", bad(proto.BadPath, "", "the path %q is not valid UTF-8", p)
	}
	rel := p
	if path.IsAbs(p) {
		c := path.Clean(p)
		below, ok := strings.CutPrefix(c+"/", strings.TrimSuffix(d.dir, "/")+"/")
		if !ok {
			return "", bad(proto.BadPath, p, "the path %q must be relative to the working folder %s", p, d.dir)
		}
		rel = below
	}
	rel = path.Clean("./" + rel)
	if rel == ".." || strings.HasPrefix(rel, "../") {
		return "", bad(proto.BadPath, p, "the path %q leaves the working folder", p)
	}
	return rel, nil
}

// file is clean for a path that must name something inside the folder.
func (d *folder) file(p string) (string, error) {
	rel, err := d.clean(p)
	if err == nil && (rel == "." || p == "" || strings.HasSuffix(p, "/")) {
		err = bad(proto.BadPath, p, "the path %q is not the name of a file", p)
	}
	return rel, err
}

// fileError says what went wrong with a path in the caller's terms.
func fileError(p string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*proto.Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return bad(proto.NotFound, p, "the file %q does not exist", p)
	case errors.Is(err, fs.ErrPermission):
		return bad(proto.Denied, p, "permission denied for %q", p)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
		return bad(proto.NoSpace, p, "no space is left on the session's disk for %q", p)
	case errors.Is(err, unix.ENAMETOOLONG), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ELOOP), escapes(err):
		return bad(proto.BadPath, p, "the path %q cannot be used: %v", p, reason(err))
	}
	return bad(proto.Failed, p, "%q: %v", p, reason(err))
}

// escapes reports os.Root's refusal of a path that leaves it, which has no error value of its own.
func escapes(err error) bool {
	return strings.Contains(err.Error(), "escapes from parent")
}

func reason(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// entryOverhead is more than an entry's JSON has besides its path.
const entryOverhead = 64

// list sends one entry per name, sorted. Links count as what they point at inside the folder, and as files when that is nothing.
func (d *folder) list(c *call) error {
	p := ""
	if len(c.Paths) > 0 {
		p = c.Paths[0]
	}
	rel := "."
	if p != "" && p != "/" {
		var err error
		if rel, err = d.clean(p); err == nil {
			rel, err = d.resolve(rel, true)
		}
		if err != nil {
			return err
		}
	}
	dir, err := d.root.OpenFile(rel, os.O_RDONLY|unix.O_NONBLOCK|unix.O_DIRECTORY, 0)
	if err != nil {
		return fileError(p, err)
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return fileError(p, err)
	}
	if len(names) > proto.MaxEntries {
		return bad(proto.Failed, p, "the folder has %d entries, more than the %d that can be listed", len(names), proto.MaxEntries)
	}
	size := 0
	sort.Strings(names)
	for _, name := range names {
		full := path.Join(rel, name)
		e := proto.Entry{Path: strings.ToValidUTF8(full, "\uFFFD")}
		if size += len(e.Path) + entryOverhead; size > proto.MaxListing {
			return bad(proto.Failed, p, "the folder's names are too long to be listed")
		}
		info, err := d.root.Lstat(full)
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			if real, rerr := d.resolve(full, true); rerr == nil { // else it leads out, or in circles: shown as what it is
				if target, terr := d.root.Lstat(real); terr == nil {
					info = target
				}
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err == nil {
			e.Dir = info.IsDir()
			if info.Mode().IsRegular() {
				e.Size = info.Size()
			}
		}
		if err := c.w.WriteJSON(proto.FrameEntry, e); err != nil {
			return err
		}
	}
	return nil
}

// read sends every file, or fails at the first that cannot be read.
func (d *folder) read(c *call) error {
	for _, p := range c.Paths {
		if err := d.readOne(c.w, p); err != nil {
			return err
		}
	}
	return nil
}

func (d *folder) readOne(w *proto.Writer, p string) error {
	rel, err := d.file(p)
	if err != nil {
		return err
	}
	real, err := d.resolve(rel, true)
	if err != nil {
		return err
	}
	f, err := d.root.OpenFile(real, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe or a device must not be waited for
	if err != nil {
		return fileError(p, err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return fileError(p, err)
	}
	if !info.Mode().IsRegular() {
		kind := "not a regular file"
		if info.IsDir() {
			kind = "a folder"
		}
		return bad(proto.BadPath, p, "%q is %s", p, kind)
	}
	if err := w.WriteJSON(proto.FrameEntry, proto.Entry{Path: rel, Size: info.Size()}); err != nil {
		return err
	}
	if _, err := w.Copy(proto.FrameData, io.LimitReader(f, info.Size())); err != nil { // what is appended meanwhile belongs to the next reading
		return fileError(p, err)
	}
	return w.Write(proto.FrameEnd, nil)
}

// remove removes every path, folders with what is in them, after it has seen that all are there.
func (d *folder) remove(paths []string) (int, error) {
	rels := make([]string, len(paths))
	for i, p := range paths {
		rel, err := d.clean(p)
		if err == nil {
			rel, err = d.resolve(rel, false)
		}
		if err != nil {
			return 0, err
		}
		if rel == "." {
			return 0, bad(proto.BadPath, p, "the working folder itself cannot be removed")
		}
		if _, err := d.root.Lstat(rel); err != nil {
			return 0, fileError(p, err)
		}
		rels[i] = rel
	}
	for i, rel := range rels {
		if err := d.root.RemoveAll(rel); err != nil {
			return i, fileError(paths[i], err)
		}
	}
	return len(paths), nil
}

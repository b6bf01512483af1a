package agent

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// write puts all files in place, or none of them: they are written beside their places first, and what is replaced is kept until all are.
func (d *folder) write(c *call) (err error) {
	t := &transaction{d: d, seen: map[string]bool{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.rollback())
		}
	}()
	for _, f := range c.Files {
		if err := t.stage(f, proto.NewPayload(c.r)); err != nil {
			return err
		}
	}
	return t.commit()
}

// transaction is one set of files on its way into the folder.
type transaction struct {
	d      *folder
	seen   map[string]bool
	made   []string // folders that were made for it, outermost first
	staged []staged
}

type staged struct {
	path    string // where it goes
	temp    string // where its content is
	backup  string // where what it replaced is, "" if it replaced nothing
	applied bool
}

// stage writes a file's content beside its place.
func (t *transaction) stage(f proto.File, content io.Reader) error {
	rel, err := t.d.file(f.Path)
	if err == nil {
		rel, err = t.d.resolve(rel, false)
	}
	if err != nil {
		return err
	}
	if t.seen[rel] {
		return bad(proto.BadPath, f.Path, "the path %q is given twice", f.Path)
	}
	t.seen[rel] = true
	if err := t.mkdirs(path.Dir(rel)); err != nil {
		return fileError(f.Path, err)
	}
	mode := fs.FileMode(0o644)
	switch info, err := t.d.root.Lstat(rel); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fileError(f.Path, err)
	case info.IsDir():
		return bad(proto.BadPath, f.Path, "%q is a folder", f.Path)
	case info.Mode().IsRegular():
		mode = info.Mode().Perm() // a script stays executable
	}
	s := staged{path: rel, temp: beside(rel)}
	file, err := t.d.root.OpenFile(s.temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return fileError(f.Path, err)
	}
	t.staged = append(t.staged, s)
	if mode != 0o644 {
		err = file.Chmod(mode) // whatever the umask
	}
	var n int64
	if err == nil {
		n, err = io.Copy(file, content)
	}
	if err == nil && n != f.Size {
		err = fmt.Errorf("%d bytes came, %d were announced", n, f.Size)
	}
	return fileError(f.Path, errors.Join(err, file.Close()))
}

// beside names a new hidden file in the folder of p.
func beside(p string) string {
	return path.Join(path.Dir(p), ".sunaba-"+rand.Text())
}

// mkdirs makes a folder and its parents and remembers which.
func (t *transaction) mkdirs(dir string) error {
	if dir == "." {
		return nil
	}
	if info, err := t.d.root.Stat(dir); err == nil {
		if !info.IsDir() {
			return bad(proto.BadPath, dir, "%q is not a folder", dir)
		}
		return nil
	}
	if err := t.mkdirs(path.Dir(dir)); err != nil {
		return err
	}
	if err := t.d.root.Mkdir(dir, 0o755); err != nil {
		return err
	}
	t.made = append(t.made, dir)
	return nil
}

// commit moves every file into its place.
func (t *transaction) commit() error {
	for i := range t.staged {
		s := &t.staged[i]
		if info, err := t.d.root.Lstat(s.path); err == nil {
			if info.IsDir() { // another file of the call needs it as a folder
				return bad(proto.BadPath, s.path, "%q is a folder", s.path)
			}
			s.backup = beside(s.path)
			if err := t.d.root.Rename(s.path, s.backup); err != nil {
				s.backup = ""
				return fileError(s.path, err)
			}
		}
		if err := t.d.root.Rename(s.temp, s.path); err != nil {
			return fileError(s.path, err)
		}
		s.applied = true
	}
	for _, s := range t.staged {
		if s.backup != "" {
			_ = t.d.root.RemoveAll(s.backup) // all is in place; a leftover is no reason to fail
		}
	}
	return nil
}

// rollback restores what was there, as far as it got.
func (t *transaction) rollback() error {
	var errs []error
	for i := len(t.staged) - 1; i >= 0; i-- {
		s := t.staged[i]
		if s.applied {
			errs = append(errs, t.d.root.Remove(s.path))
		} else {
			errs = append(errs, t.d.root.Remove(s.temp))
		}
		if s.backup != "" {
			errs = append(errs, t.d.root.Rename(s.backup, s.path))
		}
	}
	for i := len(t.made) - 1; i >= 0; i-- {
		_ = t.d.root.Remove(t.made[i]) // unless somebody has put something there
	}
	return errors.Join(errs...)
}

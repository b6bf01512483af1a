package image

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Store is a folder of images. Any number of processes may use one folder at the same time.
type Store struct {
	// Mirror is the Debian mirror that Build takes packages from; empty means Debian's own, security updates included.
	Mirror string
	// Limits bound what Import unpacks.
	Limits Limits

	dir string // <cache>/images
}

// New returns the store in the cache folder. Nothing is made on disk before something is stored.
func New(cacheDir string) *Store {
	return &Store{dir: filepath.Join(cacheDir, "images"), Limits: DefaultLimits()}
}

var (
	idRule     = regexp.MustCompile(`^[0-9a-f]{64}$`)
	prefixRule = regexp.MustCompile(`^[0-9a-f]{8,63}$`)
	nameRule   = regexp.MustCompile(`^[a-z0-9]+([._/:-]+[A-Za-z0-9]+)*$`)
)

const maxName = 128

// checkName refuses names that could be taken for an id or that no one can type.
func checkName(name string) error {
	switch {
	case len(name) > maxName || !nameRule.MatchString(name):
		return fmt.Errorf("%q cannot name an image: at most %d letters and digits, joined by any of . _ / : -, beginning with a lower-case one", name, maxName)
	case idRule.MatchString(name) || prefixRule.MatchString(name):
		return fmt.Errorf("%q cannot name an image: it looks like an image id", name)
	}
	return nil
}

// Resolve returns the image with a name, an id, or an unambiguous beginning of an id (8 digits or more). It fails with [ErrNotFound].
func (s *Store) Resolve(nameOrID string) (Image, error) {
	names, err := s.readNames()
	if err != nil {
		return Image{}, err
	}
	id, named := names[nameOrID]
	switch {
	case named:
	case idRule.MatchString(nameOrID):
		id = nameOrID
	case prefixRule.MatchString(nameOrID):
		ids, err := s.ids()
		if err != nil {
			return Image{}, err
		}
		ids = slices.DeleteFunc(ids, func(id string) bool { return !strings.HasPrefix(id, nameOrID) })
		if len(ids) > 1 {
			return Image{}, fmt.Errorf("%w: %d images begin with %q", ErrNotFound, len(ids), nameOrID)
		}
		if len(ids) == 1 {
			id = ids[0]
		}
	}
	if id == "" {
		return Image{}, notFound(nameOrID)
	}
	img, err := s.load(id, names)
	if errors.Is(err, fs.ErrNotExist) {
		return Image{}, notFound(nameOrID)
	}
	return img, err
}

func notFound(nameOrID string) error {
	if nameOrID == DefaultName {
		return fmt.Errorf("%w: %q; make it with: sunaba image build", ErrNotFound, nameOrID)
	}
	return fmt.Errorf("%w: %q; see: sunaba image ls", ErrNotFound, nameOrID)
}

// List returns all images, the newest first.
func (s *Store) List(ctx context.Context) ([]Image, error) {
	names, err := s.readNames()
	if err != nil {
		return nil, err
	}
	ids, err := s.ids()
	if err != nil {
		return nil, err
	}
	var images []Image
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		img, err := s.load(id, names)
		if errors.Is(err, fs.ErrNotExist) { // removed since
			continue
		}
		if err != nil {
			return nil, err
		}
		images = append(images, img)
	}
	slices.SortFunc(images, func(a, b Image) int { return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID)) })
	return images, nil
}

// Use marks the image as used by this process until release is called, so that nobody removes it. It fails with [ErrNotFound].
func (s *Store) Use(id string) (release func(), err error) {
	if !idRule.MatchString(id) {
		return nil, notFound(id)
	}
	f, err := lockDir(filepath.Join(s.dir, id), shared)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errLocked) { // locked: it is being removed
		return nil, notFound(id)
	}
	if err != nil {
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// Remove removes a name, and with the last name the image. Given an id it removes the image with all of its names. It fails with [ErrInUse] while a
// process uses the image, and with [ErrNotFound].
func (s *Store) Remove(ctx context.Context, nameOrID string) error {
	img, err := s.Resolve(nameOrID)
	if err != nil {
		return err
	}
	if len(img.Names) > 1 && slices.Contains(img.Names, nameOrID) {
		return s.editNames(ctx, func(names map[string]string) { delete(names, nameOrID) })
	}
	dir := filepath.Join(s.dir, img.ID)
	lock, err := lockDir(dir, exclusive)
	switch {
	case errors.Is(err, errLocked):
		return fmt.Errorf("%w: %s; stop the sandboxes that use it first", ErrInUse, nameOrID)
	case errors.Is(err, fs.ErrNotExist):
		return notFound(nameOrID)
	case err != nil:
		return err
	}
	defer func() { _ = lock.Close() }()
	err = s.editNames(ctx, func(names map[string]string) {
		for name, id := range names {
			if id == img.ID {
				delete(names, name)
			}
		}
	})
	if err != nil {
		return err
	}
	return s.discard(dir)
}

// discard takes a folder out of the store at once, and then removes it.
func (s *Store) discard(dir string) error {
	doomed := filepath.Join(s.dir, removedPrefix+filepath.Base(dir)+"-"+rand.Text())
	if err := os.Rename(dir, doomed); err != nil {
		return err
	}
	return removeTree(doomed)
}

// ids lists the images that are complete.
func (s *Store) ids() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && idRule.MatchString(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// load reads what an image is.
func (s *Store) load(id string, names map[string]string) (Image, error) {
	b, err := os.ReadFile(filepath.Join(s.dir, id, recordName))
	if err != nil {
		return Image{}, err
	}
	var img Image
	if err := json.Unmarshal(b, &img); err != nil {
		return Image{}, fmt.Errorf("%s: %w", filepath.Join(s.dir, id, recordName), err)
	}
	img.ID = id
	if img.Root, err = filepath.Abs(filepath.Join(s.dir, id, rootName)); err != nil {
		return Image{}, err
	}
	for name, of := range names {
		if of == id {
			img.Names = append(img.Names, name)
		}
	}
	slices.Sort(img.Names)
	return img, nil
}

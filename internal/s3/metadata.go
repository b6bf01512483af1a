package s3

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/s3err"
)

// attributes keeps metadata in extended attributes, and values for which there is no room in one in a file of their own, to which the attribute points.
//
// ext4 has room for about 4 KiB for each file, XFS for 64 KiB: S3's tags and metadata can be 6 KiB. A file is written before the attribute that points to it and never
// changed, so the switch from one value to the next is the attribute's: atomic. What a crash or a deletion leaves behind is not referred to by anything.
type attributes struct {
	meta.XattrMeta
	dir string
}

// pointer begins the value of an attribute that points to a file. No value of versitygw begins with a NUL.
const pointer = "\x00file:"

// spillAbove is the length from which a value goes to a file on every file system, so that many small ones always have room.
const spillAbove = 256

// StoreAttribute implements meta.MetadataStorer.
func (a attributes) StoreAttribute(f *os.File, bucket, object, attribute string, value []byte) error {
	old, _ := a.XattrMeta.RetrieveAttribute(f, bucket, object, attribute)
	if len(value) <= spillAbove {
		err := a.XattrMeta.StoreAttribute(f, bucket, object, attribute, value)
		if err == nil {
			a.forget(old)
		}
		return err
	}
	name := rand.Text()
	if err := replaceFile(filepath.Join(a.dir, name), value); err != nil {
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			return s3err.GetAPIError(s3err.ErrNoSpaceLeftOnDevice)
		}
		return fmt.Errorf("metadata: %w", err)
	}
	if err := a.XattrMeta.StoreAttribute(f, bucket, object, attribute, []byte(pointer+name)); err != nil {
		a.forget([]byte(pointer + name))
		return err
	}
	a.forget(old)
	return nil
}

// RetrieveAttribute implements meta.MetadataStorer.
func (a attributes) RetrieveAttribute(f *os.File, bucket, object, attribute string) ([]byte, error) {
	value, err := a.XattrMeta.RetrieveAttribute(f, bucket, object, attribute)
	if err != nil {
		return nil, err
	}
	path, ok := a.file(value)
	if !ok {
		return value, nil
	}
	value, err = os.ReadFile(path)      // #nosec: a name that was made here
	if errors.Is(err, fs.ErrNotExist) { // replaced since the attribute was read
		return a.XattrMeta.RetrieveAttribute(f, bucket, object, attribute)
	}
	return value, err
}

// DeleteAttribute implements meta.MetadataStorer.
func (a attributes) DeleteAttribute(bucket, object, attribute string) error {
	old, _ := a.XattrMeta.RetrieveAttribute(nil, bucket, object, attribute)
	if err := a.XattrMeta.DeleteAttribute(bucket, object, attribute); err != nil {
		return err
	}
	a.forget(old)
	return nil
}

// file returns the file that a value points to.
func (a attributes) file(value []byte) (string, bool) {
	name, ok := strings.CutPrefix(string(value), pointer)
	if !ok || name == "" || strings.ContainsAny(name, "/.") {
		return "", false
	}
	return filepath.Join(a.dir, name), true
}

// forget removes the file of a value that nothing has any more.
func (a attributes) forget(value []byte) {
	if path, ok := a.file(value); ok {
		_ = os.Remove(path) // what stays is not referred to by anything
	}
}

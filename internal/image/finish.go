package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// keepTmp is a hidden empty file in /tmp of every image. gVisor mounts memory over an empty /tmp; with a file in it, what a session writes to /tmp goes to
// the disk like everything else, and does not count as memory.
const keepTmp = "tmp/.sunaba"

// finish does what every image needs after unpacking. The tree is hostile: nothing is followed out of it.
func finish(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	info, err := root.Lstat("tmp")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = root.Mkdir("tmp", 0o777)
	case err == nil && !info.IsDir(): // a link or a file: the image's author wants it so
		return nil
	}
	if err != nil {
		return err
	}
	if err := root.Chmod("tmp", 0o777|fs.ModeSticky); err != nil {
		return fmt.Errorf("/tmp: %w", err)
	}
	if _, err := root.Lstat(keepTmp); err == nil {
		return nil
	}
	f, err := root.OpenFile(keepTmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

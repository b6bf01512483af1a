package gvisor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// makeSkeleton makes the folder that, laid over an image, gives it the mount point of the control folder.
//
// gVisor's file proxy makes missing mount points in the root file system that it is given, and would make this one in the shared image. So it
// is never given the image itself, but a read-only mount of the image under the skeleton: neither it nor a sandbox that has taken it over can
// write to the image, which may as well be on a read-only medium.
func makeSkeleton(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, ctlMount), 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755) // the mode of the sandbox's root folder
}

// mountRoot mounts the sandbox's root file system, made of layers of which the first lies uppermost and the last is the image, for the time of its start. The sandbox's
// processes keep it in mount namespaces of their own.
func (b *box) mountRoot(layers ...string) error {
	if err := os.Mkdir(b.root(), 0o700); err != nil {
		return err
	}
	escape := strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`)
	escaped := make([]string, len(layers))
	for i, layer := range layers {
		escaped[i] = escape.Replace(layer)
	}
	options := "lowerdir=" + strings.Join(escaped, ":")
	if err := unix.Mount("sunaba", b.root(), "overlay", unix.MS_RDONLY|unix.MS_NODEV|unix.MS_NOSUID, options); err != nil {
		return fmt.Errorf("mounting image %s with overlayfs (`modprobe overlay` loads it if the kernel has it as a module): %w", layers[len(layers)-1], err)
	}
	return nil
}

func (b *box) unmountRoot() error { return unmountAll(b.root()) }

// unmountAll removes every mount stacked at path.
func unmountAll(path string) error {
	for {
		switch err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err {
		case nil:
		case unix.EINVAL, unix.ENOENT: // not, or no longer, a mount point
			return nil
		default:
			return fmt.Errorf("unmounting %s: %w", path, err)
		}
	}
}

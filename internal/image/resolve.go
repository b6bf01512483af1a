package image

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const (
	maxLinks = 40   // symbolic links that one name may lead through, as in Linux
	maxSteps = 1024 // folders that one name may lead through, links included
)

// cleanName makes the name of an archive's entry relative to the root of the image. A name that climbs is refused even where it would stay inside: no honest archive has one.
func cleanName(name string) (string, error) {
	switch {
	case name == "":
		return "", fmt.Errorf("%w: an entry without a name", ErrInvalid)
	case len(name) > maxPath:
		return "", fmt.Errorf("%w: a name of %d bytes", ErrInvalid, len(name))
	case strings.ContainsRune(name, 0):
		return "", fmt.Errorf("%w: a name with a zero byte", ErrInvalid)
	case slices.Contains(strings.Split(name, "/"), ".."):
		return "", fmt.Errorf("%w: the name leaves the image", ErrInvalid)
	}
	return path.Clean(strings.TrimLeft(name, "/")), nil // "" becomes "."
}

// forget drops what is remembered of parents, after a change that may have moved one.
func (u *unpacker) forget() { u.parentOf, u.parentAt = "", "" }

// parent finds the folder that an entry belongs in, making what is missing.
func (u *unpacker) parent(dir string) (string, error) {
	if dir == u.parentOf {
		return u.parentAt, nil
	}
	at, err := u.walk(dir, true)
	if err != nil {
		return "", err
	}
	for made := at; made != "." && !u.made[made]; made = path.Dir(made) {
		u.made[made] = true
	}
	u.parentOf, u.parentAt = dir, at
	return at, nil
}

// lookup finds a folder that must be there.
func (u *unpacker) lookup(dir string) (string, error) { return u.walk(dir, false) }

// walk follows a path from the root of the image as a process inside would: absolute links start at that root, and nothing climbs above it. The result has
// no links in it.
func (u *unpacker) walk(dir string, create bool) (string, error) {
	at, links := ".", 0
	todo := components(dir)
	for steps := 0; len(todo) > 0; steps++ {
		if steps == maxSteps {
			return "", fmt.Errorf("%w: too many folders in folders", ErrInvalid)
		}
		name := todo[0]
		todo = todo[1:]
		if name == ".." {
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, name)
		if len(next) > maxPath {
			return "", fmt.Errorf("%w: a name of %d bytes", ErrInvalid, len(next))
		}
		info, err := u.root.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist) && create:
			if err := u.root.Mkdir(next, 0o755); err != nil {
				return "", err
			}
			at = next
		case errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("%w: %w", ErrInvalid, err)
		case err != nil:
			return "", err
		case info.IsDir():
			at = next
		case info.Mode().Type() == fs.ModeSymlink:
			if links++; links > maxLinks {
				return "", fmt.Errorf("%w: too many symbolic links", ErrInvalid)
			}
			target, err := u.root.Readlink(next)
			if err != nil {
				return "", err
			}
			if path.IsAbs(target) {
				at = "."
			}
			todo = append(components(target), todo...)
		default:
			return "", fmt.Errorf("%w: %q is not a folder", ErrInvalid, shorten(next))
		}
	}
	return at, nil
}

func components(name string) []string {
	return slices.DeleteFunc(strings.Split(name, "/"), func(c string) bool { return c == "" || c == "." })
}

func shorten(name string) string { return clip(name, 200) }

package agent

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

const maxLinks = 40 // symbolic links followed for one path, as the kernel's own limit

// resolve follows the symbolic links of a cleaned path and returns where it leads inside the folder; the last component is followed only if last is set. What does not exist yet is taken as it is.
//
// os.Root would refuse links that lead out as well, but it relies on O_NOFOLLOW|O_DIRECTORY failing on a link to a folder, and gVisor follows such a link. No path with a link in it therefore
// reaches it. A process of the user that swaps a folder for a link between this look and the use gains nothing: file operations run with that same user's credentials.
func (d *folder) resolve(rel string, last bool) (string, error) {
	rest, done, links := strings.Split(rel, "/"), ".", 0
	for len(rest) > 0 {
		at := path.Join(done, rest[0])
		rest = rest[1:]
		info, err := d.root.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return path.Join(append([]string{at}, rest...)...), nil
		case err != nil:
			return "", fileError(rel, err)
		case info.Mode()&fs.ModeSymlink == 0 || (len(rest) == 0 && !last):
			done = at
			continue
		}
		if links++; links > maxLinks {
			return "", bad(proto.BadPath, rel, "the path %q goes through too many symbolic links", rel)
		}
		target, err := d.root.Readlink(at)
		if err != nil {
			return "", fileError(rel, err)
		}
		if path.IsAbs(target) {
			below, ok := strings.CutPrefix(path.Clean(target)+"/", strings.TrimSuffix(d.dir, "/")+"/")
			if !ok {
				return "", leaves(rel)
			}
			target = path.Clean("./" + below)
		} else if target = path.Join(done, target); target == ".." || strings.HasPrefix(target, "../") {
			return "", leaves(rel)
		}
		if rest, done = append(strings.Split(target, "/"), rest...), "."; len(rest) > maxDepth {
			return "", bad(proto.BadPath, rel, "the path %q leads too deep", rel)
		}
	}
	return done, nil
}

func leaves(p string) error {
	return bad(proto.BadPath, p, "the path %q leaves the working folder through a symbolic link", p)
}

package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// entry is a file of a test archive: its header, and its content.
type entry struct {
	h       tar.Header
	content string
}

func file(name, content string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}, content}
}

func dir(name string) entry {
	return entry{h: tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}}
}

func link(kind byte, name, target string) entry {
	return entry{h: tar.Header{Typeflag: kind, Name: name, Linkname: target, Mode: 0o777}}
}

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if e.h.ModTime.IsZero() {
			e.h.ModTime = time.Unix(1_600_000_000, 0)
		}
		if err := w.WriteHeader(&e.h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unpack applies layers to a folder inside a temporary one, next to a file that nobody may touch.
func unpack(t testing.TB, limits Limits, layers ...[]byte) (root string, notes []string, err error) {
	t.Helper()
	root = filepath.Join(t.TempDir(), "rootfs")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(filepath.Dir(root), "outside")
	if err := os.WriteFile(outside, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	u, err := newUnpacker(root, limits)
	if err != nil {
		t.Fatal(err)
	}
	defer u.close()
	for _, layer := range layers {
		if err = u.apply(t.Context(), bytes.NewReader(layer)); err != nil {
			break
		}
	}
	if err == nil {
		notes, err = u.finish()
	}
	b, readErr := os.ReadFile(outside)
	info, statErr := os.Lstat(outside)
	list, listErr := os.ReadDir(filepath.Dir(root))
	if readErr != nil || statErr != nil || listErr != nil || string(b) != "untouched" || info.Mode() != 0o600 || len(list) != 2 || info.Sys().(*syscall.Stat_t).Nlink != 1 {
		t.Errorf("something outside was touched: %q, %v, %v", b, info, list)
	}
	return root, notes, err
}

// tree lists a folder: "dir/", "file=content", "link->target".
func tree(t testing.TB, root string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, _ := filepath.Rel(root, path)
		switch {
		case d.IsDir():
			all = append(all, name+"/")
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			all = append(all, name+"->"+target)
			return err
		default:
			b, err := os.ReadFile(path)
			all = append(all, name+"="+string(b))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestUnpack(t *testing.T) {
	tests := []struct {
		name   string
		layers [][]byte
		want   []string
		notes  []string
	}{
		{"plain", [][]byte{archive(t, dir("./"), dir("./etc"), file("./etc/passwd", "root"))}, []string{"etc/", "etc/passwd=root"}, nil},
		{"parents that are missing", [][]byte{archive(t, file("a/b/c", "x"))}, []string{"a/", "a/b/", "a/b/c=x"}, nil},
		{"absolute names are inside", [][]byte{archive(t, dir("/etc"), file("/etc/passwd", "mine"))}, []string{"etc/", "etc/passwd=mine"}, nil},
		{"file over file", [][]byte{archive(t, file("a", "1")), archive(t, file("a", "2"))}, []string{"a=2"}, nil},
		{"twice in one layer", [][]byte{archive(t, file("a", "1"), file("a", "2"))}, []string{"a=2"}, nil},
		{"file over folder", [][]byte{archive(t, file("a/b", "1")), archive(t, file("a", "2"))}, []string{"a=2"}, nil},
		{"folder over file", [][]byte{archive(t, file("a", "1")), archive(t, dir("a"), file("a/b", "2"))}, []string{"a/", "a/b=2"}, nil},
		{"folder over link", [][]byte{archive(t, dir("x"), link(tar.TypeSymlink, "a", "x")), archive(t, dir("a"), file("a/b", "2"))}, []string{"a/", "a/b=2", "x/"}, nil},
		{"link over folder", [][]byte{archive(t, file("a/b", "1"), dir("x")), archive(t, link(tar.TypeSymlink, "a", "x"), file("a/c", "2"))},
			[]string{"a->x", "x/", "x/c=2"}, nil},
		{"whiteout", [][]byte{archive(t, file("a/b", "1"), file("a/c", "1")), archive(t, file("a/.wh.b", ""))}, []string{"a/", "a/c=1"}, nil},
		{"whiteout of a folder", [][]byte{archive(t, file("a/b/c", "1")), archive(t, file("a/.wh.b", ""))}, []string{"a/"}, nil},
		{"whiteout of what is not there", [][]byte{archive(t, file("a/.wh.b", ""))}, []string{"a/"}, nil},
		{"whiteout spares its own layer", [][]byte{archive(t, file("a", "1")), archive(t, file("a", "2"), file(".wh.a", ""))}, []string{"a=2"}, nil},
		{"opaque", [][]byte{archive(t, file("a/b", "1"), file("a/d/e", "1")), archive(t, file("a/c", "2"), file("a/d/f", "2"), file("a/.wh..wh..opq", ""))},
			[]string{"a/", "a/c=2", "a/d/", "a/d/f=2"}, nil},
		{"opaque first", [][]byte{archive(t, file("a/b", "1")), archive(t, dir("a"), file("a/.wh..wh..opq", ""), file("a/b", "2"))}, []string{"a/", "a/b=2"}, nil},
		{"old bookkeeping", [][]byte{archive(t, file(".wh..wh.plnk", ""))}, nil, nil},
		{"relative link as parent", [][]byte{archive(t, dir("usr/lib"), link(tar.TypeSymlink, "lib", "usr/lib"), file("lib/x", "1"))},
			[]string{"lib->usr/lib", "usr/", "usr/lib/", "usr/lib/x=1"}, nil},
		{"absolute link as parent", [][]byte{archive(t, dir("run"), link(tar.TypeSymlink, "var/run", "/run"), file("var/run/x", "1"))},
			[]string{"run/", "run/x=1", "var/", "var/run->/run"}, nil},
		{"climbing link as parent stays inside", [][]byte{archive(t, link(tar.TypeSymlink, "a", "../../.."), file("a/outside", "x"))}, []string{"a->../../..", "outside=x"}, nil},
		{"link to the host's files stays inside", [][]byte{archive(t, link(tar.TypeSymlink, "a", "/etc"), file("a/sunaba-test", "x"))},
			[]string{"a->/etc", "etc/", "etc/sunaba-test=x"}, nil},
		{"write over a link", [][]byte{archive(t, link(tar.TypeSymlink, "a", "../outside"), file("a", "x"))}, []string{"a=x"}, nil},
		{"hard link", [][]byte{archive(t, file("a", "1"), link(tar.TypeLink, "b", "a"), link(tar.TypeLink, "/c", "/a"))}, []string{"a=1", "b=1", "c=1"}, nil},
		{"hard link into the layer below", [][]byte{archive(t, file("a", "1")), archive(t, link(tar.TypeLink, "b", "a"))}, []string{"a=1", "b=1"}, nil},
		{"hard link to itself", [][]byte{archive(t, file("a", "1"), link(tar.TypeLink, "a", "a"))}, []string{"a=1"}, nil},
		{"hard link to a link", [][]byte{archive(t, link(tar.TypeSymlink, "a", "../outside"), link(tar.TypeLink, "b", "a"))}, []string{"a->../outside", "b->../outside"}, nil},
		{"devices and pipes", [][]byte{archive(t, file("a", ""), link(tar.TypeChar, "dev/null", ""), link(tar.TypeBlock, "dev/sda", ""), link(tar.TypeFifo, "pipe", ""))},
			[]string{"a=", "dev/"}, []string{"device files left out: 2", "named pipes left out: 1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root, notes, err := unpack(t, DefaultLimits(), test.layers...)
			if err != nil {
				t.Fatal(err)
			}
			if got := tree(t, root); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			if !slices.Equal(notes, test.notes) {
				t.Errorf("notes %q, want %q", notes, test.notes)
			}
		})
	}
}

func TestHostileArchives(t *testing.T) {
	long := strings.Repeat("x/", 3000)
	loop := []entry{link(tar.TypeSymlink, "a", "b"), link(tar.TypeSymlink, "b", "a"), file("a/x", "")}
	tests := []struct {
		name    string
		layer   []byte
		limits  Limits
		message string
	}{
		{"climbs", archive(t, file("../outside", "x")), DefaultLimits(), "leaves the image"},
		{"climbs in the middle", archive(t, file("a/../../outside", "x")), DefaultLimits(), "leaves the image"},
		{"climbs from the root", archive(t, file("/../outside", "x")), DefaultLimits(), "leaves the image"},
		{"hard link outside", archive(t, link(tar.TypeLink, "a", "../outside")), DefaultLimits(), "leaves the image"},
		{"hard link through a link", archive(t, link(tar.TypeSymlink, "d", ".."), link(tar.TypeLink, "a", "d/outside")), DefaultLimits(), "no such file"},
		{"hard link to the host", archive(t, link(tar.TypeLink, "a", "/etc/passwd")), DefaultLimits(), "no such file"},
		{"hard link to a folder", archive(t, dir("d"), link(tar.TypeLink, "a", "d")), DefaultLimits(), "to a folder"},
		{"hard link to the root", archive(t, link(tar.TypeLink, "a", "/")), DefaultLimits(), "to a folder"},
		{"file as folder", archive(t, file("a", ""), file("a/b", "")), DefaultLimits(), "not a folder"},
		{"root as file", archive(t, file(".", "x")), DefaultLimits(), "root of an image"},
		{"links in a circle", archive(t, loop...), DefaultLimits(), "too many symbolic links"},
		{"long name", archive(t, dir(long)), DefaultLimits(), "bytes"},
		{"deep", archive(t, file(strings.Repeat("x/", 1500)+"y", "")), DefaultLimits(), "too many folders"},
		{"whiteout of the folder itself", archive(t, file("a/.wh..", "")), DefaultLimits(), "whiteout of nothing"},
		{"whiteout of the folder above", archive(t, file("a/.wh...", "")), DefaultLimits(), "whiteout of nothing"},
		{"empty link", archive(t, link(tar.TypeSymlink, "a", "")), DefaultLimits(), "symbolic link"},
		{"too many files", archive(t, file("a", ""), file("b", ""), file("c", "")), Limits{Bytes: 1 << 20, Entries: 2}, "more than 2 files"},
		{"too large", archive(t, file("a", strings.Repeat("x", 2000))), Limits{Bytes: 1000, Entries: 10}, "larger than 1000 B"},
		{"cut off", archive(t, file("a", strings.Repeat("x", 2000)))[:1000], DefaultLimits(), "unexpected EOF"},
		{"noise", bytes.Repeat([]byte("noise"), 400), DefaultLimits(), "invalid tar header"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := unpack(t, test.limits, test.layer)
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), test.message) {
				t.Errorf("got %v, want an invalid image: %q", err, test.message)
			}
		})
	}
}

// A sparse file claims any size with a few bytes of archive.
func TestSparseBomb(t *testing.T) {
	// Go's writer leaves such records out, so they are put into an innocent archive of the same length.
	plain := archive(t, entry{h: tar.Header{
		Typeflag: tar.TypeReg, Name: "a", Mode: 0o644, Format: tar.FormatPAX,
		PAXRecords: map[string]string{"XXX.sparse.major": "0", "XXX.sparse.minor": "1", "XXX.sparse.map": "0,0", "XXX.sparse.name": "a", "XXX.sparse.size": "9000000000000000000", "XXX.sparse.numblocks": "1"},
	}})
	layer := bytes.ReplaceAll(plain, []byte("XXX.sparse"), []byte("GNU.sparse"))
	if _, _, err := unpack(t, DefaultLimits(), layer); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
}

func TestAttributes(t *testing.T) {
	at := time.Unix(1_500_000_000, 0)
	header := func(kind byte, name string, mode int64) tar.Header {
		return tar.Header{Typeflag: kind, Name: name, Mode: mode, Uid: 1234, Gid: 5678, ModTime: at, Format: tar.FormatPAX,
			PAXRecords: map[string]string{"SCHILY.xattr.user.colour": "red", "SCHILY.xattr.security.capability": "\x01\x00\x00\x02\xff\xff\xff\xff"}}
	}
	symlink := header(tar.TypeSymlink, "l", 0o777)
	symlink.Linkname = "/etc/shadow"
	root, _, err := unpack(t, DefaultLimits(), archive(t,
		entry{h: header(tar.TypeDir, "d", 0o1775)}, entry{h: header(tar.TypeReg, "d/f", 0o4755)}, entry{h: header(tar.TypeReg, "none", 0)}, entry{h: symlink}))
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]uint32{"d": unix.S_IFDIR | 0o1775, "d/f": unix.S_IFREG | 0o4755, "none": unix.S_IFREG, "l": unix.S_IFLNK | 0o777} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(root, name), &st); err != nil {
			t.Fatal(err)
		}
		if st.Mode != mode || st.Uid != 1234 || st.Gid != 5678 {
			t.Errorf("%s: mode %o, owner %d:%d", name, st.Mode, st.Uid, st.Gid)
		}
		if st.Mtim.Sec != at.Unix() {
			t.Errorf("%s: modified at %v", name, time.Unix(st.Mtim.Unix()))
		}
		if name == "l" {
			continue
		}
		value := make([]byte, 64)
		n, err := unix.Lgetxattr(filepath.Join(root, name), "user.colour", value)
		if err != nil || string(value[:n]) != "red" {
			t.Errorf("%s: user's attribute %q, %v", name, value[:max(n, 0)], err)
		}
		if _, err := unix.Lgetxattr(filepath.Join(root, name), "security.capability", value); !errors.Is(err, unix.ENODATA) {
			t.Errorf("%s: has a capability: %v", name, err)
		}
	}
}

// Without root, what cannot be kept is left out, and everything stays readable to its owner.
func TestUnprivileged(t *testing.T) {
	root := t.TempDir()
	u, err := newUnpacker(root, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	defer u.close()
	u.privileged = false
	closed := dir("d")
	closed.h.Mode, closed.h.Uid = 0, 1234
	suid := file("d/f", "x")
	suid.h.Mode, suid.h.Uid = 0o4111, 1234
	if err := u.apply(t.Context(), bytes.NewReader(archive(t, closed, suid, link(tar.TypeSymlink, "l", "d")))); err != nil {
		t.Fatal(err)
	}
	notes, err := u.finish()
	if err != nil || !slices.Equal(notes, []string{"owners, for want of root, left out: 2"}) {
		t.Errorf("notes %q, %v", notes, err)
	}
	for name, mode := range map[string]uint32{"d": unix.S_IFDIR | 0o700, "d/f": unix.S_IFREG | 0o711, "l": unix.S_IFLNK | 0o777} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(root, name), &st); err != nil || st.Mode != mode || int(st.Uid) != os.Geteuid() {
			t.Errorf("%s: mode %o, owner %d, %v", name, st.Mode, st.Uid, err)
		}
	}
}

func TestFinish(t *testing.T) {
	for _, test := range []struct {
		name  string
		layer []byte
		want  []string
	}{
		{"no tmp", archive(t, file("a", "")), []string{"a=", "tmp/", "tmp/.sunaba="}},
		{"tmp", archive(t, dir("tmp")), []string{"tmp/", "tmp/.sunaba="}},
		{"its own file", archive(t, file("tmp/.sunaba", "x")), []string{"tmp/", "tmp/.sunaba=x"}},
		{"a link to a folder outside", archive(t, link(tar.TypeSymlink, "tmp", "..")), []string{"tmp->.."}},
		{"a link to a file outside", archive(t, dir("tmp"), link(tar.TypeSymlink, "tmp/.sunaba", "../../outside")), []string{"tmp/", "tmp/.sunaba->../../outside"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			root, _, err := unpack(t, DefaultLimits(), test.layer)
			if err != nil {
				t.Fatal(err)
			}
			if err := finish(root); err != nil {
				t.Fatal(err)
			}
			if got := tree(t, root); !slices.Equal(got, test.want) {
				t.Errorf("got %q", got)
			}
		})
	}
}

// An input is a script of archives, one entry a line: a letter for its kind, its name, and after a space a link's target or a file's content; an empty
// line begins the next layer. The archive format itself is the standard library's matter.
func FuzzUnpack(f *testing.F) {
	f.Add("5d\n0d/f x\n2l ../..\n0l/outside y\n\n0d/.wh.f\n1h l/outside")
	f.Add("0a/b 1\n2c /a\n\n0c/.wh..wh..opq\n0../outside z")
	f.Add("2a b\n2b a\n0a/x\n3n\n0/abs q\n5.\n5/\n1x /\n0.wh..\n2tmp ..")
	f.Add("2a ..\n1b a\n0b/outside\n\n5a\n0a/.wh.outside\n2t/.sunaba ../outside")
	f.Fuzz(func(t *testing.T, script string) {
		var layers [][]byte
		for _, text := range strings.Split(script, "\n\n") {
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			for line := range strings.Lines(text) {
				line = strings.TrimSuffix(line, "\n")
				if line == "" {
					continue
				}
				name, rest, _ := strings.Cut(line[1:], " ")
				h := tar.Header{Typeflag: line[0], Name: name, Linkname: rest, Mode: 0o755}
				if h.Typeflag == tar.TypeReg {
					h.Linkname, h.Size = "", int64(len(rest))
				}
				if w.WriteHeader(&h) == nil && h.Size > 0 {
					_, _ = w.Write([]byte(rest))
				}
			}
			_ = w.Close()
			layers = append(layers, b.Bytes())
		}
		// unpack itself fails the test if anything outside the folder has changed.
		root, _, err := unpack(t, Limits{Bytes: 1 << 20, Entries: 1000}, layers...)
		if err != nil {
			return
		}
		if err := finish(root); err != nil {
			t.Errorf("finish: %v", err)
		}
		if _, err := os.Lstat(filepath.Join(filepath.Dir(root), ".sunaba")); err == nil {
			t.Error("finish has left the folder")
		}
	})
}

func FuzzCleanName(f *testing.F) {
	for _, name := range []string{"a/b", "/a", "../a", "a/../..", "", ".", "./a//b/", "a\x00b", "..."} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if clean, err := cleanName(name); err == nil && !filepath.IsLocal(clean) {
			t.Errorf("cleanName(%q) = %q", name, clean)
		}
	})
}

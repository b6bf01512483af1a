package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

func text(path, content string) client.File {
	return client.File{Path: path, Size: int64(len(content)), Content: strings.NewReader(content)}
}

func (g *guest) read(ctx context.Context, path string) (content string, err error) {
	err = g.ReadFiles(ctx, []string{path}, func(_ proto.Entry, r io.Reader) error {
		b, err := io.ReadAll(r)
		content = string(b)
		return err
	})
	return content, err
}

func (g *guest) mustRead(t *testing.T, path, want string) {
	t.Helper()
	got, err := g.read(within(t), path)
	if err != nil {
		t.Errorf("read %s: %v", path, err)
	}
	check(t, path, got, want)
}

func code(err error) proto.ErrorCode {
	if e, ok := errors.AsType[*proto.Error](err); ok {
		return e.Code
	}
	return proto.ErrorCode(fmt.Sprint("not the guest's: ", err))
}

// attempts makes every file operation on a path, which all must refuse with one of the codes.
func (g *guest) refuses(t *testing.T, path string, codes ...proto.ErrorCode) {
	t.Helper()
	_, readErr := g.read(within(t), path)
	_, listErr := g.ListFiles(within(t), path)
	_, removeErr := g.RemoveFiles(within(t), []string{path})
	for op, err := range map[string]error{"read": readErr, "list": listErr, "remove": removeErr, "write": g.WriteFiles(within(t), []client.File{text(path, "evil")})} {
		if !slices.Contains(codes, code(err)) {
			t.Errorf("%s of %.80q: %.200v, want %v", op, path, err, codes)
		}
	}
}

func TestDotDotCannotLeaveTheWorkingFolder(t *testing.T) {
	g := start(t)
	outside := filepath.Join(filepath.Dir(g.dir), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"../secret", "a/../../secret", "./../secret", "a/b/../../../secret", "..", "../", outside, g.dir + "/../secret", g.dir + "x", "/etc/passwd"} {
		g.refuses(t, p, proto.BadPath)
	}
	if b, err := os.ReadFile(outside); err != nil || string(b) != "secret" {
		t.Errorf("the file outside is %q (%v) now", b, err)
	}
}

func TestSymbolicLinkCannotLeaveTheWorkingFolder(t *testing.T) {
	g := start(t)
	outside := filepath.Dir(g.dir) + "/open"
	if err := errors.Join(os.Mkdir(outside, 0o777), os.Chmod(outside, 0o777), os.WriteFile(outside+"/f", []byte("secret"), 0o666)); err != nil {
		t.Fatal(err)
	}
	g.sh(t, "ln -s /etc/passwd link; ln -s "+outside+" parent; ln -s ../open relative; ln -s link twice; ln -s loop loop")
	for _, p := range []string{"link", "twice", "parent/f", "relative/f", "loop"} {
		if got, err := g.read(within(t), p); code(err) != proto.BadPath {
			t.Errorf("read %s: %q, %v", p, got, err)
		}
	}
	for _, p := range []string{"parent/new", "relative/new", "parent/sub/new"} {
		if err := g.WriteFiles(within(t), []client.File{text(p, "evil")}); code(err) != proto.BadPath {
			t.Errorf("write %s: %v", p, err)
		}
	}
	for _, p := range []string{"parent", "relative", "link"} {
		if e, err := g.ListFiles(within(t), p); code(err) != proto.BadPath {
			t.Errorf("list %s: %v, %v", p, e, err)
		}
	}
	if _, err := g.RemoveFiles(within(t), []string{"parent/f"}); code(err) != proto.BadPath {
		t.Errorf("remove: %v", err)
	}
	if n, err := g.RemoveFiles(within(t), []string{"parent", "link", "relative", "twice", "loop"}); n != 5 || err != nil {
		t.Errorf("remove the links themselves: %d, %v", n, err)
	}
	if b, err := os.ReadFile(outside + "/f"); err != nil || string(b) != "secret" {
		t.Errorf("the file outside is %q (%v) now", b, err)
	}
	if names, _ := os.ReadDir(outside); len(names) != 1 {
		t.Errorf("outside there is %v", names)
	}
}

func TestWriteReplacesALinkAndNotItsTarget(t *testing.T) {
	g := start(t)
	g.sh(t, "echo -n target > target; ln -s target link; ln -s /etc/hostname out; ln target hard")
	for _, p := range []string{"link", "out", "hard"} {
		if err := g.WriteFiles(within(t), []client.File{text(p, "new")}); err != nil {
			t.Errorf("%s: %v", p, err)
		}
		if info, err := os.Lstat(filepath.Join(g.dir, p)); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s is %v (%v)", p, info, err)
		}
		g.mustRead(t, p, "new")
	}
	g.mustRead(t, "target", "target")
}

func TestPipesAndDevicesAreNotWaitedFor(t *testing.T) {
	g := start(t)
	g.sh(t, "mkfifo fifo; mkdir dir; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")'")
	if os.Geteuid() == 0 {
		if err := unix.Mknod(filepath.Join(g.dir, "zero"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))); err == nil {
			if _, err := g.read(within(t), "zero"); code(err) != proto.BadPath && code(err) != proto.Denied { // Denied where devices are not allowed
				t.Errorf("read a device: %v", err)
			}
		}
	}
	for _, p := range []string{"fifo", "dir"} {
		if _, err := g.read(within(t), p); code(err) != proto.BadPath {
			t.Errorf("read %s: %v", p, err)
		}
	}
	if _, err := g.read(within(t), "sock"); err == nil {
		t.Error("a socket was read")
	}
	if err := g.WriteFiles(within(t), []client.File{text("fifo", "x")}); err != nil {
		t.Error("a pipe is not replaced:", err)
	}
	g.mustRead(t, "fifo", "x")
}

func TestPathsThatCannotBeUsed(t *testing.T) {
	g := start(t)
	for _, p := range []string{"a\x00b", strings.Repeat("n", 300), strings.Repeat("d/", 5000) + "f", strings.Repeat("x", 5000), "\xff\xfe", "a/" + strings.Repeat("n", 256)} {
		g.refuses(t, p, proto.BadPath, proto.NotFound)
		if err := g.WriteFiles(within(t), []client.File{text(p, "x")}); code(err) != proto.BadPath {
			t.Errorf("write %.40q: %v", p, err)
		}
	}
	for _, p := range []string{"", ".", "./", "a/", "/", g.dir, g.dir + "/"} {
		if err := g.WriteFiles(within(t), []client.File{text(p, "x")}); code(err) != proto.BadPath {
			t.Errorf("write %q: %v", p, err)
		}
		if _, err := g.read(within(t), p); code(err) != proto.BadPath {
			t.Errorf("read %q: %v", p, err)
		}
	}
	if entries, err := g.ListFiles(within(t), ""); len(entries) != 0 || err != nil {
		t.Errorf("something is left: %v, %v", entries, err)
	}
	g.put(t, "file", "x")
	if _, err := g.read(within(t), "file/x"); code(err) != proto.BadPath {
		t.Errorf("below a file: %v", err)
	}
	if err := g.WriteFiles(within(t), []client.File{text("file/x", "x")}); code(err) != proto.BadPath {
		t.Errorf("below a file: %v", err)
	}
}

func TestPathsThatCanBeUsed(t *testing.T) {
	g := start(t)
	for _, p := range []string{"f", "./g", "a/b/c", "a/../h", ".hidden", " ", "-rf", "ä/砂場 🏖", "new\nline", "\u202e", "a\\b", "..x", g.dir + "/absolute", strings.Repeat("n", 200)} {
		if err := g.WriteFiles(within(t), []client.File{text(p, "content of "+p)}); err != nil {
			t.Errorf("write %q: %v", p, err)
		}
		g.mustRead(t, p, "content of "+p)
	}
}

func TestWriteIsAllOrNothing(t *testing.T) {
	g := start(t)
	g.sh(t, "echo -n old > old; mkdir dir; mkdir -p a/keep")
	before := g.tree(t)
	for name, last := range map[string]client.File{
		"a folder":      text("dir", "x"),
		"an escape":     text("../x", "x"),
		"twice":         text("new/deep/file", "x"),
		"too short":     {Path: "short", Size: 10, Content: strings.NewReader("abc")},
		"unreadable":    {Path: "broken", Size: 10, Content: io.MultiReader(strings.NewReader("abc"), brokenReader{})},
		"below a file":  text("old/x", "x"),
		"below a new":   text("new/deep/file/x", "x"),
		"a long name":   text(strings.Repeat("n", 256), "x"),
		"a NUL":         text("x\x00", "x"),
		"not its owner": text("/etc/x", "x"),
	} {
		err := g.WriteFiles(within(t), []client.File{text("old", "new"), text("new/deep/file", "x"), text("a/b", "x"), last})
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if (name == "too short" || name == "unreadable") && (errors.Is(err, client.ErrDisconnected) || !strings.Contains(err.Error(), "content")) {
			t.Errorf("%s: %v", name, err)
		}
		await(t, name+": everything is as before", func() bool { return g.tree(t) == before }) // a host that fails does not wait for the guest
	}
	g.mustRead(t, "old", "old")
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("the disk is on fire") }

// tree lists all that is in the working folder.
func (g *guest) tree(t *testing.T) string {
	t.Helper()
	return g.sh(t, "find . | sort; cat old").stdout
}

func TestWriteKeepsTheMode(t *testing.T) {
	g := start(t)
	g.sh(t, "touch x plain; chmod 755 x; umask 0; touch open; chmod 666 open")
	for p, mode := range map[string]os.FileMode{"x": 0o755, "plain": 0o644, "open": 0o666, "fresh": 0o644} {
		if err := g.WriteFiles(within(t), []client.File{text(p, "#!/bin/sh\n")}); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(filepath.Join(g.dir, p)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v; want %v", p, info.Mode(), err, mode)
		}
	}
}

func TestLargeFileIsExact(t *testing.T) {
	g := start(t)
	content := make([]byte, 50<<20)
	for i := range content {
		content[i] = byte(i * i >> 7)
	}
	want := sha256.Sum256(content)
	if err := g.WriteFiles(within(t), []client.File{text("empty", ""), {Path: "large", Size: int64(len(content)), Content: bytes.NewReader(content)}, text("last", "x")}); err != nil {
		t.Fatal(err)
	}
	var order []string
	err := g.ReadFiles(within(t), []string{"last", "large", "empty"}, func(e proto.Entry, r io.Reader) error {
		h := sha256.New()
		n, err := io.Copy(h, r)
		if n != e.Size {
			t.Errorf("%s has %d bytes, %d were announced", e.Path, n, e.Size)
		}
		if e.Path == "large" && [32]byte(h.Sum(nil)) != want {
			t.Error("the content has changed")
		}
		order = append(order, e.Path)
		return err
	})
	if err != nil || !slices.Equal(order, []string{"last", "large", "empty"}) {
		t.Errorf("%v, %v", order, err)
	}
	// Who does not read all, or gives up, disturbs nothing.
	enough := errors.New("enough")
	if err := g.ReadFiles(within(t), []string{"large", "last"}, func(proto.Entry, io.Reader) error { return nil }); err != nil {
		t.Error(err)
	}
	for range 20 {
		if err := g.ReadFiles(within(t), []string{"large"}, func(proto.Entry, io.Reader) error { return enough }); !errors.Is(err, enough) {
			t.Error(err)
		}
	}
	g.mustRead(t, "last", "x")
}

func TestList(t *testing.T) {
	g := start(t)
	g.sh(t, "mkdir -p d/e .hid; echo -n abc > b; touch .dot A d/x; ln -s d dirlink; ln -s nothing dangling; ln -s /etc out")
	entries, err := g.ListFiles(within(t), ".")
	want := []proto.Entry{{Path: ".dot"}, {Path: ".hid", Dir: true}, {Path: "A"}, {Path: "b", Size: 3}, {Path: "d", Dir: true}, {Path: "dangling"}, {Path: "dirlink", Dir: true}, {Path: "out"}}
	if err != nil || !slices.Equal(entries, want) {
		t.Errorf("%v, %v; want %v", entries, err, want)
	}
	for _, p := range []string{"d", "d/", "./d", g.dir + "/d"} {
		if entries, err := g.ListFiles(within(t), p); err != nil || !slices.Equal(entries, []proto.Entry{{Path: "d/e", Dir: true}, {Path: "d/x"}}) {
			t.Errorf("%s: %v, %v", p, entries, err)
		}
	}
	for p, want := range map[string]proto.ErrorCode{"nothing": proto.NotFound, "b": proto.BadPath} {
		if _, err := g.ListFiles(within(t), p); code(err) != want {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestRemoveChecksAllFirst(t *testing.T) {
	g := start(t)
	g.sh(t, "mkdir -p d/e; touch a b d/e/f")
	if n, err := g.RemoveFiles(within(t), []string{"a", "missing"}); n != 0 || code(err) != proto.NotFound || !exists(g.dir+"/a") {
		t.Errorf("%d, %v", n, err)
	}
	for _, p := range []string{"", ".", "/", g.dir, "d/.."} {
		if _, err := g.RemoveFiles(within(t), []string{"a", p}); code(err) != proto.BadPath || !exists(g.dir+"/a") {
			t.Errorf("%q: %v", p, err)
		}
	}
	if n, err := g.RemoveFiles(within(t), []string{"a", "d"}); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if entries, _ := g.ListFiles(within(t), ""); !slices.Equal(entries, []proto.Entry{{Path: "b"}}) {
		t.Errorf("left: %v", entries)
	}
}

func TestRemoveOfADeepTree(t *testing.T) {
	g := start(t)
	o := g.python(t, "import os\nfor _ in range(5000):\n    os.mkdir('deep'); os.chdir('deep')\nos.chdir(os.environ['HOME'])")
	if o.ExitCode != 0 {
		t.Fatal(o.stderr)
	}
	if n, err := g.RemoveFiles(within(t), []string{"deep"}); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestFilesBelongToTheUserAndItsPermissionsCount(t *testing.T) {
	g := start(t)
	if err := g.WriteFiles(within(t), []client.File{text("made/file", "x")}); err != nil {
		t.Fatal(err)
	}
	want := os.Geteuid()
	if want == 0 {
		want = userID
	}
	for _, p := range []string{"made", "made/file"} {
		if info, err := os.Stat(filepath.Join(g.dir, p)); err != nil || int(info.Sys().(*syscall.Stat_t).Uid) != want {
			t.Errorf("%s: %+v, %v", p, info, err)
		}
	}
	if os.Geteuid() == 0 { // who is not root cannot make files of others
		for name, mode := range map[string]os.FileMode{"private": 0o600, "group": 0o640} {
			path := filepath.Join(g.dir, name)
			if err := errors.Join(os.WriteFile(path, []byte("secret"), mode), os.Chmod(path, mode)); err != nil {
				t.Fatal(err)
			}
			if got, err := g.read(within(t), name); code(err) != proto.Denied {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
	}
	g.sh(t, "mkdir shut; touch shut/f; chmod 0 shut")
	if _, err := g.read(within(t), "shut/f"); code(err) != proto.Denied {
		t.Errorf("a closed folder: %v", err)
	}
	g.sh(t, "chmod 700 shut")
}

func TestThreadsGetTheirCredentialsBack(t *testing.T) {
	g := start(t)
	done := make(chan error)
	for i := range 8 {
		go func() {
			var err error
			for n := range 25 {
				p := fmt.Sprintf("f%d.%d", i, n)
				_, readErr := g.read(context.Background(), "../x")
				if code(readErr) != proto.BadPath {
					err = errors.Join(err, readErr)
				}
				err = errors.Join(err, g.WriteFiles(context.Background(), []client.File{text(p, "x")}))
			}
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", g.cmd.Process.Pid))
	if err != nil || len(tasks) == 0 {
		t.Fatal("no threads:", err)
	}
	want := fmt.Sprintf("Uid:\t%d\t%d\t%d\t%d\n", os.Getuid(), os.Geteuid(), os.Geteuid(), os.Geteuid())
	for _, task := range tasks {
		if b, err := os.ReadFile(task); err == nil && !strings.Contains(string(b), want) { // a thread may have ended
			t.Errorf("%s has other credentials", task)
		}
	}
	if o := g.sh(t, "id -u"); o.ExitCode != 0 { // becoming the user takes root
		t.Errorf("%+v", o)
	}
}

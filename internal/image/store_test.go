package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func id(digit string) string { return strings.Repeat(digit, 64) }

// put stores an image with one file under names.
func put(t *testing.T, s *Store, id string, names ...string) Image {
	t.Helper()
	st, err := s.stage(t.Context(), id, func() {})
	if err != nil || st == nil {
		t.Fatalf("stage: %v, %v", st, err)
	}
	if err := os.WriteFile(filepath.Join(st.root, "file"), make([]byte, 10_000), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := st.commit(Image{Created: time.Now(), Source: "test", Architecture: "amd64", Env: map[string]string{"A": "b"}}); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := s.editNames(t.Context(), func(n map[string]string) { n[name] = id }); err != nil {
			t.Fatal(err)
		}
	}
	img, err := s.Resolve(id)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestResolve(t *testing.T) {
	s := New(t.TempDir())
	a := put(t, s, "aaaaaaaaa1"+id("a")[10:], "one", "team/app:1.2")
	b := put(t, s, "aaaaaaaaa2"+id("a")[10:])
	if !slices.Equal(a.Names, []string{"one", "team/app:1.2"}) || a.Env["A"] != "b" || a.Source != "test" || a.Size < 10_000 || !filepath.IsAbs(a.Root) {
		t.Errorf("got %+v", a)
	}
	if _, err := os.Stat(filepath.Join(a.Root, "file")); err != nil {
		t.Error(err)
	}
	for ref, want := range map[string]string{"one": a.ID, "team/app:1.2": a.ID, a.ID: a.ID, "aaaaaaaaa1": a.ID, "aaaaaaaaa2a": b.ID} {
		if got, err := s.Resolve(ref); err != nil || got.ID != want {
			t.Errorf("Resolve(%q) = %.12s, %v", ref, got.ID, err)
		}
	}
	for _, ref := range []string{"", "two", "aaaaaaaa", "aaaa", id("b"), "../images", "default"} {
		if got, err := s.Resolve(ref); !errors.Is(err, ErrNotFound) {
			t.Errorf("Resolve(%q) = %+v, %v", ref, got, err)
		}
	}
	if _, err := s.Resolve("default"); !strings.Contains(err.Error(), "sunaba image build") {
		t.Errorf("no way to get the default image: %v", err)
	}
}

func TestList(t *testing.T) {
	s := New(filepath.Join(t.TempDir(), "not", "there"))
	if images, err := s.List(t.Context()); err != nil || len(images) != 0 {
		t.Errorf("an empty store: %v, %v", images, err)
	}
	put(t, s, id("a"), "old")
	put(t, s, id("b"), "new")
	images, err := s.List(t.Context())
	if err != nil || len(images) != 2 || images[0].Names[0] != "new" {
		t.Errorf("got %+v, %v", images, err)
	}
	info, err := os.Stat(s.dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("others may enter the store: %v, %v", info.Mode(), err)
	}
}

func TestRemove(t *testing.T) {
	s := New(t.TempDir())
	img := put(t, s, id("a"), "one", "two")
	if err := s.Remove(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Resolve("two"); err != nil || !slices.Equal(got.Names, []string{"two"}) {
		t.Fatalf("the other name: %+v, %v", got, err)
	}
	first, err := s.Use(img.ID)
	if err != nil {
		t.Fatal(err)
	}
	second, err := New(filepath.Dir(s.dir)).Use(img.ID)
	if err != nil {
		t.Fatalf("used twice: %v", err)
	}
	for range 2 {
		if err := s.Remove(t.Context(), "two"); !errors.Is(err, ErrInUse) {
			t.Errorf("removed while in use: %v", err)
		}
		first()
	}
	second()
	if err := s.Remove(t.Context(), "two"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Resolve(img.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("still there: %v", err)
	}
	if _, err := s.Use(img.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("used after its end: %v", err)
	}
	if err := s.Remove(t.Context(), "two"); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	if got := entries(t, s.dir); !slices.Equal(got, []string{namesFile}) {
		t.Errorf("left behind: %v", got)
	}
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// What a crash leaves behind is never taken for an image, and goes with the next run; what another process is still making stays.
func TestCrash(t *testing.T) {
	s := New(t.TempDir())
	st, err := s.stage(t.Context(), id("a"), func() {})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(st.root, "half"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.clean(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(st.root, "half")); err != nil {
		t.Errorf("an image in the making was removed: %v", err)
	}
	if images, err := s.List(t.Context()); err != nil || len(images) != 0 {
		t.Errorf("half an image is visible: %v, %v", images, err)
	}
	st.lock.Close() // as the kernel does when the process dies
	if err := os.Mkdir(filepath.Join(s.dir, removedPrefix+id("b")+"-1"), 0o700); err != nil {
		t.Fatal(err)
	}
	again, err := s.stage(t.Context(), id("a"), func() {})
	if err != nil || again == nil {
		t.Fatalf("a second attempt: %v", err)
	}
	if got := entries(t, again.root); len(got) != 0 {
		t.Errorf("begins with what the crash left: %v", got)
	}
	again.abandon()
	again.abandon()
	if err := s.clean(); err != nil {
		t.Fatal(err)
	}
	if got := entries(t, s.dir); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
}

func TestOneImageIsMadeOnce(t *testing.T) {
	cache := t.TempDir()
	var mu sync.Mutex
	made := 0
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			st, err := New(cache).stage(t.Context(), id("a"), func() {})
			if err != nil {
				t.Error(err)
			}
			if st == nil || err != nil {
				return
			}
			mu.Lock()
			made++
			mu.Unlock()
			if err := st.commit(Image{}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if made != 1 {
		t.Errorf("made %d times", made)
	}
}

func TestWaitingForAnotherProcessEndsWithTheContext(t *testing.T) {
	s := New(t.TempDir())
	st, err := s.stage(t.Context(), id("a"), func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer st.abandon()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := s.stage(ctx, id("a"), cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestNamesOfManyProcesses(t *testing.T) {
	cache := t.TempDir()
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			if err := New(cache).editNames(t.Context(), func(n map[string]string) { n[fmt.Sprint("n", i)] = id("a") }); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	names, err := New(cache).readNames()
	if err != nil || len(names) != 20 {
		t.Errorf("%d names survived, %v", len(names), err)
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"default", "my-image", "team/app:1.2", "a", "python3.11", "localhost:5000/x_y", "app:V1"} {
		if err := checkName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "-x", "../x", "x/", "x y", "Ünïcode", "UPPER", "x\n", id("a"), "deadbeef", strings.Repeat("x", 129)} {
		if checkName(name) == nil {
			t.Errorf("%q is taken", name)
		}
	}
}

func TestMountUnder(t *testing.T) {
	const table = "22 27 0:21 / /proc rw - proc proc rw\n36 27 0:5 / /cache/my\\040images/a/rootfs/dev rw - devtmpfs d rw\nodd line\n"
	for dir, want := range map[string]string{
		"/cache/my images": "/cache/my images/a/rootfs/dev", "/cache/my images/a/rootfs/dev": "/cache/my images/a/rootfs/dev",
		"/cache/my": "", "/pro": "", "/proc": "/proc", "/proc/self": "",
	} {
		if got := mountUnder(table, dir); got != want {
			t.Errorf("mountUnder(%q) = %q", dir, got)
		}
	}
}

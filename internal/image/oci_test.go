package image

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// configured returns the test image with another configuration.
func configured(t *testing.T, change func(*v1.ConfigFile)) v1.Image {
	t.Helper()
	img := testImage(t, runtime.GOARCH)
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	change(config)
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

func TestAdd(t *testing.T) {
	s := New(t.TempDir())
	img := testImage(t, runtime.GOARCH)
	added, err := s.Add(t.Context(), img, "registry/app@sha256:0")
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if argv := strings.Join(added.Argv(), " "); argv != "/bin/sh -c true" || added.User != "app:app" || added.WorkingDir != "/srv" || added.Env["A"] != "b=c" || added.Architecture != runtime.GOARCH ||
		strings.Join(added.ExposedPorts, " ") != "443/tcp 8080/tcp" || added.Digest != digest.String() || len(added.Names) != 0 || added.Source != "registry/app@sha256:0" {
		t.Errorf("%+v", added)
	}
	if b, err := os.ReadFile(filepath.Join(added.Root, "etc/os")); err != nil || string(b) != runtime.GOARCH+"!" {
		t.Errorf("%q, %v", b, err)
	}
}

// An image of which there is a copy is not unpacked again, though another manifest, which names its layers otherwise, leads to it.
func TestAddedOnce(t *testing.T) {
	s := New(t.TempDir())
	img := testImage(t, runtime.GOARCH)
	first, err := s.Add(t.Context(), img, "first")
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(first.Root)
	if err != nil {
		t.Fatal(err)
	}
	annotated, ok := mutate.Annotations(img, map[string]string{"built": "again"}).(v1.Image)
	if !ok {
		t.Fatal("no image")
	}
	second, err := s.Add(t.Context(), annotated, "second")
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(second.Root)
	if err != nil {
		t.Fatal(err)
	}
	if second.ID != first.ID || !os.SameFile(before, after) || second.Digest == first.Digest {
		t.Errorf("first %+v, then %+v", first, second)
	}
}

func TestAddAtOnce(t *testing.T) {
	s := New(t.TempDir())
	img := testImage(t, runtime.GOARCH)
	var all sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids {
		all.Go(func() {
			added, err := s.Add(t.Context(), img, "x")
			if err != nil {
				t.Error(err)
			}
			ids[i] = added.ID
		})
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Error(ids)
		}
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v are in the store, %v", entries, err)
	}
}

func TestAddedImageInUseIsNotRemoved(t *testing.T) {
	s := New(t.TempDir())
	added, err := s.Add(t.Context(), testImage(t, runtime.GOARCH), "x")
	if err != nil {
		t.Fatal(err)
	}
	release, err := s.Use(added.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), added.ID); !errors.Is(err, ErrInUse) {
		t.Errorf("while it is in use: %v", err)
	}
	release()
	if err := s.Remove(t.Context(), added.ID); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(added.Root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the root: %v", err)
	}
}

func TestAddRefuses(t *testing.T) {
	for name, row := range map[string]struct {
		image v1.Image
		want  error
		says  string
	}{
		"another architecture": {testImage(t, otherArch()), ErrArchitecture, "linux/" + otherArch()},
		"another system":       {configured(t, func(c *v1.ConfigFile) { c.OS = "windows" }), ErrArchitecture, "windows"},
		"no program":           {configured(t, func(c *v1.ConfigFile) { c.Config.Entrypoint, c.Config.Cmd = nil, nil }), ErrNoProgram, "ENTRYPOINT"},
		"a layer that does not match": {configured(t, func(c *v1.ConfigFile) {
			c.RootFS.DiffIDs[0] = v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}
		}), ErrInvalid, "digest"},
		"fewer digests than layers": {configured(t, func(c *v1.ConfigFile) { c.RootFS.DiffIDs = c.RootFS.DiffIDs[:1] }), ErrInvalid, "layers"},
	} {
		s := New(t.TempDir())
		_, err := s.Add(t.Context(), row.image, "somewhere")
		if !errors.Is(err, row.want) || !strings.Contains(err.Error(), row.says) || !strings.Contains(err.Error(), "somewhere") {
			t.Errorf("%s: %v", name, err)
		}
		if ids, err := s.ids(); err != nil || len(ids) != 0 {
			t.Errorf("%s leaves %v, %v", name, ids, err)
		}
	}
}

func TestAddHonoursLimitsAndContext(t *testing.T) {
	s := New(t.TempDir())
	s.Limits.Bytes = 100
	if _, err := s.Add(t.Context(), testImage(t, runtime.GOARCH), "x"); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(t.TempDir()).Add(ctx, testImage(t, runtime.GOARCH), "x"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestChoose(t *testing.T) {
	own := testImage(t, runtime.GOARCH)
	chosen, err := Choose(index(t, testImage(t, otherArch()), own), "x")
	if err != nil {
		t.Fatal(err)
	}
	want, _ := own.Digest()
	if got, err := chosen.Digest(); got != want || err != nil {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
	if _, err := Choose(index(t, testImage(t, otherArch())), "x"); !errors.Is(err, ErrArchitecture) {
		t.Error(err)
	}
}

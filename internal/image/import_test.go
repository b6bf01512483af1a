package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// testImage makes an image of two layers: the second replaces a file of the first and removes another.
func testImage(t *testing.T, arch string) v1.Image {
	t.Helper()
	img := empty.Image
	for _, content := range [][]byte{
		archive(t, dir("etc"), file("etc/os", arch), file("etc/old", "x"), file("bin/sh", "shell")),
		archive(t, file("etc/os", arch+"!"), file("etc/.wh.old", ""), link(tar.TypeLink, "bin/bash", "bin/sh")),
	} {
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			t.Fatal(err)
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	config.Config = v1.Config{
		Env: []string{"PATH=/bin", "EMPTY=", "odd", "A=b=c"}, Entrypoint: []string{"/bin/sh"}, Cmd: []string{"-c", "true"}, User: "app:app", WorkingDir: "/srv",
		Labels: map[string]string{"l": "v"}, ExposedPorts: map[string]struct{}{"8080/tcp": {}, "443/tcp": {}},
	}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

func otherArch() string {
	if runtime.GOARCH == "arm64" {
		return "amd64"
	}
	return "arm64"
}

var testTree = []string{"bin/", "bin/bash=shell", "bin/sh=shell", "etc/", "etc/os=" + runtime.GOARCH + "!", "tmp/", "tmp/.sunaba="}

func index(t *testing.T, images ...v1.Image) v1.ImageIndex {
	t.Helper()
	index := v1.ImageIndex(empty.Index)
	for _, img := range images {
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: config.OS, Architecture: config.Architecture}}})
	}
	return index
}

func writeLayout(t *testing.T, index v1.ImageIndex) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "My_Layout")
	if _, err := layout.Write(dir, index); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeDocker(t *testing.T, images map[string]v1.Image) string {
	t.Helper()
	tags := map[name.Tag]v1.Image{}
	for ref, img := range images {
		tag, err := name.NewTag(ref)
		if err != nil {
			t.Fatal(err)
		}
		tags[tag] = img
	}
	path := filepath.Join(t.TempDir(), "saved.tar")
	if err := tarball.MultiWriteToFile(path, tags); err != nil {
		t.Fatal(err)
	}
	return path
}

// pack makes a tar file of a folder, as an OCI archive is.
func pack(t *testing.T, folder string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.AddFS(os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return write(t, "archive.oci.tar", b.Bytes())
}

func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func compress(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(content)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return write(t, "saved.tar.gz", b.Bytes())
}

// startRegistry serves a registry on loopback, over plain HTTP.
func startRegistry(t *testing.T) (host string) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func push(t *testing.T, ref string, what any) {
	t.Helper()
	parsed, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	switch what := what.(type) {
	case v1.Image:
		err = remote.Write(parsed, what, remote.WithContext(t.Context()))
	case v1.ImageIndex:
		err = remote.WriteIndex(parsed, what, remote.WithContext(t.Context()))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestImport(t *testing.T) {
	mine, other := testImage(t, runtime.GOARCH), testImage(t, otherArch())
	many := index(t, other, mine)
	host := startRegistry(t)
	push(t, host+"/team/single:1", mine)
	push(t, host+"/team/many", many)
	digest, err := many.Digest()
	if err != nil {
		t.Fatal(err)
	}
	nested := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: many})
	docker := writeDocker(t, map[string]v1.Image{"team/app:1": mine})
	tests := []struct{ name, ref, derived string }{
		{"layout", writeLayout(t, index(t, mine)), "my_layout"},
		{"layout of an index", writeLayout(t, many), "my_layout"},
		{"layout of an index in an index", writeLayout(t, nested), "my_layout"},
		{"docker archive", docker, "saved"},
		{"docker archive, compressed", compress(t, docker), "saved"},
		{"one of a docker archive", writeDocker(t, map[string]v1.Image{"team/app:1": mine, "team/app:2": other}) + ":1", "saved.tar:1"},
		{"OCI archive", pack(t, writeLayout(t, many)), "archive"},
		{"registry", host + "/team/single:1", "single:1"},
		{"registry, index", host + "/team/many", "many"},
		{"registry, digest", host + "/team/many@" + digest.String(), "many"},
	}
	config, err := mine.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := New(t.TempDir())
			var steps []string
			img, err := s.Import(t.Context(), test.ref, "", func(step Step) {
				if len(steps) == 0 || steps[len(steps)-1] != step.Title {
					steps = append(steps, step.Title)
				}
				if step.Count != 3 || step.Index != len(steps) {
					t.Errorf("step %+v", step)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := tree(t, img.Root); !slices.Equal(got, testTree) {
				t.Errorf("got %q", got)
			}
			if img.ID != config.Hex || !slices.Equal(img.Names, []string{test.derived}) || img.Architecture != runtime.GOARCH || img.Digest == "" || img.Source == "" {
				t.Errorf("got %+v", img)
			}
			if len(img.Env) != 3 || img.Env["PATH"] != "/bin" || img.Env["A"] != "b=c" || img.User != "app:app" || img.WorkingDir != "/srv" || img.Labels["l"] != "v" ||
				!slices.Equal(img.Entrypoint, []string{"/bin/sh"}) || !slices.Equal(img.Cmd, []string{"-c", "true"}) || !slices.Equal(img.ExposedPorts, []string{"443/tcp", "8080/tcp"}) {
				t.Errorf("configuration: %+v", img)
			}
			if !slices.Equal(steps, []string{"Reading", "Unpacking", "Saving"}) {
				t.Errorf("steps %q", steps)
			}
			again, err := s.Import(t.Context(), test.ref, "second", nil)
			if err != nil || !slices.Equal(again.Names, slices.Sorted(slices.Values([]string{"second", test.derived}))) || !again.Created.Equal(img.Created) {
				t.Errorf("a second time: %+v, %v", again, err)
			}
			if got := entries(t, s.dir); len(got) != 2 {
				t.Errorf("left behind: %v", got)
			}
		})
	}
}

func TestImportFails(t *testing.T) {
	mine, other := testImage(t, runtime.GOARCH), testImage(t, otherArch())
	host := startRegistry(t)
	push(t, host+"/other", other)
	push(t, host+"/others", index(t, other))
	docker := writeDocker(t, map[string]v1.Image{"team/app:1": mine, "team/app:2": other})
	nested := index(t, mine)
	for range 5 {
		nested = mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: nested})
	}
	hostile, err := mutate.AppendLayers(mine, staticLayer(t, archive(t, file("../outside", "x"))))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, ref string
		want      error
		message   string
	}{
		{"no file", "./nothing.tar", ErrNotFound, "no such file"},
		{"not in the registry", host + "/nothing:1", ErrNotFound, "nothing"},
		{"no reference at all", "Not A Reference", nil, "neither a file"},
		{"an empty folder", t.TempDir(), ErrInvalid, "index.json"},
		{"an empty index", writeLayout(t, empty.Index), ErrInvalid, "no image"},
		{"a tar of something else", write(t, "x.tar", archive(t, file("a", "b"))), ErrInvalid, "neither manifest.json"},
		{"noise", write(t, "x.tar", bytes.Repeat([]byte("noise"), 1000)), ErrInvalid, "tar header"},
		{"noise like gzip", write(t, "x.tar", []byte("\x1f\x8bnoise")), ErrInvalid, "unexpected EOF"},
		{"an empty file", write(t, "x.tar", nil), ErrInvalid, "neither manifest.json"},
		{"an empty manifest", write(t, "x.tar", archive(t, file("manifest.json", "[]"))), ErrNotFound, "TAG"},
		{"a manifest of nothing", write(t, "x.tar", archive(t, file("manifest.json", "[{}]"))), ErrInvalid, ""},
		{"an odd manifest", write(t, "x.tar", archive(t, file("manifest.json", `[{"Config":"c","Layers":["a","b"]}]`), file("c", `{"rootfs":{"type":"layers","diff_ids":["sha256:x"]}}`))), ErrInvalid, ""},
		{"several images", docker, ErrNotFound, "team/app:1"},
		{"an unknown tag", docker + ":3", ErrNotFound, "team/app:1"},
		{"another architecture in an archive", docker + ":2", ErrArchitecture, "linux/" + otherArch()},
		{"another architecture in a registry", host + "/other", ErrArchitecture, "linux/" + otherArch()},
		{"only other architectures", host + "/others", ErrArchitecture, "linux/" + otherArch()},
		{"too deep", writeLayout(t, nested), ErrInvalid, "deep"},
		{"hostile", writeLayout(t, index(t, hostile)), ErrInvalid, "leaves the image"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := New(t.TempDir())
			_, err := s.Import(t.Context(), test.ref, "it", nil)
			if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.message) {
				t.Errorf("got %v, want %v: %q", err, test.want, test.message)
			}
			if got := entries(t, s.dir); len(got) != 0 {
				t.Errorf("left behind: %v", got)
			}
		})
	}
}

func staticLayer(t *testing.T, content []byte) v1.Layer {
	t.Helper()
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

// Every blob of an image is checked: one changed byte anywhere is found, wherever the image comes from.
func TestCorruption(t *testing.T) {
	img := testImage(t, runtime.GOARCH)
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	blobs := map[string]v1.Hash{"manifest": digest, "configuration": manifest.Config.Digest, "first layer": manifest.Layers[0].Digest, "last layer": manifest.Layers[1].Digest}
	for what, hash := range blobs {
		t.Run(what, func(t *testing.T) {
			dir := writeLayout(t, index(t, img))
			path := filepath.Join(dir, "blobs", hash.Algorithm, hash.Hex)
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range []int{0, 1, len(content) / 2, len(content) - 2, len(content) - 1} {
				changed := bytes.Clone(content)
				changed[at] ^= 0x20
				if err := os.WriteFile(path, changed, 0o600); err != nil {
					t.Fatal(err)
				}
				s := New(t.TempDir())
				if _, err := s.Import(t.Context(), dir, "it", nil); !errors.Is(err, ErrInvalid) {
					// gzip does not look at every bit of its header; what it unpacks to is the same then.
					if layer := strings.HasSuffix(what, "layer"); !layer || at > 9 || err != nil {
						t.Errorf("byte %d: %v", at, err)
					}
				}
			}
		})
	}
	t.Run("docker archive", func(t *testing.T) {
		layer := archive(t, file("a", "precious"))
		config := fmt.Sprintf(`{"os":"linux","architecture":%q,"config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%x"]}}`, runtime.GOARCH, sha256.Sum256(layer))
		for content, sound := range map[string]bool{"precious": true, "Precious": false} {
			saved := archive(t, file("manifest.json", `[{"Config":"c.json","RepoTags":null,"Layers":["l.tar"]}]`), file("c.json", config),
				file("l.tar", strings.Replace(string(layer), "precious", content, 1)))
			_, err := New(t.TempDir()).Import(t.Context(), write(t, "saved.tar", saved), "it", nil)
			if sound && err != nil || !sound && (!errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "digest")) {
				t.Errorf("%s: %v", content, err)
			}
		}
	})
}

func TestAnImportEndsWithItsContext(t *testing.T) {
	img, err := random.Image(1<<20, 3)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	ref := writeLayout(t, index(t, img))
	ctx, cancel := context.WithCancel(t.Context())
	s := New(t.TempDir())
	_, err = s.Import(ctx, ref, "it", func(step Step) {
		if strings.HasPrefix(step.Detail, "layer 2") {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got := entries(t, s.dir); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
}

func TestImportLimits(t *testing.T) {
	ref := writeLayout(t, index(t, testImage(t, runtime.GOARCH)))
	for _, limits := range []Limits{{Bytes: 3000, Entries: 100}, {Bytes: 1 << 20, Entries: 3}} {
		s := New(t.TempDir())
		s.Limits = limits
		if _, err := s.Import(t.Context(), ref, "it", nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", limits, err)
		}
	}
}

func TestNameFor(t *testing.T) {
	for ref, want := range map[string]string{
		"registry.example.com/team/app:1.2": "app:1.2", "app:latest": "app", "./my-image.tar.gz": "my-image", "/x/My.oci.tar": "my",
		"localhost:5000/app": "app", "app@sha256:abc": "app", "team/app:1@sha256:abc": "app:1", "./layout/": "layout",
	} {
		if got := nameFor(ref); got != want {
			t.Errorf("nameFor(%q) = %q, want %q", ref, got, want)
		}
	}
}

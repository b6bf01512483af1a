package registry_test

import (
	"bytes"
	"encoding/json"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/registry"
	"github.com/sunaba-dev/sunaba/internal/store"
)

var (
	scope = registry.Scope{Account: "111122223333", Region: "us-west-2"}
	agent = registry.ID{Scope: scope, Name: "team/agent"}
	other = registry.ID{Scope: scope, Name: "other"}
)

// unneeded makes a sweep take whatever no image needs, however new.
const unneeded = -time.Hour

type installation struct {
	*registry.Service
	t   *testing.T
	dir string
	db  *store.DB
}

func open(t *testing.T, limits registry.Limits) *installation {
	t.Helper()
	dir := t.TempDir()
	db, err := store.Open(t.Context(), filepath.Join(dir, "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	in := &installation{t: t, dir: filepath.Join(dir, "registry"), db: db}
	in.restart(limits)
	for _, id := range []registry.ID{agent, other} {
		if _, err := in.Create(t.Context(), registry.Repository{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	return in
}

// restart makes a new service of what is on disk.
func (in *installation) restart(limits registry.Limits) {
	in.t.Helper()
	s, err := registry.New(registry.Options{Store: in.db, Dir: in.dir, Limits: limits, CheckPolicy: func([]byte) error { return nil }, NewID: uuid.NewString})
	if err != nil {
		in.t.Fatal(err)
	}
	in.Service = s
}

func limits(grace time.Duration) registry.Limits {
	l := registry.DefaultLimits
	l.Grace = grace
	return l
}

func (in *installation) add(id registry.ID, content string) registry.Descriptor {
	in.t.Helper()
	b, err := in.Add(in.t.Context(), id, []byte(content))
	if err != nil {
		in.t.Fatal(err)
	}
	return descriptor(b)
}

func descriptor(b registry.Blob) registry.Descriptor {
	return registry.Descriptor{MediaType: "application/octet-stream", Digest: b.Digest, Size: b.Size}
}

// manifest is one of an image with a config and layers.
func manifest(config registry.Descriptor, layers ...registry.Descriptor) []byte {
	short := func(d registry.Descriptor) map[string]any {
		return map[string]any{"mediaType": d.MediaType, "digest": d.Digest, "size": d.Size}
	}
	list := []any{}
	for _, l := range layers {
		list = append(list, short(l))
	}
	b, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": registry.OCIManifest, "config": short(config), "layers": list})
	if err != nil {
		panic(err)
	}
	return b
}

func (in *installation) put(id registry.ID, tag string, contents ...string) registry.Image {
	in.t.Helper()
	var all []registry.Descriptor
	for _, c := range contents {
		all = append(all, in.add(id, c))
	}
	i, err := in.Put(in.t.Context(), id, registry.NewImage{Manifest: manifest(all[0], all[1:]...), Tag: tag, Twice: true})
	if err != nil {
		in.t.Fatal(err)
	}
	return i
}

func (in *installation) has(id registry.ID, content string) bool {
	in.t.Helper()
	f, _, err := in.Open(in.t.Context(), id, registry.Digest([]byte(content)))
	if fault.Is(err, registry.LayersNotFound) {
		return false
	}
	if err != nil {
		in.t.Fatal(err)
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(got, []byte(content)) {
		in.t.Fatalf("read %q, %v; want %q", got, err, content)
	}
	return true
}

func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("got %v, want %s", err, code)
	}
}

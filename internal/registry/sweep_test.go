package registry_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/registry"
)

func TestSweepTakesWhatNobodyNeedsAndNothingElse(t *testing.T) {
	in := open(t, limits(time.Hour))
	ctx := t.Context()
	i := in.put(agent, "v1", "config", "shared")
	in.put(other, "v1", "own", "shared")
	in.add(agent, "pushed a moment ago")
	sweep := func() {
		t.Helper()
		if err := in.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
	}
	sweep()
	if !in.has(agent, "pushed a moment ago") {
		t.Fatal("the grace period was not kept")
	}
	in.restart(limits(unneeded))
	sweep()
	if in.has(agent, "pushed a moment ago") || !in.has(agent, "config") || !in.has(agent, "shared") || !in.has(other, "shared") {
		t.Error("after the grace period only what images need stays")
	}
	if _, err := in.Remove(ctx, agent, registry.Ref{Digest: i.Digest}, true); err != nil {
		t.Fatal(err)
	}
	sweep()
	if in.has(agent, "config") || in.has(agent, "shared") || !in.has(other, "shared") || !in.has(other, "own") {
		t.Error("what only the deleted image needed goes, of this repository alone")
	}
	if _, err := in.Delete(ctx, other, true); err != nil {
		t.Fatal(err)
	}
	sweep()
	var files []string
	_ = filepath.WalkDir(filepath.Join(in.dir, "blobs"), func(path string, d os.DirEntry, _ error) error {
		if !d.IsDir() {
			files = append(files, path)
		}
		return nil
	})
	if len(files) != 0 {
		t.Error("files of nobody stay:", files)
	}
}

func TestSweepTakesFilesThatACrashLeft(t *testing.T) {
	in := open(t, limits(unneeded))
	hex := strings.Repeat("ab", 32)
	blob := filepath.Join(in.dir, "blobs", "sha256", "ab", hex)
	upload := filepath.Join(in.dir, "uploads", "11111111-1111-1111-1111-111111111111")
	long := time.Now().Add(-48 * time.Hour)
	if err := errors.Join(os.MkdirAll(filepath.Dir(blob), 0o700), os.WriteFile(blob, nil, 0o600), os.WriteFile(upload, nil, 0o600), os.Chtimes(upload, long, long)); err != nil {
		t.Fatal(err)
	}
	if err := in.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{blob, upload} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Error(path, err)
		}
	}
}

// A push whose blobs are swept before it names them is told to send them again; what was acknowledged as an image is never incomplete.
func TestSweepBesidePushesOfTheSameContent(t *testing.T) {
	in := open(t, limits(unneeded))
	ctx := t.Context()
	pushed := make(chan struct{}, 1) // there is a sweep for each push, somewhere in it: more of them would only starve it
	var sweeper, pushers sync.WaitGroup
	sweeper.Go(func() {
		for range pushed {
			if err := in.Sweep(ctx); err != nil {
				t.Error(err)
			}
		}
	})
	for _, id := range []registry.ID{agent, other} {
		pushers.Go(func() {
			for range 15 {
				var i registry.Image
				for {
					select {
					case pushed <- struct{}{}:
					default:
					}
					c, err := in.Add(ctx, id, []byte("config"))
					l, err2 := in.Add(ctx, id, []byte("layer"))
					if err := errors.Join(err, err2); err != nil {
						t.Error(err)
						return
					}
					i, err = in.Put(ctx, id, registry.NewImage{Manifest: manifest(descriptor(c), descriptor(l)), Twice: true})
					if err == nil {
						break
					}
					if !fault.Is(err, registry.LayersNotFound) {
						t.Error(err)
						return
					}
				}
				if !in.has(id, "config") || !in.has(id, "layer") {
					t.Error("an image lost a blob")
				}
				if _, err := in.Remove(ctx, id, registry.Ref{Digest: i.Digest}, false); err != nil {
					t.Error(err)
				}
			}
		})
	}
	pushers.Wait()
	close(pushed)
	sweeper.Wait()
}

// idleStore has nothing to sweep and counts the sweeps.
type idleStore struct {
	registry.Store
	sweeps int
}

func (s *idleStore) Uploads(context.Context, time.Time) ([]string, error) {
	s.sweeps++
	return nil, nil
}
func (s *idleStore) Unlink(context.Context, time.Time, time.Time) error { return nil }
func (s *idleStore) Orphans(context.Context, time.Time, int) ([]string, error) {
	return nil, nil
}

func TestRunSweepsAtOnceAndEveryHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &idleStore{}
		r, err := registry.New(registry.Options{Store: s, Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		go r.Run(ctx, slog.New(slog.DiscardHandler))
		synctest.Wait()
		if s.sweeps != 1 {
			t.Error(s.sweeps)
		}
		time.Sleep(3*time.Hour + time.Minute)
		stop()
		synctest.Wait()
		if s.sweeps != 4 {
			t.Error(s.sweeps)
		}
	})
}

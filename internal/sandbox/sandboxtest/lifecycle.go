package sandboxtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sunaba-dev/sunaba/internal/sandbox"
)

func testDestroyTwice(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	s := Create(t, d, Config(image))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := s.Destroy(t.Context()); err != nil {
				t.Errorf("Destroy: %v", err)
			}
		})
	}
	wg.Wait()
	if e := Ended(t, s); e.Cause != sandbox.Destroyed {
		t.Errorf("exit %+v; want %q", e, sandbox.Destroyed)
	}
	if err := s.Destroy(t.Context()); err != nil {
		t.Errorf("Destroy after the end: %v", err)
	}
	wantGone(t, s)
	if err := s.Checkpoint(t.Context(), t.TempDir()); !errors.Is(err, sandbox.ErrGone) {
		t.Errorf("Checkpoint after the end: %v; want %v", err, sandbox.ErrGone)
	}
}

func testCloseDestroys(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	a, b := Create(t, d, Config(image)), Create(t, d, Config(image))
	if err := d.Close(t.Context()); err != nil {
		t.Fatalf("Close: %v", err)
	}
	for _, s := range []sandbox.Sandbox{a, b} {
		if e := Ended(t, s); e.Cause != sandbox.Destroyed {
			t.Errorf("exit %+v; want %q", e, sandbox.Destroyed)
		}
	}
	if _, err := d.Create(t.Context(), Config(image)); err == nil {
		t.Error("a closed driver creates sandboxes")
	}
}

func testBadConfig(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	for name, change := range map[string]func(*sandbox.Config){
		"no id":         func(c *sandbox.Config) { c.ID = "" },
		"path as id":    func(c *sandbox.Config) { c.ID = "../../etc" },
		"long id":       func(c *sandbox.Config) { c.ID = strings.Repeat("a", 41) },
		"upper case":    func(c *sandbox.Config) { c.ID = "ABC" },
		"flag as id":    func(c *sandbox.Config) { c.ID = "--root" },
		"no image":      func(c *sandbox.Config) { c.Image.Root = "" },
		"missing image": func(c *sandbox.Config) { c.Image.Root = "/does/not/exist" },
		"empty image":   func(c *sandbox.Config) { c.Image.Root = "relative" },
	} {
		c := Config(image)
		change(&c)
		if s, err := d.Create(t.Context(), c); err == nil {
			t.Errorf("%s: a sandbox was created", name)
			destroyWith(t, s)
		}
	}
	c := Config(image)
	first := Create(t, d, c)
	if _, err := d.Create(t.Context(), c); err == nil {
		t.Error("the same id was used twice")
	}
	Prints(t, first, "print('alive')", "alive")
}

// testCancelled gives up starts at many points. Whatever was begun must be gone, so that the same id can be used again.
func testCancelled(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	c := Config(image)
	for after := time.Duration(0); after <= 200*time.Millisecond; after += 8 * time.Millisecond {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		s, err := d.Create(ctx, c)
		cancel()
		if err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("given up after %s: %v; want %v", after, err, context.DeadlineExceeded)
			}
			continue
		}
		if err := s.Destroy(t.Context()); err != nil {
			t.Errorf("Destroy: %v", err)
		}
	}
	Prints(t, Create(t, d, c), "print('alive')", "alive")
}

func testCheckpoint(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	c := Config(image)
	c.Relay = Echo
	s := Create(t, d, c)
	Python(t, s, "x = 41")
	Command(t, s, "echo kept > file; echo kept > /tmp/file")
	Listen(t, s, 8099)
	Relays(t, s, 8099)
	hello, err := s.Guest().Ready(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	if err := s.Checkpoint(t.Context(), dir); err != nil {
		t.Fatalf("Checkpoint: %v", err)
	}
	if e := Ended(t, s); e.Cause != sandbox.Checkpointed {
		t.Errorf("exit %+v; want %q", e, sandbox.Checkpointed)
	}
	wantGone(t, s)

	// Three clones at once, each with the state of before and each its own from now on.
	clones := make([]sandbox.Sandbox, 3)
	var g errgroup.Group
	for i := range clones {
		g.Go(func() (err error) {
			cc := c
			cc.ID = Config(image).ID
			clones[i], err = d.Restore(t.Context(), cc, dir)
			return err
		})
	}
	err = g.Wait()
	for _, s := range clones {
		if s != nil {
			destroyWith(t, s)
		}
	}
	if err != nil {
		t.Fatalf("Restore: %v", err)
	}
	for i, s := range clones {
		if again, err := s.Guest().Ready(t.Context()); err != nil || again.BootID != hello.BootID {
			t.Errorf("clone %d: guest %+v, %v; want the boot id %q", i, again, err, hello.BootID)
		}
		Prints(t, s, fmt.Sprintf("x += %d; print(x)", i), fmt.Sprint(41+i))
		if r := Command(t, s, fmt.Sprintf("cat file /tmp/file; echo %d > file", i)); r.Stdout != "kept\nkept\n" {
			t.Errorf("clone %d: %s", i, r)
		}
		Relays(t, s, 8099)
	}
	for i, s := range clones {
		if r := Command(t, s, "cat file"); r.Stdout != fmt.Sprintln(i) {
			t.Errorf("clone %d shares its files: %s", i, r)
		}
		Prints(t, s, "print(x)", fmt.Sprint(41+i))
	}

	// A checkpoint of a clone.
	second := t.TempDir()
	if err := clones[1].Checkpoint(t.Context(), second); err != nil {
		t.Fatalf("Checkpoint of a clone: %v", err)
	}
	cc := c
	cc.ID = Config(image).ID
	Prints(t, Restore(t, d, cc, second), "print(x)", "42")
}

func testCheckpointErrors(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	s := Create(t, d, Config(image))
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{full, filepath.Join(full, "missing"), filepath.Join(full, "file")} {
		if err := s.Checkpoint(t.Context(), dir); err == nil {
			t.Errorf("a checkpoint was written to %s", dir)
		}
	}
	Prints(t, s, "print('alive')", "alive") // a refused checkpoint costs nothing
	for _, dir := range []string{full, filepath.Join(full, "missing")} {
		if s, err := d.Restore(t.Context(), Config(image), dir); err == nil {
			t.Errorf("%s was restored", dir)
			destroyWith(t, s)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Checkpoint(ctx, t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled checkpoint: %v; want %v", err, context.Canceled)
	}
	if e := Ended(t, s); e.Cause == sandbox.Checkpointed {
		t.Errorf("a cancelled checkpoint: exit %+v", e)
	}
	// Damaged ones are refused, too, and leave nothing.
	broken := t.TempDir()
	for _, name := range []string{"checkpoint.img", "pages.img", "pages_meta.img"} {
		if err := os.WriteFile(filepath.Join(broken, name), []byte("not a checkpoint"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := d.Restore(t.Context(), Config(image), broken); err == nil {
		t.Error("a damaged checkpoint was restored")
		destroyWith(t, s)
	}
}

func testSequence(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	for range 20 {
		s := Create(t, d, Config(image))
		Prints(t, s, "print(1)", "1")
		if err := s.Destroy(t.Context()); err != nil {
			t.Errorf("Destroy: %v", err)
		}
	}
}

func testParallel(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 3 {
				s, err := d.Create(t.Context(), Config(image))
				if err != nil {
					t.Errorf("Create: %v", err)
					return
				}
				if err := s.Guest().Ping(t.Context()); err != nil {
					t.Errorf("Ping: %v", err)
				}
				if i%2 == 0 {
					if err := s.Destroy(t.Context()); err != nil {
						t.Errorf("Destroy: %v", err)
					}
				} else {
					destroyWith(t, s)
				}
			}
		})
	}
	wg.Wait()
}

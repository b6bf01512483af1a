package gvisor_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sunaba-dev/sunaba/internal/image"
	"github.com/sunaba-dev/sunaba/internal/sandbox"
	"github.com/sunaba-dev/sunaba/internal/sandbox/gvisor"
	"github.com/sunaba-dev/sunaba/internal/sandbox/sandboxtest"
)

// crashEnv makes the test binary a server that starts sandboxes and waits to be killed. Its value is RunDir:DataDir.
const crashEnv = "SUNABA_TEST_CRASH_SERVER"

// crashServer starts two sandboxes, prints their ids, and waits.
func crashServer() int {
	runDir, dataDir, _ := strings.Cut(os.Getenv(crashEnv), ":")
	d, err := gvisor.New(gvisor.Options{RunDir: runDir, DataDir: dataDir, Guest: guest, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println("New:", err)
		return 1
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		fmt.Println("UserCacheDir:", err)
		return 1
	}
	i, err := image.New(filepath.Join(cache, "sunaba")).Resolve(image.DefaultName)
	if err != nil {
		fmt.Println("Resolve:", err)
		return 1
	}
	for n := range 2 {
		c := sandboxtest.Config(sandbox.Image{Root: i.Root, Env: i.Env})
		c.ID = fmt.Sprintf("kill%06d", n)
		s, err := d.Create(context.Background(), c)
		if err != nil {
			fmt.Println("Create:", err)
			return 1
		}
		fmt.Println("id", s.ID())
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// killedServer runs a server of its own process on the folders, kills it when it has two sandboxes, and returns their ids. whileAlive is called before.
func killedServer(t *testing.T, runDir, dataDir string, whileAlive func()) []string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"server"} // under its own name it would start as runsc
	cmd.Env = append(os.Environ(), crashEnv+"="+runDir+":"+dataDir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ids []string
	ready := false
	for lines := bufio.NewScanner(stdout); !ready && lines.Scan(); {
		if id, ok := strings.CutPrefix(lines.Text(), "id "); ok {
			ids = append(ids, id)
			continue
		}
		if ready = lines.Text() == "ready"; !ready {
			t.Errorf("the other server: %s", lines.Text())
		}
	}
	if ready {
		whileAlive()
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if !ready {
		t.Fatal("the other server did not start")
	}
	return ids
}

// TestReap kills a server and lets the next one on the same folders clean up.
func TestReap(t *testing.T) {
	runDir, dataDir := folders(t)
	t.Cleanup(func() { wantNothing(t, runDir, dataDir) })
	ids := killedServer(t, runDir, dataDir, func() {
		if _, err := gvisor.New(gvisor.Options{RunDir: runDir, DataDir: dataDir, Guest: guest}); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("a second driver on the same folder: %v; want a refusal", err)
		}
	})
	if n := len(runscOf(t, runDir)); n < 4 {
		t.Fatalf("%d processes outlive their server, want at least 4: there is nothing to reap", n)
	}
	d := openIn(t, runDir, dataDir)
	defer closeDriver(t, d)
	own := sandboxtest.Create(t, d, sandboxtest.Config(defaultImage(t)))
	// A start under a leftover's id fails, and its clean-up must not touch what it did not make.
	same := sandboxtest.Config(defaultImage(t))
	same.ID = ids[0]
	if _, err := d.Create(t.Context(), same); err == nil || !strings.Contains(err.Error(), "earlier server") {
		t.Errorf("Create under a leftover's id: %v; want a refusal", err)
	}
	if n := len(runscOf(t, runDir)); n < 6 {
		t.Errorf("%d processes after the refusal, want at least 6: a leftover was touched", n)
	}
	reapedIDs(t, d, ids)
	if n := len(runscOf(t, runDir)); n != 2 {
		t.Errorf("%d processes after Reap; want the 2 of the driver's own sandbox", n)
	}
	sandboxtest.Prints(t, own, "print('alive')", "alive")
	reapedIDs(t, d, nil)
}

func reapedIDs(t *testing.T, d *gvisor.Driver, want []string) {
	t.Helper()
	got, err := d.Reap(t.Context())
	if err != nil {
		t.Fatalf("Reap: %v", err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("Reap found %q; want %q", got, want)
	}
}

func closeDriver(t testing.TB, d *gvisor.Driver) {
	t.Helper()
	if err := d.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// TestReapDebris cleans up what only a crash in the middle of a start or an end can leave.
func TestReapDebris(t *testing.T) {
	runDir, dataDir := folders(t)
	t.Cleanup(func() { wantNothing(t, runDir, dataDir) })
	for _, dir := range []string{filepath.Join(runDir, "s", "onlyrun", "runsc"), filepath.Join(dataDir, "s", "onlydata", "overlay")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"guest-0123.tmp", "guest-0123456789abcdef"} {
		if err := os.WriteFile(filepath.Join(dataDir, name), []byte("old"), 0o500); err != nil {
			t.Fatal(err)
		}
	}
	d := openIn(t, runDir, dataDir)
	defer closeDriver(t, d)
	reapedIDs(t, d, []string{"onlydata", "onlyrun"})
}

// TestKilledFromOutside kills each of a sandbox's two processes in turn: either way the sandbox has crashed and is cleaned up without anyone asking.
func TestKilledFromOutside(t *testing.T) {
	for _, victim := range []string{"runsc-sandbox", "runsc-gofer"} {
		t.Run(victim, func(t *testing.T) {
			runDir, dataDir := folders(t)
			t.Cleanup(func() { wantNothing(t, runDir, dataDir) })
			d := openIn(t, runDir, dataDir)
			defer closeDriver(t, d)
			s := sandboxtest.Create(t, d, sandboxtest.Config(defaultImage(t)))
			for _, pid := range runscOf(t, runDir) {
				name, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
				if err == nil && strings.HasPrefix(string(name), victim) {
					if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
						t.Fatal(err)
					}
				}
			}
			if e := sandboxtest.Ended(t, s); e.Cause != sandbox.Crashed || e.Detail == "" {
				t.Errorf("exit %+v; want %q and a detail", e, sandbox.Crashed)
			}
			if left := runscOf(t, runDir); len(left) > 0 {
				t.Errorf("processes %d are left", left)
			}
		})
	}
}

// TestNoZombies runs as a subreaper, as PID 1 of a container is: the sandbox's processes become this process's children.
func TestNoZombies(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); err != nil {
			t.Error(err)
		}
	}()
	d := open(t)
	defer closeDriver(t, d)
	s := sandboxtest.Create(t, d, sandboxtest.Config(defaultImage(t)))
	if err := s.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range tasks {
		if children, err := os.ReadFile(path); err == nil && len(children) > 0 {
			t.Errorf("children are left: %s", children)
		}
	}
}

// TestNoexec puts RunDir on what Debian has at /run, a tmpfs mounted noexec, which must do; DataDir there must be refused, with the reason.
func TestNoexec(t *testing.T) {
	runDir, dataDir := folders(t)
	if err := unix.Mount("tmpfs", runDir, "tmpfs", unix.MS_NOEXEC|unix.MS_NOSUID|unix.MS_NODEV, "size=64m,mode=700"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(runDir, 0); err != nil {
			t.Error(err)
		}
	}()
	if _, err := gvisor.New(gvisor.Options{RunDir: dataDir, DataDir: filepath.Join(runDir, "data"), Guest: guest}); err == nil || !strings.Contains(err.Error(), "noexec") {
		t.Errorf("a DataDir mounted noexec: %v; want a refusal", err)
	}
	d := openIn(t, runDir, dataDir)
	defer closeDriver(t, d)
	s := sandboxtest.Create(t, d, sandboxtest.Config(defaultImage(t)))
	sandboxtest.Prints(t, s, "print(1)", "1")
	if err := s.Destroy(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestImageNotWritten starts sandboxes from an image whose every change would be recorded: a mount with an upper layer of its own. Comparing the
// image before and after would miss what is only made once, such as a mount point.
func TestImageNotWritten(t *testing.T) {
	base := t.TempDir()
	upper, work, merged := filepath.Join(base, "upper"), filepath.Join(base, "work"), filepath.Join(base, "a:b, c\\d") // all that could upset a mount's options
	for _, dir := range []string{upper, work, merged} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	img := defaultImage(t)
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", img.Root, upper, work)
	if err := unix.Mount("test", merged, "overlay", 0, options); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(merged, 0); err != nil {
			t.Error(err)
		}
	}()
	// An image that has the mount point, because something made it there once, must not hide that it is made.
	if err := os.RemoveAll(filepath.Join(merged, ".sunaba")); err != nil {
		t.Fatal(err)
	}
	before := names(t, upper)
	img.Root = merged
	runDir, dataDir := folders(t)
	t.Cleanup(func() { wantNothing(t, runDir, dataDir) })
	d := openIn(t, runDir, dataDir)
	defer closeDriver(t, d)
	for range 2 {
		s := sandboxtest.Create(t, d, sandboxtest.Config(img))
		sandboxtest.Command(t, s, "echo x > file; echo x > /tmp/x; rm -rf /var/tmp; mkdir /var/tmp/x")
		if err := s.Destroy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if after := names(t, upper); !slices.Equal(after, before) {
		t.Errorf("the image was written to: %q changed; want %q", after, before)
	}
	if _, err := os.Stat(filepath.Join(merged, ".sunaba")); !os.IsNotExist(err) {
		t.Errorf("the mount point was made in the image (%v)", err)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestLongDataDir uses a folder whose path no socket could have.
func TestLongDataDir(t *testing.T) {
	runDir, dataDir := folders(t)
	d := openIn(t, runDir, filepath.Join(dataDir, strings.Repeat("long/", 40)))
	defer closeDriver(t, d)
	sandboxtest.Prints(t, sandboxtest.Create(t, d, sandboxtest.Config(defaultImage(t))), "print(1)", "1")
}

// TestOptions refuses what could only fail later, and says why.
func TestOptions(t *testing.T) {
	runDir, dataDir := folders(t)
	good := gvisor.Options{RunDir: runDir, DataDir: dataDir, Guest: guest}
	for want, change := range map[string]func(*gvisor.Options){
		"absolute":   func(o *gvisor.Options) { o.RunDir = "run" },
		"44 bytes":   func(o *gvisor.Options) { o.RunDir = "/run/" + strings.Repeat("a", 40) },
		"a colon":    func(o *gvisor.Options) { o.DataDir = "/var/a:b" },
		"no guest":   func(o *gvisor.Options) { o.Guest = nil },
		"clean abso": func(o *gvisor.Options) { o.DataDir = "/var/../etc" },
	} {
		o := good
		change(&o)
		if _, err := gvisor.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%q, %q, %d bytes): %v; want an error with %q", o.RunDir, o.DataDir, len(o.Guest), err, want)
		}
	}
}

// TestSubstrate is the whole life of sandboxes in one go, as everything later builds on it: start, checkpoint while connected, restore elsewhere
// while the guest dials again, clones, a relayed connection before and after, the disk limit, death by memory, and a server's sudden death.
func TestSubstrate(t *testing.T) {
	runDir, dataDir := folders(t)
	t.Cleanup(func() { wantNothing(t, runDir, dataDir) })
	killed := killedServer(t, runDir, dataDir, func() {})
	d := openIn(t, runDir, dataDir)
	defer closeDriver(t, d)
	reapedIDs(t, d, killed)

	config := func() sandbox.Config {
		c := sandboxtest.Config(defaultImage(t))
		c.Limits.Memory, c.Limits.Disk = 224<<20, 256<<20
		c.Relay = sandboxtest.Echo
		return c
	}
	s := sandboxtest.Create(t, d, config())
	sandboxtest.Python(t, s, "x = 41")
	sandboxtest.Listen(t, s, 8099)
	sandboxtest.Relays(t, s, 8099)
	checkpoint := t.TempDir()
	if err := s.Checkpoint(t.Context(), checkpoint); err != nil {
		t.Fatalf("Checkpoint: %v", err)
	}
	clones := make([]sandbox.Sandbox, 3)
	for i := range clones {
		clones[i] = sandboxtest.Restore(t, d, config(), checkpoint)
	}
	for i, s := range clones {
		sandboxtest.Prints(t, s, fmt.Sprintf("x += %d; print(x)", i), fmt.Sprint(41+i))
		sandboxtest.Relays(t, s, 8099)
	}
	sandboxtest.DiskLimit(t, clones[0])
	sandboxtest.RunOutOfMemory(t, clones[1])
	sandboxtest.Prints(t, clones[0], "print(x)", "41")
	sandboxtest.Prints(t, clones[2], "print(x)", "43")
}

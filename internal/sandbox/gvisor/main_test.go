package gvisor_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/image"
	"github.com/sunaba-dev/sunaba/internal/sandbox"
	"github.com/sunaba-dev/sunaba/internal/sandbox/gvisor"
)

// guest is the guest's binary, built from this checkout.
var guest []byte

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "The gVisor driver's tests need root: run them with sudo.")
		return 1
	}
	dir, err := os.MkdirTemp("", "guest-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "guest")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", bin, "github.com/sunaba-dev/sunaba/cmd/sunaba-guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "Building the guest: %v\n%s", err, out)
		return 1
	}
	if guest, err = os.ReadFile(bin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if os.Getenv(crashEnv) != "" {
		return crashServer()
	}
	return m.Run()
}

// defaultImage is the image that all tests start from.
func defaultImage(t testing.TB) sandbox.Image {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	i, err := image.New(filepath.Join(cache, "sunaba")).Resolve(image.DefaultName)
	if err != nil {
		t.Fatalf("The tests need the default image: build it with `make image` or `sunaba image build`. (%v)", err)
	}
	return sandbox.Image{Root: i.Root, Env: i.Env}
}

// open returns a driver with folders of its own. The test must close it.
func open(t testing.TB) *gvisor.Driver {
	t.Helper()
	runDir, dataDir := folders(t)
	return openIn(t, runDir, dataDir)
}

// folders makes the folders of a driver. Not t.TempDir: its paths are too long for sockets.
func folders(t testing.TB) (runDir, dataDir string) {
	t.Helper()
	var dirs [2]string
	for i, parent := range []string{"/run", "/var/tmp"} {
		dir, err := os.MkdirTemp(parent, "sunaba-test-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		dirs[i] = dir
	}
	return dirs[0], dirs[1]
}

func openIn(t testing.TB, runDir, dataDir string) *gvisor.Driver {
	t.Helper()
	d, err := gvisor.New(gvisor.Options{RunDir: runDir, DataDir: dataDir, Guest: guest, Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

package gvisor_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/sandbox"
	"github.com/sunaba-dev/sunaba/internal/sandbox/gvisor"
	"github.com/sunaba-dev/sunaba/internal/sandbox/sandboxtest"
)

func TestContract(t *testing.T) {
	sandboxtest.Run(t, func(t *testing.T) sandbox.Driver {
		runDir, dataDir := folders(t)
		// Registered before the suite's own clean-up, so run after it: by then the driver is closed.
		t.Cleanup(func() { wantNothing(t, runDir, dataDir) })
		return openIn(t, runDir, dataDir)
	}, defaultImage(t))
}

// wantNothing fails the test if a closed driver left anything on the host.
func wantNothing(t testing.TB, runDir, dataDir string) {
	t.Helper()
	for _, pid := range runscOf(t, runDir) {
		t.Errorf("process %d is left", pid)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, runDir) || strings.Contains(line, dataDir) {
			t.Errorf("a mount is left: %s", line)
		}
	}
	groups, err := filepath.Glob("/sys/fs/cgroup/*/" + groupOf(runDir))
	if err != nil {
		t.Fatal(err)
	}
	unified, err := filepath.Glob("/sys/fs/cgroup/" + groupOf(runDir))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range append(groups, unified...) {
		t.Errorf("a control group is left: %s", g)
	}
	for _, dir := range []string{runDir, dataDir} {
		err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			if os.IsNotExist(err) {
				return nil
			}
			if path != dir {
				t.Errorf("%s is left", path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// groupOf is the name of the control group that a driver's sandboxes are under.
func groupOf(runDir string) string {
	sum := sha256.Sum256([]byte(runDir))
	return "sunaba-" + hex.EncodeToString(sum[:4])
}

// runscOf lists the runsc processes whose state is somewhere below dir.
func runscOf(t testing.TB, dir string) []int {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(b, []byte("runsc")) || !bytes.Contains(b, []byte("--root="+dir+"/")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// logger sends the driver's log to the test's.
func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

var _ sandbox.Driver = (*gvisor.Driver)(nil)

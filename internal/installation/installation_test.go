package installation_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/installation"
)

func open(t *testing.T) *installation.Dir {
	t.Helper()
	d, err := installation.Open(filepath.Join(t.TempDir(), "a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTheFolderAndTheKeyAreTheOwnersAlone(t *testing.T) {
	d := open(t)
	if _, found, err := d.Key(); found || err != nil {
		t.Error(found, err)
	}
	want := installation.Key{ID: "AKIA", Secret: "s+/="}
	if err := d.WriteKey(want); err != nil {
		t.Fatal(err)
	}
	if got, found, err := d.Key(); got != want || !found || err != nil {
		t.Error(got, found, err)
	}
	for path, mode := range map[string]os.FileMode{d.Path(): 0o700, d.CredentialsPath(): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
	left, err := filepath.Glob(filepath.Join(d.Path(), ".credentials*"))
	if err != nil || len(left) != 0 {
		t.Errorf("temporary files are left: %v %v", left, err)
	}
}

func TestOneServerAtATime(t *testing.T) {
	d := open(t)
	unlock, err := d.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.SetServer(&installation.Server{PID: os.Getpid(), Endpoint: "http://here"}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Lock(); !errors.Is(err, installation.ErrInUse) || !strings.Contains(err.Error(), "http://here") {
		t.Errorf("a second lock: %v", err)
	}
	unlock()
	again, err := d.Lock()
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestAServerThatIsGoneIsNotFound(t *testing.T) {
	d := open(t)
	if err := d.SetServer(&installation.Server{PID: 1 << 22, Endpoint: "http://gone"}); err != nil { // above the kernel's largest process id
		t.Fatal(err)
	}
	if s, ok := d.Server(); ok {
		t.Error(s)
	}
	if err := errors.Join(d.SetServer(nil), d.SetServer(nil)); err != nil {
		t.Error(err)
	}
}

func TestRunDirIsShortAndItsOwn(t *testing.T) {
	a, b := open(t), open(t)
	if a.RunDir() == b.RunDir() || len(a.RunDir()) > 50 {
		t.Error(a.RunDir(), b.RunDir())
	}
}

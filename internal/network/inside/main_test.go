package inside_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// guest is the guest's binary, built from this checkout.
var guest []byte

func TestMain(m *testing.M) {
	if err := buildGuest(); err != nil {
		fmt.Fprintln(os.Stderr, "Building the guest:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func buildGuest() error {
	dir, err := os.MkdirTemp("", "guest-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "guest")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", bin, "github.com/sunaba-dev/sunaba/cmd/sunaba-guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	guest, err = os.ReadFile(bin)
	return err
}

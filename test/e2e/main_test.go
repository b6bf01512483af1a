//go:build e2e

// Package e2e drives the built binary with real sandboxes through the AWS clients that people use: boto3, the aws CLI, aws-sdk-go-v2 and the AWS SDK for JavaScript. After all tests it looks for
// anything that the server left on the host.
package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/test/harness"
)

// binary is what is tested.
var binary = func() string {
	path, err := filepath.Abs("../../bin/sunaba")
	if err != nil {
		panic(err)
	}
	return path
}()

// shared is the server that the tests use unless they need one of their own.
var shared *server

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	before, err := hostState()
	if err != nil {
		return fail(err)
	}
	h, err := harness.Start(context.Background(), binary, "")
	if err != nil {
		return fail(err)
	}
	shared = &server{h}
	code := m.Run()
	if err := h.Stop(); err != nil {
		code = fail(fmt.Errorf("the server did not stop well: %w", err))
	}
	if err := os.RemoveAll(h.Data); err != nil {
		code = fail(err)
	}
	if err := before.compare(); err != nil {
		code = fail(fmt.Errorf("something is left on the host: %w", err))
	}
	return code
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "e2e:", err)
	return 1
}

// server is one run of bin/sunaba.
type server struct{ *harness.Server }

// start starts a server for a test that needs one of its own, on a data folder that is new unless given.
func start(t *testing.T, data string, args ...string) *server {
	t.Helper()
	h, err := harness.Start(t.Context(), binary, data, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Stop(); err != nil {
			t.Error(err)
		}
		if data == "" {
			_ = os.RemoveAll(h.Data)
		}
	})
	return &server{h}
}

// clients is the folder that scripts/clients made.
func clients(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SUNABA_CLIENTS")
	if dir == "" {
		t.Fatal("SUNABA_CLIENTS is not set: run `make test`, or scripts/clients and point it to CACHE/clients/current")
	}
	return dir
}

// run runs a foreign client and returns what it printed.
func (s *server) run(t *testing.T, dir, program string, args ...string) (string, error) {
	t.Helper()
	return s.runWith(t, dir, nil, program, args...)
}

// runWith is run with variables beside, or instead of, those of `sunaba env`.
func (s *server) runWith(t *testing.T, dir string, env []string, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env, cmd.Dir = append(s.Environment(), env...), dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(program), strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out), nil
}

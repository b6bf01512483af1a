// Package sandboxtest is the contract that every sandbox.Driver must pass, as a test suite that the driver's own tests run.
//
// It needs an image with Python 3 and coreutils.
package sandboxtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
	"github.com/sunaba-dev/sunaba/internal/sandbox"
)

// callTimeout bounds one call of a test: generous, for it only has to end a test that hangs.
const callTimeout = time.Minute

// Dir is the working folder of the suite's sandboxes.
const Dir = "/opt/amazon/genesis1p-tools/var"

// ids numbers the sandboxes of a test binary; drivers want ids of one length.
var ids atomic.Int64

// Config returns the configuration of a new sandbox with moderate limits, which a test may change before it uses it.
func Config(image sandbox.Image) sandbox.Config {
	return sandbox.Config{
		ID:     fmt.Sprintf("test%06d", ids.Add(1)),
		Image:  image,
		Limits: sandbox.Limits{CPUs: 2, Memory: 512 << 20, Disk: 1 << 30, PIDs: 128},
		Guest: proto.Configure{
			User:     proto.User{Name: "genesis1ptools", UID: 1000, GID: 1000},
			Dir:      Dir,
			Hostname: "sandbox",
			Env:      map[string]string{"LANG": "C.UTF-8"},
		},
	}
}

// Create starts a sandbox that is destroyed with the test.
func Create(t testing.TB, d sandbox.Driver, c sandbox.Config) sandbox.Sandbox {
	t.Helper()
	s, err := d.Create(t.Context(), c)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	destroyWith(t, s)
	return s
}

// Restore starts a sandbox from a checkpoint that is destroyed with the test.
func Restore(t testing.TB, d sandbox.Driver, c sandbox.Config, checkpoint string) sandbox.Sandbox {
	t.Helper()
	s, err := d.Restore(t.Context(), c, checkpoint)
	if err != nil {
		t.Fatalf("Restore: %v", err)
	}
	destroyWith(t, s)
	return s
}

func destroyWith(t testing.TB, s sandbox.Sandbox) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		if err := s.Destroy(ctx); err != nil {
			t.Errorf("Destroy: %v", err)
		}
	})
}

// Result is what a call printed and how it ended.
type Result struct {
	Stdout, Stderr string
	ExitCode       int
}

func (r Result) String() string {
	return fmt.Sprintf("exit code %d, stdout %q, stderr %q", r.ExitCode, r.Stdout, r.Stderr)
}

type runner func(context.Context, client.Run) (proto.Run, error)

func call(ctx context.Context, run runner, r client.Run) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var out, errs strings.Builder
	r.Output = func(stderr bool, p []byte) {
		if stderr {
			errs.Write(p)
		} else {
			out.Write(p)
		}
	}
	res, err := run(ctx, r)
	return Result{Stdout: out.String(), Stderr: errs.String(), ExitCode: res.ExitCode}, err
}

// Command runs a command line in a sandbox.
func Command(t testing.TB, s sandbox.Sandbox, line string) Result {
	t.Helper()
	r, err := call(t.Context(), s.Guest().RunCommand, client.Run{Text: line})
	if err != nil {
		t.Fatalf("command %q: %v (%s)", line, err, fate(s))
	}
	return r
}

// Python runs code in a sandbox's Python session.
func Python(t testing.TB, s sandbox.Sandbox, code string) Result {
	t.Helper()
	r, err := call(t.Context(), s.Guest().RunCode, client.Run{Language: "python", Text: code})
	if err != nil {
		t.Fatalf("code %q: %v (%s)", code, err, fate(s))
	}
	return r
}

// Prints fails the test unless code runs well and prints want.
func Prints(t testing.TB, s sandbox.Sandbox, code, want string) {
	t.Helper()
	if r := Python(t, s, code); r.ExitCode != 0 || strings.TrimSpace(r.Stdout) != want {
		t.Errorf("code %q: %s; want %q", code, r, want)
	}
}

// fate tells whether a sandbox lives, for messages.
func fate(s sandbox.Sandbox) string {
	select {
	case <-s.Done():
		e := s.Exit()
		return fmt.Sprintf("the sandbox is %s: %s", e.Cause, e.Detail)
	default:
		return "the sandbox lives"
	}
}

// Ended waits for a sandbox's end and returns its exit.
func Ended(t testing.TB, s sandbox.Sandbox) sandbox.Exit {
	t.Helper()
	select {
	case <-s.Done():
		return s.Exit()
	case <-time.After(callTimeout):
		t.Fatalf("the sandbox has not ended after %s", callTimeout)
		panic("unreachable")
	}
}

// Run runs the suite. open returns a new driver, which the suite closes; when it has, the driver must have left nothing in this process: no
// descriptor and no goroutine. What may be left elsewhere only the driver's own tests can know: open may register a check with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) sandbox.Driver, image sandbox.Image) {
	for _, c := range []struct {
		name string
		test func(*testing.T, sandbox.Driver, sandbox.Image)
	}{
		{"Code", testCode},
		{"Command", testCommand},
		{"Files", testFiles},
		{"Configuration", testConfiguration},
		{"Unprivileged", testUnprivileged},
		{"Isolation", testIsolation},
		{"ImageUnchanged", testImageUnchanged},
		{"NoNetwork", testNoNetwork},
		{"Relay", testRelay},
		{"DiskLimit", testDiskLimit},
		{"TmpIsDisk", testTmpIsDisk},
		{"MemoryLimit", testMemoryLimit},
		{"PIDLimit", testPIDLimit},
		{"ForkBomb", testForkBomb},
		{"Stats", testStats},
		{"DestroyTwice", testDestroyTwice},
		{"CloseDestroys", testCloseDestroys},
		{"BadConfig", testBadConfig},
		{"Cancelled", testCancelled},
		{"Checkpoint", testCheckpoint},
		{"CheckpointErrors", testCheckpointErrors},
		{"Sequence", testSequence},
		{"Parallel", testParallel},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			fds := openFDs(t)
			d := open(t)
			t.Cleanup(func() {
				ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
				defer cancel()
				if err := d.Close(ctx); err != nil {
					t.Errorf("Close: %v", err)
				}
				if err := goleak.Find(before); err != nil {
					t.Errorf("goroutines are left: %v", err)
				}
				for fd, target := range openFDs(t) {
					if fds[fd] != target {
						t.Errorf("descriptor %s (%s) is left open", fd, target)
					}
				}
			})
			c.test(t, d, image)
		})
	}
}

// openFDs lists this process's open files by descriptor.
func openFDs(t testing.TB) map[string]string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	fds := map[string]string{}
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		// The runtime's own poller stays once it was needed; the folder being read is this function's.
		if err != nil || strings.HasPrefix(target, "anon_inode:[event") || strings.HasSuffix(target, "/fd") {
			continue
		}
		fds[e.Name()] = target
	}
	return fds
}

// wantGone fails the test unless the guest's calls say that it is gone.
func wantGone(t testing.TB, s sandbox.Sandbox) {
	t.Helper()
	if err := s.Guest().Ping(t.Context()); !errors.Is(err, client.ErrClosed) {
		t.Errorf("Ping after the end: %v; want %v", err, client.ErrClosed)
	}
	if _, err := s.Stats(t.Context()); !errors.Is(err, sandbox.ErrGone) {
		t.Errorf("Stats after the end: %v; want %v", err, sandbox.ErrGone)
	}
}

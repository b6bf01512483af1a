package agent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// socketVariable makes the test binary the agent: an agent reaps all children of its process, so it cannot share one with the tests.
const socketVariable = "SUNABA_TEST_AGENT_SOCKET"

// userID is who user code runs as where the tests run as root.
const userID = 992

func TestMain(m *testing.M) {
	if socket := os.Getenv(socketVariable); socket != "" {
		New(Options{Socket: socket, Version: "test", Log: slog.New(slog.DiscardHandler)}).Run(context.Background())
		return
	}
	goleak.VerifyTestMain(m)
}

// guest is an agent in a process of its own, and its host.
type guest struct {
	*client.Client
	dir    string // the working folder
	socket string
	cmd    *exec.Cmd
}

// patience is how long a test waits for what should come at once.
const patience = time.Minute

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func configuration(dir string) proto.Configure {
	env := map[string]string{"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "GREETING": "hello"}
	return proto.Configure{User: proto.User{Name: "sandboxed", UID: userID, GID: userID}, Dir: dir, Hostname: "box", Env: env, PIDs: 77}
}

// start runs an agent and waits until it is configured. All of it ends with the test.
func start(t testing.TB, change ...func(*client.Options)) *guest {
	t.Helper()
	base, err := os.MkdirTemp("/tmp", "guest") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(base, 0o711); err != nil { // the user must get through
		t.Fatal(err)
	}
	g := &guest{dir: filepath.Join(base, "work"), socket: filepath.Join(base, "s")}
	g.serve(t, change...)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	g.cmd = exec.Command(self)
	g.cmd.Env = append(os.Environ(), socketVariable+"="+g.socket)
	g.cmd.Stderr = os.Stderr
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, pid := range childrenOf(g.cmd.Process.Pid) {
			(&process{pid: pid}).killTree()
		}
		_ = g.cmd.Process.Kill()
		_ = g.cmd.Wait()
		if err := os.RemoveAll(base); err != nil {
			t.Error(err)
		}
	})
	if _, err := g.Ready(within(t)); err != nil {
		t.Fatal("the agent did not dial in:", err)
	}
	return g
}

// serve makes a new host at the guest's socket.
func (g *guest) serve(t testing.TB, change ...func(*client.Options)) {
	t.Helper()
	o := client.Options{Configure: configuration(g.dir)}
	for _, f := range change {
		f(&o)
	}
	c := client.New(o)
	l, err := net.Listen("unix", g.socket)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- c.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(c.Close(), <-served); err != nil {
			t.Error("close the host's side:", err)
		}
	})
	g.Client = c
}

// childrenOf lists the children of a process.
func childrenOf(parent int) (pids []int) {
	names, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range names {
		pid := atoi(filepath.Base(filepath.Dir(name)))
		if up, _, dead := stat(pid); !dead && up == parent {
			pids = append(pids, pid)
		}
	}
	return pids
}

func atoi(s string) (n int) {
	for _, c := range s {
		n = 10*n + int(c-'0')
	}
	return n
}

// outcome is all that came of code or a command.
type outcome struct {
	stdout, stderr string
	proto.Run
}

func collect(ctx context.Context, run func(context.Context, client.Run) (proto.Run, error), r client.Run) (outcome, error) {
	var out, errs bytes.Buffer
	r.Output = func(stderr bool, p []byte) {
		if stderr {
			errs.Write(p)
			return
		}
		out.Write(p)
	}
	result, err := run(ctx, r)
	return outcome{out.String(), errs.String(), result}, err
}

// python runs one cell, which must be answered.
func (g *guest) python(t *testing.T, code string) outcome {
	t.Helper()
	o, err := collect(within(t), g.RunCode, client.Run{Language: "python", Text: code})
	if err != nil {
		t.Fatalf("%.200q: %v", code, err)
	}
	return o
}

// sh runs one command line, which must be answered.
func (g *guest) sh(t *testing.T, line string) outcome {
	t.Helper()
	o, err := collect(within(t), g.RunCommand, client.Run{Text: line})
	if err != nil {
		t.Fatalf("%.200q: %v", line, err)
	}
	return o
}

// await waits until a condition holds, which it must soon.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("in vain waited until", what)
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// write puts a file into place on the host's side, with no guest involved, owned by the user.
func (g *guest) put(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(g.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(path, userID, userID); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func check(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got: %s\nwant: %s", what, abridged(got), abridged(want))
	}
}

func abridged(s string) string {
	if len(s) > 4000 {
		return s[:2000] + "..." + s[len(s)-2000:]
	}
	return strings.TrimSuffix(s, "\n")
}

// clear empties the interpreter's namespace.
func (g *guest) clear(t *testing.T) {
	t.Helper()
	if _, err := g.RunCode(within(t), client.Run{Language: "python", ClearContext: true}); err != nil {
		t.Fatal(err)
	}
}

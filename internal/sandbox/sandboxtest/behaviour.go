package sandboxtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
	"github.com/sunaba-dev/sunaba/internal/sandbox"
)

func testCode(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	s := Create(t, d, Config(image))
	Prints(t, s, "print(1)", "1")
	Python(t, s, "x = 41")
	Prints(t, s, "print(x + 1)", "42")
	if r := Python(t, s, "1/0"); r.ExitCode == 0 {
		t.Errorf("an exception: %s; want a failure", r)
	}
	Prints(t, s, "print(x)", "41")
}

func testCommand(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	s := Create(t, d, Config(image))
	r := Command(t, s, "echo out; echo err >&2; exit 3")
	if want := (Result{Stdout: "out\n", Stderr: "err\n", ExitCode: 3}); r != want {
		t.Errorf("%s; want %s", r, want)
	}
	if r := Command(t, s, "pwd"); r.Stdout != Dir+"\n" {
		t.Errorf("pwd: %s; want %s", r, Dir)
	}
}

func testFiles(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	s := Create(t, d, Config(image))
	content := bytes.Repeat([]byte("sunaba\x00"), 1<<17)
	files := []client.File{{Path: "a.bin", Size: int64(len(content)), Content: bytes.NewReader(content)}}
	if err := s.Guest().WriteFiles(t.Context(), files); err != nil {
		t.Fatal(err)
	}
	if r := Command(t, s, "stat -c %s a.bin && echo more >> a.bin"); r.ExitCode != 0 || r.Stdout != fmt.Sprintln(len(content)) {
		t.Errorf("the user's view of the file: %s", r)
	}
	var got []byte
	err := s.Guest().ReadFiles(t.Context(), []string{"a.bin"}, func(_ proto.Entry, r io.Reader) (err error) {
		got, err = io.ReadAll(r)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := slices.Concat(content, []byte("more\n")); !bytes.Equal(got, want) {
		t.Errorf("read %d bytes that differ from the %d written", len(got), len(want))
	}
}

func testConfiguration(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	image.Env = maps.Clone(image.Env)
	if image.Env == nil {
		image.Env = map[string]string{}
	}
	image.Env["FROM_IMAGE"], image.Env["OVERRIDDEN"] = "image", "image"
	c := Config(image)
	c.Guest.Hostname = "dune"
	c.Guest.Env = map[string]string{"FROM_CONFIG": "config", "OVERRIDDEN": "config"}
	s := Create(t, d, c)
	if s.ID() != c.ID {
		t.Errorf("ID %q; want %q", s.ID(), c.ID)
	}
	r := Command(t, s, `uname -n; echo $FROM_IMAGE $FROM_CONFIG $OVERRIDDEN; grep MemTotal /proc/meminfo; nproc`)
	if want := "dune\nimage config config\nMemTotal:         524288 kB\n2\n"; r.Stdout != want {
		t.Errorf("%s; want stdout %q", r, want)
	}
}

func testUnprivileged(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	s := Create(t, d, Config(image))
	if r := Command(t, s, "id -u; id -g"); r.Stdout != "1000\n1000\n" {
		t.Errorf("id: %s; want 1000", r)
	}
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
		if r := Command(t, s, "grep "+set+" /proc/self/status"); r.Stdout != set+":\t0000000000000000\n" {
			t.Errorf("capabilities of a command: %s; want none", r)
		}
	}
	if r := Python(t, s, "print([l for l in open('/proc/self/status') if l.startswith('CapEff')][0])"); !strings.HasPrefix(r.Stdout, "CapEff:\t0000000000000000") {
		t.Errorf("capabilities of code: %s; want none", r)
	}
	for what, line := range map[string]string{
		"write to /etc":           "echo x > /etc/passwd",
		"read root's files":       "ls /root/ || cat /etc/shadow",
		"become root":             "python3 -c 'import os; os.setuid(0)'",
		"mount":                   "python3 -c 'import ctypes,sys; sys.exit(ctypes.CDLL(None).mount(b\"x\", b\"/tmp\", b\"tmpfs\", 0, None))'",
		"set the host name":       "python3 -c 'import socket; socket.sethostname(\"x\")'",
		"signal the guest":        "kill -9 1",
		"read the guest's memory": "head -c 1 /proc/1/mem",
		"raise its limits":        "ulimit -Hn 10000000",
		"see the control folder":  "ls /.sunaba",
		"pose as the guest":       `python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect("/.sunaba/ctl.sock")'`,
		"open a raw socket":       "python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)'",
	} {
		if r := Command(t, s, line); r.ExitCode == 0 {
			t.Errorf("the user can %s: %s", what, r)
		}
	}
	if r := Command(t, s, "su -c id root </dev/null; sudo -n id"); strings.Contains(r.Stdout, "uid=0") {
		t.Errorf("the user became root: %s", r)
	}
}

func testIsolation(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	a, b := Create(t, d, Config(image)), Create(t, d, Config(image))
	if r := Command(t, a, "echo secret > file; echo secret > /tmp/file; echo secret > /dev/shm/file"); r.ExitCode != 0 {
		t.Fatal(r)
	}
	if r := Command(t, b, "cat file /tmp/file /dev/shm/file"); strings.Contains(r.Stdout, "secret") {
		t.Errorf("one sandbox sees another's files: %s", r)
	}
	if r := Command(t, a, "cat file"); r.Stdout != "secret\n" {
		t.Errorf("its own file: %s", r)
	}
	// A listener in one cannot be reached from the other, though both call it 127.0.0.1.
	Python(t, a, "import socket; l = socket.socket(); l.bind(('127.0.0.1', 7777)); l.listen()")
	Prints(t, a, "c = socket.create_connection(('127.0.0.1', 7777)); print('connected')", "connected")
	if r := Python(t, b, "import socket; socket.create_connection(('127.0.0.1', 7777))"); !strings.Contains(r.Stdout+r.Stderr, "Connection refused") {
		t.Errorf("one sandbox reaches another's listener: %s", r)
	}
	if r := Command(t, a, "sleep 1234 & ls /proc | grep -c '^[0-9]'"); r.ExitCode != 0 {
		t.Fatal(r)
	}
	if r := Command(t, b, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"); strings.Contains(r.Stdout, "1234") {
		t.Errorf("one sandbox sees another's processes: %s", r)
	}
}

// testImageUnchanged writes in a sandbox where the user may and as the guest does, and looks at the image's folder on the host.
func testImageUnchanged(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	before := snapshot(t, image.Root)
	s := Create(t, d, Config(image))
	Command(t, s, "echo x > file; echo x > /tmp/x; mkdir -p /var/tmp/x; rm -rf /tmp/*; touch /usr/bin/x; rm -f /usr/bin/env")
	if err := s.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := snapshot(t, image.Root)
	for _, path := range slices.Sorted(maps.Keys(after)) {
		if before[path] != after[path] {
			t.Errorf("%s in the image has changed: %q, was %q", path, after[path], before[path])
		}
	}
	if len(before) != len(after) {
		t.Errorf("the image has %d files, had %d", len(after), len(before))
	}
	if r := Command(t, Create(t, d, Config(image)), "ls "+Dir+" /tmp /var/tmp/x"); strings.Contains(r.Stdout, "x") || strings.Contains(r.Stdout, "file") {
		t.Errorf("a new sandbox sees what an earlier one wrote: %s", r)
	}
}

// snapshot describes the upper levels of a tree: everything that a write below would change on one of them is seen in a folder's times.
func snapshot(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files[rel] = fmt.Sprint(info.Mode(), info.Size(), info.ModTime())
		if e.IsDir() && strings.Count(rel, string(os.PathSeparator)) >= 2 {
			return filepath.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func testNoNetwork(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	s := Create(t, d, Config(image))
	for _, to := range []string{"1.1.1.1", "169.254.169.254", "10.0.0.1"} {
		for _, kind := range []string{"SOCK_STREAM", "SOCK_DGRAM"} {
			code := fmt.Sprintf("import socket\ns = socket.socket(socket.AF_INET, socket.%s)\ns.settimeout(30)\n"+
				"try: s.connect(('%s', 80)); print('connected')\nexcept OSError as e: print(e.strerror)", kind, to)
			// At once: ten seconds would be a time-out, which this is not.
			Prints(t, s, code, "Network is unreachable")
		}
	}
	Prints(t, s, "import socket\ntry: socket.getaddrinfo('example.com', 80); print('resolved')\nexcept OSError: print('no')", "no")
	if r := Command(t, s, "cat /proc/net/dev"); strings.Contains(r.Stdout, "eth") {
		t.Errorf("there is a network device: %s", r)
	}
}

func testRelay(t *testing.T, d sandbox.Driver, image sandbox.Image) {
	c := Config(image)
	c.Relay = Echo
	s := Create(t, d, c)
	Listen(t, s, 8099)
	Relays(t, s, 8099)
}

// Echo is a relay that sends the listener's name, and then back what it gets.
func Echo(ctx context.Context, listener string, conn net.Conn) {
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, listener+" "); err == nil {
		_, _ = io.Copy(conn, conn)
	}
}

// Listen makes the guest listen on a port of the sandbox's loopback.
func Listen(t testing.TB, s sandbox.Sandbox, port int) {
	t.Helper()
	if err := s.Guest().Listen(t.Context(), proto.Listener{Name: "echo", Address: fmt.Sprintf("127.0.0.1:%d", port)}); err != nil {
		t.Fatalf("Listen: %v", err)
	}
}

// Relays fails the test unless connections to the port inside reach Echo on the host.
func Relays(t testing.TB, s sandbox.Sandbox, port int) {
	t.Helper()
	Prints(t, s, fmt.Sprintf(`import socket
c = socket.create_connection(('127.0.0.1', %d))
c.sendall(b'x' * 100000); c.shutdown(socket.SHUT_WR)
got = b''
while p := c.recv(65536): got += p
print(got[:5], len(got))`, port), "b'echo ' 100005")
}

package gvisor_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
	"github.com/sunaba-dev/sunaba/internal/image"
	"github.com/sunaba-dev/sunaba/internal/sandbox"
	"github.com/sunaba-dev/sunaba/internal/sandbox/sandboxtest"
)

// serviceImage is an image with nothing but the program of testdata/service and its users, as a container engine would hand it over.
var serviceImage = sync.OnceValues(func() (v1.Image, error) {
	dir, err := os.MkdirTemp("", "service-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bin := filepath.Join(dir, "service")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", bin, "./testdata/service")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	program, err := os.ReadFile(bin)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range []struct {
		name, text string
		mode       int64
	}{
		{"service", string(program), 0o755},
		{"etc/passwd", "root:x:0:0:root:/root:/bin/sh\nagent:x:1234:55:The agent:/home/agent:/bin/sh\n", 0o644},
		{"etc/group", "root:x:0:\nagents:x:55:\nmodels:x:77:agent,other\n", 0o644},
	} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: int64(len(f.text)), Mode: f.mode}); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, f.text); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = v1.Config{Entrypoint: []string{"/service"}, Cmd: []string{"serve"}, Env: []string{"GREETING=hello"}, User: "agent", WorkingDir: "/app/work"}
	return mutate.ConfigFile(img, config)
})

// container is a sandbox of the service image.
type container struct {
	sandbox.Sandbox
	image image.Image
	http  *http.Client
}

// fleet starts sandboxes of one driver and one image.
type fleet struct {
	sandbox.Driver
	image image.Image
}

func newFleet(t testing.TB) *fleet {
	t.Helper()
	img, err := serviceImage()
	if err != nil {
		t.Fatal(err)
	}
	runDir, dataDir := folders(t)
	t.Cleanup(func() { wantNothing(t, runDir, dataDir) })
	store := image.New(t.TempDir())
	added, err := store.Add(t.Context(), img, "the test")
	if err != nil {
		t.Fatal(err)
	}
	d := openIn(t, runDir, dataDir)
	t.Cleanup(func() { closeDriver(t, d) })
	return &fleet{d, added}
}

func (f *fleet) config() sandbox.Config {
	c := sandboxtest.Config(sandbox.Image{Root: f.image.Root, Env: f.image.Env})
	c.Guest = proto.Configure{User: proto.User{Name: "root"}, Dir: "/", Hostname: "agent"}
	return c
}

func (f *fleet) start(t testing.TB) *container {
	t.Helper()
	return f.reach(t, sandboxtest.Create(t, f, f.config()))
}

// reach makes an HTTP client for a sandbox.
func (f *fleet) reach(t testing.TB, s sandbox.Sandbox) *container {
	transport := &http.Transport{MaxIdleConnsPerHost: 100, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return s.Guest().Dial(ctx, 8080) }}
	t.Cleanup(transport.CloseIdleConnections)
	return &container{Sandbox: s, image: f.image, http: &http.Client{Transport: transport}}
}

// output is what a service has written so far.
type output struct {
	mu      sync.Mutex
	changed chan struct{}
	text    strings.Builder
	stderr  strings.Builder
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) take(stderr bool, p []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if stderr {
		o.stderr.Write(p)
	} else {
		o.text.Write(p)
	}
	close(o.changed)
	o.changed = make(chan struct{})
}

// await waits until stdout has the text.
func (o *output) await(t testing.TB, want string) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		o.mu.Lock()
		text, changed := o.text.String(), o.changed
		o.mu.Unlock()
		if strings.Contains(text, want) {
			return
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("the service prints %.300q, and never %q", text, want)
		}
	}
}

func (c *container) service(args ...string) proto.Service {
	return proto.Service{Argv: append(c.image.Entrypoint[:1:1], args...), Dir: c.image.WorkingDir, User: c.image.User}
}

func (c *container) run(t testing.TB, s proto.Service) (*client.ServiceRun, *output) {
	t.Helper()
	o := newOutput()
	r, err := c.Guest().RunService(t.Context(), s, o.take)
	if err != nil {
		t.Fatal(err)
	}
	return r, o
}

func ended(t testing.TB, r *client.ServiceRun) proto.Run {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	run, err := r.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func (c *container) get(t testing.TB, path string) string {
	t.Helper()
	res, err := c.http.Get("http://agent" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestService(t *testing.T) {
	f := newFleet(t)

	t.Run("serves as its image says", func(t *testing.T) {
		c := f.start(t)
		_, o := c.run(t, proto.Service{Argv: c.image.Argv(), Dir: c.image.WorkingDir, User: c.image.User})
		o.await(t, "listening")
		if got := c.get(t, "/ping"); got != "Healthy" {
			t.Errorf("ping: %q", got)
		}
		got := c.get(t, "/whoami")
		const want = "uid=1234 gid=55 groups=[77] dir=/app/work home=/home/agent user=agent greeting=hello\n"
		if !strings.HasPrefix(got, want) {
			t.Errorf("the program sees %s, want %s", got, want)
		}
		if !strings.Contains(got, "CapEff:\t0000000000000000") {
			t.Errorf("a user has capabilities: %s", got)
		}
		body := strings.Repeat("x", 5<<20)
		res, err := c.http.Post("http://agent/echo", "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		if b, err := io.ReadAll(res.Body); err != nil || string(b) != body {
			t.Errorf("%d bytes come back, %v", len(b), err)
		}
		r := commandOf(t, c, "/service", "whoami")
		if !strings.HasPrefix(r.Stdout, want) {
			t.Errorf("a command beside it sees %s", r)
		}
	})

	t.Run("root keeps no power over the network", func(t *testing.T) {
		c := f.start(t)
		s := c.service("whoami")
		s.User = ""
		s.Env = map[string]string{"GREETING": "changed"}
		r, o := c.run(t, s)
		if run := ended(t, r); run.ExitCode != 0 {
			t.Error(run)
		}
		got := o.text.String()
		if !strings.HasPrefix(got, "uid=0 gid=0 groups=[] dir=/app/work home=/root user=root greeting=changed\n") {
			t.Error(got)
		}
		// chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, setfcap
		for _, set := range []string{"CapPrm", "CapEff", "CapBnd"} {
			if want := set + ":\t00000000800005fb"; !strings.Contains(got, want) {
				t.Errorf("want %s in %s", want, got)
			}
		}
	})

	t.Run("nobody listens", func(t *testing.T) {
		c := f.start(t)
		r, _ := c.run(t, c.service("silent"))
		for range 10 {
			if _, err := c.Guest().Dial(t.Context(), 8080); !errors.Is(err, client.ErrRefused) || !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatal(err)
			}
		}
		if err := r.Signal(t.Context(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if run := ended(t, r); run.ExitCode != 128+15 {
			t.Error(run)
		}
	})

	t.Run("its end is seen with its last words", func(t *testing.T) {
		c := f.start(t)
		r, o := c.run(t, c.service("exit", "9"))
		if run := ended(t, r); run.ExitCode != 9 || run.Duration <= 0 {
			t.Error(run)
		}
		if o.text.String() != "the last words\n" || o.stderr.String() != "and the complaint\n" {
			t.Errorf("%q, %q", o.text.String(), o.stderr.String())
		}
		var e *proto.Error
		if err := r.Signal(t.Context(), syscall.SIGTERM); !errors.As(err, &e) || e.Code != proto.NotFound {
			t.Errorf("a signal to nobody: %v", err)
		}
		again, o := c.run(t, c.service("exit", "3")) // is found, not started
		if run := ended(t, again); run.ExitCode != 9 || o.text.String() != "the last words\n" {
			t.Error(run, o.text.String())
		}
	})

	t.Run("ignores SIGTERM", func(t *testing.T) {
		c := f.start(t)
		r, o := c.run(t, c.service("stubborn"))
		o.await(t, "ready")
		if err := r.Signal(t.Context(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		o.await(t, "refused")
		select {
		case <-r.Done():
			t.Error("it has ended")
		default:
		}
		if err := r.Signal(t.Context(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if run := ended(t, r); run.ExitCode != 128+9 {
			t.Error(run)
		}
	})

	t.Run("forks away", func(t *testing.T) {
		c := f.start(t)
		r, _ := c.run(t, c.service("daemon"))
		if run := ended(t, r); run.ExitCode != 0 {
			t.Error(run)
		}
		alive := commandOf(t, c, "/service", "alive").Stdout
		if strings.Contains(alive, "silent") || strings.Contains(alive, "daemon") {
			t.Errorf("alive are:\n%s", alive)
		}
	})

	t.Run("forks away and is killed", func(t *testing.T) {
		c := f.start(t)
		r, o := c.run(t, c.service("daemon", "stay"))
		o.await(t, "child")
		if err := r.Signal(t.Context(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		ended(t, r)
		if alive := commandOf(t, c, "/service", "alive").Stdout; strings.Contains(alive, "silent") {
			t.Errorf("alive are:\n%s", alive)
		}
	})

	t.Run("floods its output", func(t *testing.T) {
		c := f.start(t)
		stuck, release := make(chan struct{}), make(chan struct{})
		var once sync.Once
		r, err := c.Guest().RunService(t.Context(), c.service("flood"), func(bool, []byte) {
			once.Do(func() { close(stuck) })
			<-release
		})
		if err != nil {
			t.Fatal(err)
		}
		<-stuck
		if err := c.Guest().Ping(t.Context()); err != nil { // nothing else waits for it
			t.Error(err)
		}
		before, err := c.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			commandOf(t, c, "/service", "whoami")
		}
		after, err := c.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if after.Memory > before.Memory+64<<20 {
			t.Errorf("from %d to %d bytes of memory", before.Memory, after.Memory)
		}
		close(release)
		if err := r.Signal(t.Context(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if run := ended(t, r); run.ExitCode != 128+9 {
			t.Error(run)
		}
	})

	t.Run("fork bomb of a root", func(t *testing.T) {
		c := f.start(t)
		s := c.service("bomb")
		s.User = ""
		r, o := c.run(t, s)
		o.await(t, "stopped")
		if err := c.Guest().Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.Signal(t.Context(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		ended(t, r)
		if alive := commandOf(t, c, "/service", "alive").Stdout; strings.Contains(alive, "bomb") {
			t.Errorf("alive are:\n%s", alive)
		}
	})

	t.Run("dies in the middle of an answer", func(t *testing.T) {
		c := f.start(t)
		r, o := c.run(t, c.service("serve"))
		o.await(t, "listening")
		res, err := c.http.Get("http://agent/die")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		if _, err = io.ReadAll(res.Body); err == nil {
			t.Error("the answer looks whole")
		}
		if run := ended(t, r); run.ExitCode != 7 {
			t.Error(run)
		}
	})

	t.Run("a client that goes is noticed", func(t *testing.T) {
		c := f.start(t)
		_, o := c.run(t, c.service("serve"))
		o.await(t, "listening")
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent/hang", nil)
		if err != nil {
			t.Fatal(err)
		}
		gone := make(chan error, 1)
		go func() {
			res, err := c.http.Do(req)
			if err == nil {
				_ = res.Body.Close()
			}
			gone <- err
		}()
		o.await(t, "hanging\n")
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		o.await(t, "the hanging client has gone\n")
	})

	t.Run("stuck streams stall no other", func(t *testing.T) {
		c := f.start(t)
		_, o := c.run(t, c.service("serve"))
		o.await(t, "listening")
		for range 20 { // nobody reads these
			res, err := c.http.Get("http://agent/bytes?n=100000000")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
		}
		const streams, events = 50, 50
		var all sync.WaitGroup
		for range streams {
			all.Go(func() {
				if n, err := c.events(fmt.Sprintf("/sse?n=%d&pause=10ms&size=100", events), nil); n != events || err != nil {
					t.Errorf("%d events, %v", n, err)
				}
			})
		}
		all.Wait()
	})

	t.Run("what cannot be started says why", func(t *testing.T) {
		c := f.start(t)
		for name, row := range map[string]struct {
			change func(*proto.Service)
			code   proto.ErrorCode
		}{
			"no such program": {func(s *proto.Service) { s.Argv = []string{"/nothing"} }, proto.NotFound},
			"not on the PATH": {func(s *proto.Service) { s.Argv = []string{"nothing"} }, proto.NotFound},
			"no program":      {func(s *proto.Service) { s.Argv = []string{"/etc/passwd"}; s.User = "" }, proto.Denied},
			"no such user":    {func(s *proto.Service) { s.User = "nobody-here" }, proto.NotFound},
			"no such group":   {func(s *proto.Service) { s.User = "agent:nobody-here" }, proto.NotFound},
			"no argv":         {func(s *proto.Service) { s.Argv = nil }, proto.BadRequest},
			"a relative dir":  {func(s *proto.Service) { s.Dir = "work" }, proto.BadRequest},
			"a file as dir":   {func(s *proto.Service) { s.Dir = "/etc/passwd" }, proto.Failed},
			"an odd variable": {func(s *proto.Service) { s.Env = map[string]string{"A=B": "c"} }, proto.BadRequest},
		} {
			s := c.service("serve")
			row.change(&s)
			_, err := c.Guest().RunService(t.Context(), s, nil)
			if e, ok := errors.AsType[*proto.Error](err); !ok || e.Code != row.code {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, o := c.run(t, c.service("serve")) // none of them counts as the one that has been started
		o.await(t, "listening")
	})
}

// events reads a stream of events and returns how many came. seen gets each line.
func (c *container) events(path string, seen func(string)) (int, error) {
	res, err := c.http.Get("http://agent" + path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	n := 0
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data:") {
			n++
			if seen != nil {
				seen(lines.Text())
			}
		}
	}
	return n, lines.Err()
}

// commandOf runs a program in the container without a shell: the image has none.
func commandOf(t testing.TB, c *container, argv ...string) sandboxtest.Result {
	t.Helper()
	var out, errs strings.Builder
	run, err := c.Guest().RunCommand(t.Context(), client.Run{Argv: argv, Output: func(stderr bool, p []byte) {
		if stderr {
			errs.Write(p)
		} else {
			out.Write(p)
		}
	}})
	if err != nil {
		t.Fatal(argv, err)
	}
	return sandboxtest.Result{Stdout: out.String(), Stderr: errs.String(), ExitCode: run.ExitCode}
}

// A checkpoint ends every connection, and the restored sandbox has another host's side: the service goes on, and nothing that it has written since is lost.
func TestServiceOutlivesACheckpoint(t *testing.T) {
	f := newFleet(t)
	config := f.config()
	c := f.reach(t, sandboxtest.Create(t, f, config))
	first, o := c.run(t, c.service("serve"))
	o.await(t, "listening")
	if got := c.get(t, "/ping"); got != "Healthy" {
		t.Fatal(got)
	}
	dir := t.TempDir()
	if err := c.Checkpoint(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Wait(t.Context()); !errors.Is(err, client.ErrClosed) {
		t.Errorf("what listened before: %v", err)
	}
	c = f.reach(t, sandboxtest.Restore(t, f, config, dir))
	second, o := c.run(t, c.service("exit", "1")) // found as it was, not started
	o.await(t, "listening")
	if got := c.get(t, "/ping"); got != "Healthy" {
		t.Error(got)
	}
	if second.Lost() != 0 {
		t.Errorf("%d bytes are lost", second.Lost())
	}
	res, err := c.http.Get("http://agent/die")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if run := ended(t, second); run.ExitCode != 7 {
		t.Error(run)
	}
}

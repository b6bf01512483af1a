package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// script is a service that is a shell script.
func (g *guest) script(text string) proto.Service {
	return proto.Service{Argv: []string{"sh", "-c", text}, Dir: g.dir, User: strconv.Itoa(userID)}
}

// said is what a service has written.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) take(_ bool, p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (g *guest) service(t *testing.T, s proto.Service) (*client.ServiceRun, *said) {
	t.Helper()
	var o said
	r, err := g.RunService(within(t), s, o.take)
	if err != nil {
		t.Fatal(err)
	}
	return r, &o
}

func exitOf(t *testing.T, r *client.ServiceRun) int {
	t.Helper()
	run, err := r.Wait(within(t))
	if err != nil {
		t.Fatal(err)
	}
	return run.ExitCode
}

func TestServiceOutlivesItsHost(t *testing.T) {
	g := start(t)
	first, o := g.service(t, g.script(`echo one; until [ -e go ]; do sleep 0.02; done; echo two; until [ -e on ]; do sleep 0.02; done; echo three; exit 4`))
	await(t, "it has spoken", func() bool { return o.String() == "one\n" })
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Wait(within(t)); !errors.Is(err, client.ErrClosed) {
		t.Errorf("the run of the host that is gone: %v", err)
	}
	g.put(t, "go", "") // it speaks while nobody listens
	g.serve(t)
	second, o := g.service(t, g.script("echo another"))
	g.put(t, "on", "")
	if code := exitOf(t, second); code != 4 {
		t.Error(code)
	}
	check(t, "all of its output", o.String(), "one\ntwo\nthree\n")
}

// proxy stands between a guest and its host, and can cut all connections.
type proxy struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (p *proxy) serve(t *testing.T, l net.Listener, to string) {
	var all sync.WaitGroup
	all.Go(func() {
		for {
			down, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("unix", to)
			if err != nil {
				_ = down.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, down, up)
			p.mu.Unlock()
			all.Go(func() { copyHalf(up, down) })
			all.Go(func() { copyHalf(down, up) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		all.Wait()
	})
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// A connection that breaks while the service floods its output loses nothing: the same run goes on, byte by byte.
func TestOutputGoesOnWhereTheConnectionBroke(t *testing.T) {
	g := start(t)
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	behind := filepath.Join(filepath.Dir(g.socket), "behind")
	l, err := net.Listen("unix", g.socket)
	if err != nil {
		t.Fatal(err)
	}
	front := g.socket
	g.socket = behind
	g.serve(t)
	g.socket = front
	var p proxy
	p.serve(t, l, behind)
	const lines = 140_000 // less than the guest keeps while nobody listens: nothing may be lost, however slow the next connection is
	r, o := g.service(t, g.script(fmt.Sprintf("seq 1 %d", lines)))
	for range 5 {
		before := len(o.String())
		await(t, "more has come", func() bool {
			select {
			case <-r.Done():
				return true
			default:
				return len(o.String()) > before+100_000
			}
		})
		p.cut()
	}
	if code := exitOf(t, r); code != 0 {
		t.Error(code)
	}
	var want strings.Builder
	for i := range lines {
		fmt.Fprintln(&want, i+1)
	}
	if r.Lost() != 0 || o.String() != want.String() {
		t.Errorf("%d bytes came and %d are lost, of %d", len(o.String()), r.Lost(), want.Len())
	}
}

func TestServicesProcessesEndWithIt(t *testing.T) {
	g := start(t)
	r, o := g.service(t, g.script("setsid sleep 1000 & echo $!; exit 2"))
	if code := exitOf(t, r); code != 2 {
		t.Error(code)
	}
	pid := atoi(strings.TrimSpace(o.String()))
	await(t, "its child is gone", func() bool { _, _, dead := stat(pid); return dead })
}

func TestServiceSignals(t *testing.T) {
	g := start(t)
	r, o := g.service(t, g.script("trap 'echo got it' USR1; trap '' TERM; echo ready; while :; do sleep 0.02; done"))
	await(t, "it is ready", func() bool { return strings.Contains(o.String(), "ready") })
	for _, s := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGTERM} {
		if err := r.Signal(within(t), s); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "it has got it", func() bool { return strings.Contains(o.String(), "got it") })
	for _, s := range []syscall.Signal{0, -1, 65} {
		if e, ok := errors.AsType[*proto.Error](r.Signal(within(t), s)); !ok || e.Code != proto.BadRequest {
			t.Errorf("signal %d: %v", s, e)
		}
	}
	if err := r.Signal(within(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := exitOf(t, r); code != 137 {
		t.Error(code)
	}
}

func TestCommandsRunAsTheService(t *testing.T) {
	g := start(t)
	s := g.script("sleep 1000")
	s.Dir = filepath.Join(g.dir, "deep", "er")
	s.Env = map[string]string{"GREETING": "changed", "OWN": "1"}
	r, _ := g.service(t, s)
	got := g.sh(t, `echo "$(id -u) $PWD $GREETING $OWN $LANG"`)
	want := fmt.Sprintf("%d %s changed 1 C.UTF-8\n", userID, s.Dir)
	if os.Geteuid() != 0 {
		want = fmt.Sprintf("%d %s changed 1 C.UTF-8\n", os.Geteuid(), s.Dir)
	}
	check(t, "a command", got.stdout, want)
	o, err := collect(within(t), g.RunCommand, client.Run{Argv: []string{"echo", "a b", ";", "$OWN"}})
	if err != nil || o.stdout != "a b ; $OWN\n" {
		t.Errorf("without a shell: %+v, %v", o, err)
	}
	_, err = collect(within(t), g.RunCommand, client.Run{Argv: []string{"no-such-program"}})
	if e, ok := errors.AsType[*proto.Error](err); !ok || e.Code != proto.NotFound {
		t.Errorf("a program that is not there: %v", err)
	}
	if err := r.Signal(within(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	exitOf(t, r)
}

func TestSignalWithoutService(t *testing.T) {
	g := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.RunService(ctx, g.script("true"), nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for name, s := range map[string]proto.Service{"nothing": {}, "no name": {Argv: []string{""}}, "a zero byte": {Argv: []string{"a\x00b"}}, "a zero in an argument": {Argv: []string{"true", "\x00"}}} {
		if _, err := g.RunService(within(t), s, nil); err == nil {
			t.Errorf("%s is started", name)
		}
	}
}

// server listens on a port of the machine that the agent runs on.
func server(t *testing.T, serve func(*net.TCPConn)) int {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.AcceptTCP()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = conn.Close() }()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return l.Addr().(*net.TCPAddr).Port
}

func TestDialKeepsTheHalvesApart(t *testing.T) {
	g := start(t)
	port := server(t, func(c *net.TCPConn) {
		b, err := io.ReadAll(c) // until the host has ended its half
		if err != nil {
			t.Error(err)
		}
		_, _ = c.Write(append(b, " and back"...))
	})
	payload := strings.Repeat("payload ", 50_000)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			conn, err := g.Dial(within(t), port)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = conn.Close() }()
			_, err = io.WriteString(conn, payload)
			if err := errors.Join(err, conn.(interface{ CloseWrite() error }).CloseWrite()); err != nil {
				t.Error(err)
			}
			if b, err := io.ReadAll(conn); err != nil || string(b) != payload+" and back" {
				t.Errorf("%d bytes, %v", len(b), err)
			}
		})
	}
	all.Wait()
}

// A program that says nothing and reads nothing learns at once that the host has gone.
func TestHostThatHangsUpIsNoticed(t *testing.T) {
	g := start(t)
	in, gone := make(chan struct{}), make(chan error, 1)
	port := server(t, func(c *net.TCPConn) {
		close(in)
		if _, err := io.ReadAll(c); err != nil {
			gone <- err
			return
		}
		for { // the host's half has ended: that alone is no reason to go
			if _, err := c.Write([]byte("x")); err != nil {
				gone <- err
				return
			}
		}
	})
	conn, err := g.Dial(within(t), port)
	if err != nil {
		t.Fatal(err)
	}
	<-in
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-gone:
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Error(err)
		}
	case <-within(t).Done():
		t.Error("it is not noticed")
	}
}

func TestDialRefusals(t *testing.T) {
	g := start(t)
	_, text, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Dial(within(t), atoi(text)); !errors.Is(err, client.ErrRefused) || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
	for _, port := range []int{-1, 0, 65536} {
		if _, err := g.Dial(within(t), port); err == nil || errors.Is(err, client.ErrRefused) {
			t.Errorf("port %d: %v", port, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Dial(ctx, 80); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

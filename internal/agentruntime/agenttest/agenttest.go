// Package agenttest has agents without sandboxes, for tests: a driver whose sandboxes are empty, and guests in which a handler of the test is the container's program, reached over pipes.
package agenttest

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"syscall"

	"github.com/sunaba-dev/sunaba/internal/agentruntime/container"
	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
	"github.com/sunaba-dev/sunaba/internal/sandbox"
)

// Driver makes sandboxes in which Agent is the container's program. It is a sandbox.Driver.
type Driver struct {
	Agent   http.Handler
	Fail    error                       // of Create
	Refuse  error                       // of starting the program
	Port    int                         // that the agent listens on; 0 is 8080, below zero none
	Main    func(b *Sandbox)            // runs beside the agent, as the program's main function; the program goes on after it
	Ignores func(s syscall.Signal) bool // signals that do not end the program

	mu    sync.Mutex
	boxes []*Sandbox
}

// Create implements sandbox.Driver.
func (d *Driver) Create(ctx context.Context, c sandbox.Config) (sandbox.Sandbox, error) {
	if d.Fail != nil {
		return nil, d.Fail
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b := &Sandbox{Config: c, driver: d, guest: client.New(client.Options{}), done: make(chan struct{}), ended: make(chan struct{}), conns: make(chan net.Conn)}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.boxes = append(d.boxes, b)
	return b, nil
}

// Restore implements sandbox.Driver.
func (d *Driver) Restore(context.Context, sandbox.Config, string) (sandbox.Sandbox, error) {
	return nil, sandbox.ErrUnsupported
}

// Reap implements sandbox.Driver.
func (d *Driver) Reap(context.Context) ([]string, error) { return nil, nil }

// Close implements sandbox.Driver.
func (d *Driver) Close(context.Context) error { return nil }

// Guest is the option of the same name of container.Options.
func (d *Driver) Guest(b sandbox.Sandbox) container.Guest { return b.(*Sandbox) }

// Sandboxes returns all that were made, in their order.
func (d *Driver) Sandboxes() []*Sandbox {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]*Sandbox(nil), d.boxes...)
}

// Alive counts the sandboxes that have not ended.
func (d *Driver) Alive() (n int) {
	for _, b := range d.Sandboxes() {
		select {
		case <-b.done:
		default:
			n++
		}
	}
	return n
}

// Sandbox is one sandbox, its guest and its program.
type Sandbox struct {
	Config  sandbox.Config
	Service proto.Service // that was started
	Out     func(stderr bool, p []byte)

	driver *Driver
	guest  *client.Client
	server *http.Server
	conns  chan net.Conn

	mu      sync.Mutex
	exit    sandbox.Exit
	code    int
	signals []syscall.Signal
	death   sync.Once
	end     sync.Once
	done    chan struct{} // the sandbox has ended
	ended   chan struct{} // the program has
}

// ID implements sandbox.Sandbox.
func (b *Sandbox) ID() string { return b.Config.ID }

// Guest implements sandbox.Sandbox.
func (b *Sandbox) Guest() *client.Client { return b.guest }

// Checkpoint implements sandbox.Sandbox.
func (b *Sandbox) Checkpoint(context.Context, string) error { return sandbox.ErrUnsupported }

// Done implements sandbox.Sandbox, whose program's end is its own matter: see [Sandbox.Exited].
func (b *Sandbox) Done() <-chan struct{} { return b.done }

// Exit implements sandbox.Sandbox.
func (b *Sandbox) Exit() sandbox.Exit {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.exit
}

// Stats implements sandbox.Sandbox.
func (b *Sandbox) Stats(context.Context) (sandbox.Stats, error) { return sandbox.Stats{}, nil }

// Destroy implements sandbox.Sandbox.
func (b *Sandbox) Destroy(context.Context) error {
	b.Die(sandbox.Destroyed)
	return nil
}

// Die ends the sandbox, and the program with it.
func (b *Sandbox) Die(cause sandbox.Cause) {
	b.death.Do(func() {
		b.mu.Lock()
		b.exit.Cause = cause
		b.mu.Unlock()
		close(b.done)
		b.Exited(137)
	})
}

// Exited ends the program with a code, its connections with it.
func (b *Sandbox) Exited(code int) {
	b.end.Do(func() {
		b.mu.Lock()
		b.code = code
		b.mu.Unlock()
		close(b.ended)
		if b.server != nil {
			_ = b.server.Close()
		}
	})
}

// Signals returns those that the program has got.
func (b *Sandbox) Signals() []syscall.Signal {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]syscall.Signal(nil), b.signals...)
}

// Run implements container.Guest.
func (b *Sandbox) Run(_ context.Context, s proto.Service, out func(stderr bool, p []byte)) (container.Program, error) {
	if b.driver.Refuse != nil {
		return nil, b.driver.Refuse
	}
	b.Service, b.Out = s, out
	b.server = &http.Server{Handler: b.driver.Agent, ErrorLog: log.New(io.Discard, "", 0)} //nolint:gosec // a test's
	go func() { _ = b.server.Serve(listener{b}) }()
	if b.driver.Main != nil {
		go b.driver.Main(b)
	}
	return program{b}, nil
}

// Dial implements container.Guest.
func (b *Sandbox) Dial(ctx context.Context, port int) (net.Conn, error) {
	want := b.driver.Port
	if want == 0 {
		want = 8080
	}
	if port != want {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	mine, theirs := net.Pipe()
	select {
	case b.conns <- theirs:
		return mine, nil
	case <-b.ended:
	case <-ctx.Done():
	}
	return nil, errors.Join(ctx.Err(), mine.Close(), theirs.Close(), syscall.ECONNREFUSED)
}

type program struct{ b *Sandbox }

func (p program) Signal(_ context.Context, s syscall.Signal) error {
	p.b.mu.Lock()
	p.b.signals = append(p.b.signals, s)
	p.b.mu.Unlock()
	if ignores := p.b.driver.Ignores; ignores == nil || !ignores(s) {
		p.b.Exited(128 + int(s))
	}
	return nil
}

func (p program) Done() <-chan struct{} { return p.b.ended }

func (p program) Wait(ctx context.Context) (proto.Run, error) {
	select {
	case <-p.b.ended:
		p.b.mu.Lock()
		defer p.b.mu.Unlock()
		return proto.Run{ExitCode: p.b.code}, nil
	case <-ctx.Done():
		return proto.Run{}, ctx.Err()
	}
}

// listener gives the agent the connections that are dialled.
type listener struct{ b *Sandbox }

func (l listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.b.conns:
		return c, nil
	case <-l.b.ended:
		return nil, net.ErrClosed
	}
}

func (l listener) Close() error   { return nil }
func (l listener) Addr() net.Addr { return &net.UnixAddr{Name: "agent", Net: "pipe"} }

// Package container runs an agent's container in a sandbox and speaks with it: it starts the program of the image, waits until it answers, sends it invocations over HTTP and its output to a log.
package container

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
	"github.com/sunaba-dev/sunaba/internal/sandbox"
)

// Options configure a Launcher.
type Options struct {
	Driver sandbox.Driver
	Guest  func(sandbox.Sandbox) Guest
	// Image returns where an artifact lies unpacked, and keeps it from being removed until release is called. A fault says what is to be done about one that is gone.
	Image  func(ctx context.Context, a agentruntime.Artifact) (root string, release func(), err error)
	Limits sandbox.Limits // of each instance's sandbox
	// Connect gives an instance its view of the network: names, endpoints, the way out, the role's credentials. nil gives none.
	Connect func(l agentruntime.Launch) Connection
	// Output opens the log of an instance; nil logs nothing.
	Output func(l agentruntime.Launch, group, stream string) (Lines, error)
	NewID  func() string // of sandboxes; see sandbox.Config.ID
	Log    *slog.Logger
	// StartTime bounds the time from the program's start to its first answer; 0 is AWS's 120 seconds.
	StartTime time.Duration
}

// Guest is what the guest in a sandbox does here.
type Guest interface {
	// Run starts the program of the container; out is called with what it writes, in order, never concurrently.
	Run(ctx context.Context, s proto.Service, out func(stderr bool, p []byte)) (Program, error)
	// Dial connects to a port of the sandbox's own loopback. An error with syscall.ECONNREFUSED says that nobody listens.
	Dial(ctx context.Context, port int) (net.Conn, error)
}

// Program is a running program.
type Program interface {
	Signal(ctx context.Context, s syscall.Signal) error
	// Done is closed when the program has ended and its output is complete; Wait tells how.
	Done() <-chan struct{}
	Wait(ctx context.Context) (proto.Run, error)
}

// Connection is what an instance sees of the network.
type Connection struct {
	Network *proto.Network
	Relay   func(ctx context.Context, listener string, conn net.Conn)
	End     func(ctx context.Context) error // takes the instance's credentials back; may be nil
}

// Lines takes the output of an instance, line by line.
type Lines interface {
	Line(ctx context.Context, line string) bool // waits for a moment at most
	Close(ctx context.Context) error
}

// Launcher starts agents in sandboxes. It implements agentruntime.Launcher.
type Launcher struct{ o Options }

var _ agentruntime.Launcher = (*Launcher)(nil)

// DefaultStartTime is how long an agent may take to answer for the first time.
const DefaultStartTime = 120 * time.Second

// stopGrace is how long a program may take to end after SIGTERM. A session's end may take 15 seconds on AWS; nobody waits gladly for a program that ignores the signal.
const stopGrace = 2 * time.Second

// New returns a launcher.
func New(o Options) *Launcher {
	if o.StartTime == 0 {
		o.StartTime = DefaultStartTime
	}
	return &Launcher{o}
}

// instance is one agent in its sandbox.
type instance struct {
	l       *Launcher
	spoken  dialect
	box     sandbox.Sandbox
	guest   Guest
	program Program
	http    *http.Transport
	output  *output
	log     *slog.Logger
	undo    []func(context.Context) error // what the start has made, undone last first

	done      chan struct{} // closed when the instance has ended by itself
	destroyed chan struct{}
	reason    string // once done is closed
	once      sync.Once
	err       error // of Destroy
}

// Launch implements agentruntime.Launcher.
func (l *Launcher) Launch(ctx context.Context, start agentruntime.Launch) (_ agentruntime.Instance, err error) {
	i := &instance{l: l, spoken: dialects[start.Runtime.Speaks()], done: make(chan struct{}), destroyed: make(chan struct{}),
		log: l.o.Log.With("runtime", start.Runtime.ID, "session", start.Session)}
	defer func() {
		if err != nil {
			err = errors.Join(err, i.Destroy(context.WithoutCancel(ctx)))
		}
	}()
	root, release, err := l.o.Image(ctx, start.Artifact)
	if err != nil {
		return nil, err
	}
	i.later(func(context.Context) error { release(); return nil })
	config := sandbox.Config{ID: l.o.NewID(), Image: sandbox.Image{Root: root, Env: start.Artifact.Env}, Limits: l.o.Limits, Guest: surroundings(start)}
	if l.o.Connect != nil {
		c := l.o.Connect(start)
		config.Guest.Network, config.Relay = c.Network, c.Relay
		if c.End != nil {
			i.later(c.End)
		}
	}
	if i.output, err = l.open(start, config.ID); err != nil {
		return nil, err
	}
	i.later(i.output.close)
	if i.box, err = l.o.Driver.Create(ctx, config); err != nil {
		return nil, fault.Wrap(err, "start the sandbox of session %s", start.Session)
	}
	i.later(i.box.Destroy)
	i.guest = l.o.Guest(i.box)
	i.http = transport(i.guest, i.spoken.port)
	i.program, err = i.guest.Run(ctx, service(start), i.output.write)
	if err != nil {
		return nil, i.startFailed(ctx, err)
	}
	i.later(i.stop)
	i.later(func(context.Context) error { i.http.CloseIdleConnections(); return nil })
	if err := i.awaitAnswer(ctx); err != nil {
		return nil, err
	}
	go i.watch()
	return i, nil
}

func (i *instance) later(f func(context.Context) error) { i.undo = append(i.undo, f) }

// surroundings are those of the guest. Its folder is the root, which the guest leaves as it is: the image's working folder may be another user's.
func surroundings(start agentruntime.Launch) proto.Configure {
	return proto.Configure{User: proto.User{Name: "root"}, Dir: "/", Env: environment(start), Hostname: "localhost"}
}

// service is the container's program.
func service(start agentruntime.Launch) proto.Service {
	a := start.Artifact
	return proto.Service{Argv: append(a.Entrypoint[:len(a.Entrypoint):len(a.Entrypoint)], a.Cmd...), Env: environment(start), Dir: workingDir(a), User: a.User}
}

func workingDir(a agentruntime.Artifact) string {
	if a.WorkingDir == "" {
		return "/"
	}
	return a.WorkingDir
}

// environment is the image's, what every agent gets (DOCKER_CONTAINER has the SDK listen beyond its loopback, PYTHONUNBUFFERED has output appear at once though it is a pipe), and over both the runtime's own.
func environment(start agentruntime.Launch) map[string]string {
	env := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONUNBUFFERED": "1", "DOCKER_CONTAINER": "1"}
	for k, v := range start.Artifact.Env {
		env[k] = v
	}
	env["AWS_REGION"], env["AWS_DEFAULT_REGION"] = start.Runtime.Region, start.Runtime.Region
	for k, v := range start.Runtime.Environment {
		env[k] = v
	}
	return env
}

// startFailed is the answer about a program that could not be started.
func (i *instance) startFailed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e, ok := errors.AsType[*proto.Error](err); ok {
		return fault.New(agentruntime.RuntimeClientError, "The container's program could not be started: %s", e.Message).With(err)
	}
	return fault.Wrap(err, "start the container's program")
}

// watch notices the end of the program, or of the sandbox.
func (i *instance) watch() {
	var reason string
	select {
	case <-i.destroyed:
		return
	case <-i.program.Done():
		reason = i.ending()
	case <-i.box.Done():
		reason = "The sandbox ended: " + describe(i.box.Exit()) + "."
	}
	i.reason = reason
	close(i.done)
}

// ending says how the program ended, with its last words. Its sandbox may be what ended it.
func (i *instance) ending() string {
	run, err := i.program.Wait(context.Background()) // it is done
	select {
	case <-i.box.Done():
		return "The sandbox ended: " + describe(i.box.Exit()) + "."
	default:
	}
	if err != nil {
		return "The sandbox's guest failed."
	}
	said := ""
	if last := i.output.tail(); last != "" {
		said = " Its last output: " + last
	}
	return fmt.Sprintf("The container's program ended with exit code %d.%s", run.ExitCode, said)
}

func describe(e sandbox.Exit) string {
	switch e.Cause {
	case sandbox.OutOfMemory:
		return "it used more memory than its limit"
	case sandbox.Destroyed:
		return "it was destroyed"
	}
	return "it crashed"
}

// Done implements agentruntime.Instance.
func (i *instance) Done() <-chan struct{} { return i.done }

// Reason implements agentruntime.Instance.
func (i *instance) Reason() string { return i.reason }

// stop has the program end by itself, for a moment.
func (i *instance) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	select {
	case <-i.program.Done():
		return nil
	case <-i.box.Done():
		return nil
	default:
	}
	if err := i.program.Signal(ctx, syscall.SIGTERM); err != nil {
		return nil //nolint:nilerr // the sandbox is destroyed next, whatever its program is about
	}
	select {
	case <-i.program.Done():
	case <-i.box.Done():
	case <-ctx.Done():
	}
	return nil
}

// Destroy implements agentruntime.Instance.
func (i *instance) Destroy(ctx context.Context) error {
	i.once.Do(func() {
		close(i.destroyed)
		var errs []error
		for n := len(i.undo) - 1; n >= 0; n-- {
			errs = append(errs, i.undo[n](ctx))
		}
		i.err = errors.Join(errs...)
	})
	return i.err
}

// logGroup is where the output of an endpoint's instances goes. Source: observability-runtime-metrics.
func logGroup(start agentruntime.Launch) string {
	return "/aws/bedrock-agentcore/runtimes/" + start.Runtime.ID + "-" + start.Endpoint
}

// logStream is a stream for one instance: the day, and what tells it from others of the session.
func logStream(at time.Time, id string) string {
	return strings.Join([]string{at.UTC().Format("2006/01/02"), "[runtime-logs]" + id}, "/")
}

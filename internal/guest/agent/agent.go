// Package agent is the guest: PID 1 inside a sandbox. It dials the host's socket, and dials again for ever when the connection ends; over it the host asks for code and commands to be run and for
// files, and hands out listeners whose connections the guest relays. It holds no secret and decides nothing: every policy is the host's.
package agent

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xtaci/smux"

	"github.com/sunaba-dev/sunaba/internal/guest/client"
	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// Options configure an Agent.
type Options struct {
	Socket  string // path of the host's unix socket
	Init    bool   // the process is PID 1 of a sandbox: it may set the host name and edit /etc
	Version string
	Log     *slog.Logger
}

// Agent is the guest.
type Agent struct {
	o      Options
	bootID string
	procs  *processes

	furnished atomic.Bool // the files of the image fit the session's user

	mu        sync.Mutex
	config    *proto.Configure
	shell     string
	python    *interpreter
	listeners map[string]net.Listener
	network   network
	relays    chan struct{}
	connects  chan struct{}
	service   *service

	starting sync.Mutex // held while the service is started
}

const maxRelays = 1024

// holdTime is how long the frames of an answer are gathered before they are sent as they come.
const holdTime = 5 * time.Millisecond

// New returns an agent. It takes over the reaping of all child processes of this process.
func New(o Options) *Agent {
	return &Agent{o: o, bootID: rand.Text(), procs: newProcesses(), listeners: map[string]net.Listener{}, relays: make(chan struct{}, maxRelays),
		connects: make(chan struct{}, maxConnects)}
}

// Run serves the host until ctx ends.
func (a *Agent) Run(ctx context.Context) {
	const first, last = time.Millisecond, 200 * time.Millisecond
	wait := first
	for ctx.Err() == nil {
		conn, err := a.dial(ctx, proto.KindControl)
		if err == nil {
			wait = first
			a.serve(ctx, conn)
			continue
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = min(2*wait, last)
	}
}

func (a *Agent) dial(ctx context.Context, kind byte) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", a.o.Socket)
	if err != nil {
		return nil, err
	}
	if err := proto.WritePreface(conn, kind); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// serve answers calls on one control connection until it ends. Calls under way then are cancelled.
func (a *Agent) serve(ctx context.Context, conn net.Conn) {
	session, err := smux.Server(conn, client.Mux())
	if err != nil {
		_ = conn.Close()
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() { _ = session.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = session.Close() })
	defer stop()
	for {
		stream, err := session.AcceptStream()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = stream.Close() }()
			a.answer(ctx, stream)
		}()
	}
}

// call is one call of the host.
type call struct {
	proto.Call
	r      *proto.Reader
	w      *proto.Writer
	stream io.Closer
}

func (a *Agent) answer(ctx context.Context, stream io.ReadWriteCloser) {
	c := &call{r: proto.NewReader(stream), w: proto.NewWriter(stream), stream: stream}
	t, p, err := c.r.Next()
	if err != nil || t != proto.FrameCall {
		return
	}
	if err := json.Unmarshal(p, &c.Call); err != nil {
		_ = c.w.WriteJSON(proto.FrameError, bad(proto.BadRequest, "", "malformed call"))
		return
	}
	// What is over at once is answered at once, in one piece: each write of the guest wakes the host.
	c.w.Hold()
	flow := time.AfterFunc(holdTime, func() { _ = c.w.Release() })
	result, err := a.do(ctx, c)
	flow.Stop()
	if err != nil {
		_ = c.w.WriteJSON(proto.FrameError, asError(err)) // a host that has gone is not told
	} else {
		_ = c.w.WriteJSON(proto.FrameResult, result)
	}
	_ = c.w.Release()
}

func (a *Agent) do(ctx context.Context, c *call) (*proto.Result, error) {
	if c.Op == proto.OpConfigure {
		return a.configure(c.Configure)
	}
	config := a.configuration()
	if config == nil {
		return nil, bad(proto.BadRequest, "", "the guest is not configured yet")
	}
	switch c.Op {
	case proto.OpPing:
		return &proto.Result{}, nil
	case proto.OpPrepare:
		return &proto.Result{}, a.prepare(ctx, c.Language)
	case proto.OpCode:
		return a.code(ctx, c)
	case proto.OpCommand:
		return a.command(ctx, config, c)
	case proto.OpWrite, proto.OpRead, proto.OpList, proto.OpRemove:
		return a.files(ctx, config, c)
	case proto.OpListen:
		return &proto.Result{}, a.listen(ctx, c.Listener)
	case proto.OpService:
		return a.serveService(ctx, config, c)
	case proto.OpSignal:
		return a.signal(c.Signal)
	case proto.OpConnect:
		return a.connectTo(ctx, c)
	}
	return nil, bad(proto.BadRequest, "", "unknown operation %q", c.Op)
}

func (a *Agent) configuration() *proto.Configure {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.config
}

// text reads a call's payload, code or a command line.
func (c *call) text() (string, error) {
	b, err := io.ReadAll(proto.NewPayload(c.r))
	return string(b), err
}

// whileOpen returns a context that ends when the host closes the call's stream, which is how it cancels. The payload must have been read.
// The guest's side of the stream is closed then too: a writer that waits for the host to take more would wait for ever.
func (c *call) whileOpen(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		defer func() { _ = c.stream.Close() }()
		for {
			if _, _, err := c.r.Next(); err != nil { // nothing more is to come but the end
				return
			}
		}
	}()
	return ctx, cancel
}

func bad(code proto.ErrorCode, path, format string, args ...any) *proto.Error {
	return &proto.Error{Code: code, Path: path, Message: fmt.Sprintf(format, args...)}
}

func asError(err error) *proto.Error {
	if e, ok := errors.AsType[*proto.Error](err); ok {
		return e
	}
	return bad(proto.Failed, "", "%v", err)
}

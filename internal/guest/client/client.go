// Package client is the host's side of the guest protocol: it accepts the guest's connections and offers its operations as Go calls.
//
// The guest is hostile: whatever it sends, the client allocates a bounded amount of memory, never blocks for longer than its caller's context, and says
// [ErrProtocol] about what a true guest does not do.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/xtaci/smux"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// Errors of a Client besides *proto.Error, which is the guest's own answer.
var (
	ErrDisconnected = errors.New("the guest's connection broke during the call")
	ErrClosed       = errors.New("the guest is gone")
	ErrProtocol     = errors.New("the guest broke the protocol") // wrapped with what it did; the caller should give up the sandbox
)

const (
	handshakeTimeout = 10 * time.Second
	stallTime        = time.Minute // for a guest to read what was written; it may stand still during a checkpoint
	defaultRelays    = 1024
	maxHandshakes    = 64 // connections that have not said yet what they are; more wait in the listener's queue
)

// Options configure a Client.
type Options struct {
	Configure proto.Configure
	Relay     func(ctx context.Context, listener string, conn net.Conn) // owns conn; nil refuses all
	MaxRelays int                                                       // at once; 0 means 1024
	Log       *slog.Logger
}

// Client talks to one guest. Its methods may be called from several goroutines.
type Client struct {
	o      Options
	ctx    context.Context // ends with the client
	cancel context.CancelFunc
	wg     sync.WaitGroup
	relays chan struct{} // one slot per relay connection
	shakes chan struct{}

	mu       sync.Mutex
	closed   bool
	listener net.Listener
	conns    map[net.Conn]struct{}
	dials    map[string]chan net.Conn // connections that are expected, by ticket
	session  *smux.Session
	hello    proto.Hello
	ready    chan struct{} // closed while session is set
	refusal  error         // why the guest cannot be configured; read it once refused is closed
	refused  chan struct{}
}

// New returns a client that has no connection yet.
func New(o Options) *Client {
	if o.MaxRelays == 0 {
		o.MaxRelays = defaultRelays
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Client{o: o, ctx: ctx, cancel: cancel, relays: make(chan struct{}, o.MaxRelays), shakes: make(chan struct{}, maxHandshakes),
		conns: map[net.Conn]struct{}{}, dials: map[string]chan net.Conn{}, ready: make(chan struct{}), refused: make(chan struct{})}
}

// Serve accepts the guest's connections from l until Close, which closes l. A newer control connection replaces the older.
func (c *Client) Serve(l net.Listener) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return l.Close()
	}
	c.listener = l
	c.mu.Unlock()
	for {
		conn, err := l.Accept()
		if err != nil {
			if c.ctx.Err() == nil {
				return err
			}
			return nil // Close has closed it
		}
		select {
		case c.shakes <- struct{}{}:
		case <-c.ctx.Done():
			_ = conn.Close()
			return nil
		}
		if !c.track(conn) {
			return nil
		}
		go func() {
			defer c.wg.Done()
			defer c.untrack(conn)
			c.accept(conn)
		}()
	}
}

// track counts a connection in, unless the client is closed.
func (c *Client) track(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.Close()
		return false
	}
	c.conns[conn] = struct{}{}
	c.wg.Add(1) // before Close can wait
	return true
}

func (c *Client) untrack(conn net.Conn) {
	c.mu.Lock()
	delete(c.conns, conn)
	c.mu.Unlock()
	_ = conn.Close()
}

// accept finds out what a connection is and serves it.
func (c *Client) accept(conn net.Conn) {
	var hello proto.RelayHello
	_ = conn.SetDeadline(time.Now().Add(handshakeTimeout))
	kind, err := proto.ReadPreface(conn)
	if err == nil && kind == proto.KindRelay {
		hello, err = readRelayHello(conn)
	}
	if kind != proto.KindControl || err != nil {
		<-c.shakes // a control connection has its slot until it is configured
	}
	if err != nil {
		c.o.Log.Debug("a guest's connection was refused", "error", err)
		return
	}
	_ = conn.SetDeadline(time.Time{})
	if kind == proto.KindControl {
		c.control(conn)
		return
	}
	if hello.Ticket != "" {
		c.deliver(hello.Ticket, conn)
		return
	}
	select {
	case c.relays <- struct{}{}:
		defer func() { <-c.relays }()
		if c.o.Relay != nil {
			c.o.Relay(c.ctx, hello.Listener, conn)
		}
	default:
		c.o.Log.Debug("a relay connection was refused: there are too many")
	}
}

func readRelayHello(conn net.Conn) (h proto.RelayHello, err error) {
	t, p, err := proto.NewReader(conn).Next()
	if err != nil {
		return h, err
	}
	if t != proto.FrameHello {
		return h, proto.ErrFrame
	}
	return h, json.Unmarshal(p, &h)
}

// control configures the guest on a new control connection and serves calls over it until it breaks.
func (c *Client) control(conn net.Conn) {
	shaken := sync.OnceFunc(func() { <-c.shakes })
	defer shaken()
	session, err := smux.Client(stalling{conn}, Mux())
	if err != nil {
		return
	}
	defer func() { _ = session.Close() }()
	ctx, cancel := context.WithTimeout(c.ctx, handshakeTimeout)
	defer cancel()
	r, err := c.callOn(ctx, session, proto.Call{Op: proto.OpConfigure, Configure: &c.o.Configure}, nil, nil)
	if err != nil || r.Hello == nil {
		c.refuse(err)
		return
	}
	shaken()
	c.mu.Lock()
	old := c.session
	c.session, c.hello = session, *r.Hello
	if old == nil {
		close(c.ready)
	}
	c.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
	select {
	case <-session.CloseChan():
	case <-c.ctx.Done():
	}
	c.mu.Lock()
	if c.session == session {
		c.session, c.ready = nil, make(chan struct{})
	}
	c.mu.Unlock()
}

// stalling is a connection that breaks when its peer does not read it.
type stalling struct{ net.Conn }

func (s stalling) Write(p []byte) (int, error) {
	if err := s.SetWriteDeadline(time.Now().Add(stallTime)); err != nil {
		return 0, err
	}
	return s.Conn.Write(p)
}

// Mux is the multiplexer's configuration, the same on both sides. Keep-alives are off: a unix socket tells when its peer goes, and an idle sandbox must cost no CPU.
func Mux() *smux.Config {
	return &smux.Config{Version: 2, KeepAliveDisabled: true, MaxFrameSize: 60 << 10, MaxStreamBuffer: 256 << 10, MaxReceiveBuffer: 8 << 20,
		KeepAliveInterval: time.Minute, KeepAliveTimeout: 3 * time.Minute}
}

// Close ends all connections and fails all calls with ErrClosed. It returns when every goroutine of the client has ended.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.cancel()
	var err error
	if c.listener != nil {
		if err = c.listener.Close(); errors.Is(err, net.ErrClosed) {
			err = nil
		}
	}
	for conn := range c.conns {
		_ = conn.Close()
	}
	c.mu.Unlock()
	c.wg.Wait()
	return err
}

// Ready waits until a guest is connected and configured.
func (c *Client) Ready(ctx context.Context) (proto.Hello, error) {
	_, hello, err := c.connected(ctx)
	return hello, err
}

// refuse records that the guest cannot set the sandbox up: it says so again on every connection, and waiting for it would be in vain.
func (c *Client) refuse(err error) {
	if _, said := errors.AsType[*proto.Error](err); !said {
		c.o.Log.Debug("a guest could not be configured", "error", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refusal == nil {
		c.refusal = fmt.Errorf("the guest cannot set up the sandbox: %w", err)
		close(c.refused)
	}
}

func (c *Client) connected(ctx context.Context) (*smux.Session, proto.Hello, error) {
	for {
		c.mu.Lock()
		session, hello, ready, closed := c.session, c.hello, c.ready, c.closed
		c.mu.Unlock()
		if closed {
			return nil, hello, ErrClosed
		}
		if session != nil && !session.IsClosed() {
			return session, hello, nil
		}
		wait := ready
		if session != nil { // broken, and control has not noticed yet
			wait = nil
		}
		retry := time.NewTimer(time.Millisecond)
		if session == nil {
			retry.Stop()
		}
		select {
		case <-wait:
		case <-retry.C:
		case <-c.refused:
			retry.Stop()
			return nil, hello, c.refusal
		case <-c.ctx.Done():
			retry.Stop()
			return nil, hello, ErrClosed
		case <-ctx.Done():
			retry.Stop()
			return nil, hello, ctx.Err()
		}
		retry.Stop()
	}
}

// broken explains why a stream failed.
func (c *Client) broken(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, proto.ErrFrame):
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	case c.ctx.Err() != nil:
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", ErrDisconnected, err)
}

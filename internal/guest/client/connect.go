package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// ErrRefused says that nothing in the sandbox listens on a port. It comes with syscall.ECONNREFUSED.
var ErrRefused = errors.New("nothing in the sandbox listens on the port")

// Dial connects to 127.0.0.1:port in the sandbox, as net.Dialer would: ctx bounds the connecting only, and the connection has deadlines and, as CloseWrite, an end of its own for
// each direction. It is a connection of its own from the sandbox's kernel on, so that one that is not read stalls no other. When the host closes it, the program inside
// sees that at once; when the client is closed, all end. It fails with [ErrRefused] at once when nobody listens.
func (c *Client) Dial(ctx context.Context, port int) (net.Conn, error) {
	const last = 65535
	if port < 1 || port > last {
		return nil, fmt.Errorf("there is no port %d", port)
	}
	ticket := rand.Text()
	arrived := c.expect(ticket)
	defer c.forget(ticket, arrived)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answered := make(chan error, 1)
	go func() {
		_, err := c.call(ctx, proto.Call{Op: proto.OpConnect, Connect: &proto.Connect{Port: port, Ticket: ticket}}, nil, nil)
		answered <- err
	}()
	select {
	case conn := <-arrived:
		return conn, nil
	case err := <-answered:
		if err != nil {
			return nil, dialError(port, err)
		}
	}
	overdue := time.NewTimer(handshakeTimeout)
	defer overdue.Stop()
	select { // it was dialled before the answer, and is about to be accepted
	case conn := <-arrived:
		return conn, nil
	case <-overdue.C:
		return nil, fmt.Errorf("%w: a connection that it has dialled does not come", ErrProtocol)
	case <-c.ctx.Done():
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func dialError(port int, err error) error {
	if e, ok := errors.AsType[*proto.Error](err); ok && e.Code == proto.Refused {
		return fmt.Errorf("dial 127.0.0.1:%d: %w: %w", port, ErrRefused, syscall.ECONNREFUSED)
	}
	return fmt.Errorf("dial 127.0.0.1:%d in the sandbox: %w", port, err)
}

// expect makes a place for the connection that comes with a ticket.
func (c *Client) expect(ticket string) chan net.Conn {
	arrived := make(chan net.Conn, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dials[ticket] = arrived
	return arrived
}

// forget takes the place back, and closes what came for nobody.
func (c *Client) forget(ticket string, arrived chan net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.dials, ticket)
	select {
	case conn := <-arrived:
		_ = conn.Close()
	default:
	}
}

// deliver hands a connection to who waits for it, and returns when that has closed it.
func (c *Client) deliver(ticket string, conn net.Conn) {
	d := &dialled{Conn: conn, closed: make(chan struct{})}
	c.mu.Lock()
	arrived := c.dials[ticket]
	if arrived != nil {
		delete(c.dials, ticket) // a ticket admits one
		arrived <- d
	}
	c.mu.Unlock()
	if arrived == nil {
		c.o.Log.Debug("a guest's connection was refused: nobody waits for it")
		return
	}
	select {
	case <-d.closed:
	case <-c.ctx.Done():
	}
}

// dialled is a connection into the sandbox.
type dialled struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

// CloseWrite ends this side's half.
func (d *dialled) CloseWrite() error {
	if half, ok := d.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

func (d *dialled) Close() error {
	err := d.Conn.Close()
	d.once.Do(func() { close(d.closed) })
	return err
}

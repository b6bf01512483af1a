package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

const (
	maxTicket = 64
	// maxConnects is how many connections of the host's the guest carries at once.
	maxConnects = 1024
)

// connectTo opens a connection to a port of the sandbox's own and dials the host for it: a connection each, so that one that is not read stalls no other.
func (a *Agent) connectTo(ctx context.Context, c *call) (*proto.Result, error) {
	want := c.Connect
	if want == nil || want.Port < 1 || want.Port > 65535 || want.Ticket == "" || len(want.Ticket) > maxTicket {
		return nil, bad(proto.BadRequest, "", "a connection needs a port and a ticket")
	}
	ctx, cancel := c.whileOpen(ctx)
	defer cancel()
	select {
	case a.connects <- struct{}{}:
	default:
		return nil, bad(proto.Unavailable, "", "%d connections into the sandbox are open already", maxConnects)
	}
	host, inside, err := a.join(ctx, want)
	if err != nil {
		<-a.connects
		return nil, err
	}
	go func() {
		defer func() { <-a.connects }()
		carry(host, inside)
	}()
	return &proto.Result{}, nil
}

// join makes both ends.
func (a *Agent) join(ctx context.Context, want *proto.Connect) (host *net.UnixConn, inside *net.TCPConn, err error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp4", "127.0.0.1:"+strconv.Itoa(want.Port))
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, nil, bad(proto.Refused, "", "nothing listens on port %d", want.Port)
	}
	if err != nil {
		return nil, nil, err
	}
	up, err := (&net.Dialer{}).DialContext(ctx, "unix", a.o.Socket)
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	// All that is said first is said at once: each write of the guest wakes the host.
	var first bytes.Buffer
	err = errors.Join(proto.WritePreface(&first, proto.KindRelay), proto.NewWriter(&first).WriteJSON(proto.FrameHello, proto.RelayHello{Ticket: want.Ticket}))
	if err == nil {
		_, err = up.Write(first.Bytes())
	}
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close(), up.Close())
	}
	return up.(*net.UnixConn), conn.(*net.TCPConn), nil
}

// carry copies both ways, each direction with an end of its own, until both have ended or the host has gone for good.
func carry(host *net.UnixConn, inside *net.TCPConn) {
	defer func() { _ = inside.Close() }()
	defer func() { _ = host.Close() }()
	var down sync.WaitGroup
	down.Go(func() { copyHalf(host, inside) })
	if _, err := io.Copy(inside, host); err != nil {
		reset(inside)
	} else {
		_ = inside.CloseWrite()
		// A host that has only ended its half still waits for the rest. One that has closed does not, and a program that has nothing to say would never notice.
		if hungUp(host) {
			reset(inside)
		}
	}
	down.Wait()
}

// hungUp waits until the other side has closed both directions, and says no if this side has been closed before.
func hungUp(conn *net.UnixConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Read(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd)}}
		_, err := unix.Poll(poll, 0)
		return err == nil && poll[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
	})
	return err == nil
}

package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/xtaci/smux"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// ServiceRun is a container's program at work, and what the host knows of it.
type ServiceRun struct {
	c    *Client
	out  func(stderr bool, p []byte)
	have int64 // bytes of output received or lost
	lost atomic.Int64
	done chan struct{}
	run  proto.Run // once done is closed
	err  error
}

// How a broken connection to a service is taken up again.
const (
	firstPause = 10 * time.Millisecond
	lastPause  = 100 * time.Millisecond
	soundTime  = time.Second // a stream that holds so long counts, though the service was silent
	maxBarren  = 20          // streams in a row that end without a word
	maxOffset  = 1 << 60
)

// RunService starts the container's program, and returns once it runs; a program that cannot be started is a *proto.Error. If the sandbox has one already, started before a
// checkpoint for one, that is found instead, and what the guest kept of its output comes first.
//
// out is called with pieces of what the program writes, in order per stream, never concurrently; the slice is reused. While out does not return, the program's output waits,
// and after some 800 KiB the program too. out must return when the client is closed. The run does not end with ctx but with the program or the client, and survives the
// guest's connection: when the guest has dialled in again, output goes on where it was.
func (c *Client) RunService(ctx context.Context, s proto.Service, out func(stderr bool, p []byte)) (*ServiceRun, error) {
	session, _, err := c.connected(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, ErrClosed
	}
	c.wg.Add(1) // before Close can wait
	c.mu.Unlock()
	r := &ServiceRun{c: c, out: out, done: make(chan struct{})}
	v, err := r.listen(ctx, session, &s)
	if err != nil {
		c.wg.Done()
		return nil, err
	}
	go func() {
		defer c.wg.Done()
		defer close(r.done)
		r.run, r.err = r.follow(v)
	}()
	return r, nil
}

// listening is a stream of the service's output.
type listening struct {
	*conversation
	cancel context.CancelFunc
}

func (l *listening) end() {
	_ = l.close()
	l.cancel()
}

// listen opens a stream to the service and reads its beginning, within ctx. The stream then lives as long as the client.
func (r *ServiceRun) listen(ctx context.Context, session *smux.Session, s *proto.Service) (*listening, error) {
	life, cancel := context.WithCancel(r.c.ctx)
	stop := context.AfterFunc(ctx, cancel)
	v, err := r.c.open(life, session, proto.Call{Op: proto.OpService, Service: s, Offset: r.have}, nil)
	if err == nil {
		l := &listening{v, cancel}
		if err = r.begin(v); err == nil && stop() {
			return l, nil
		}
		_ = v.close()
	}
	stop()
	cancel()
	switch {
	case r.c.ctx.Err() != nil:
		return nil, ErrClosed
	case ctx.Err() != nil: // which has closed the stream
		return nil, ctx.Err()
	}
	return nil, err
}

// begin reads where the output goes on.
func (r *ServiceRun) begin(v *conversation) error {
	t, p, _, err := v.next()
	if err != nil {
		return err
	}
	if t != proto.FrameStart {
		return unexpected(t)
	}
	var s proto.Started
	if err := json.Unmarshal(p, &s); err != nil {
		return fmt.Errorf("%w: start: %w", ErrProtocol, err)
	}
	if s.Offset < r.have || s.Offset > maxOffset {
		return fmt.Errorf("%w: output from byte %d on, after %d", ErrProtocol, s.Offset, r.have)
	}
	r.lost.Add(s.Offset - r.have)
	r.have = s.Offset
	return nil
}

// follow takes the output until the program ends, over as many connections as it takes.
func (r *ServiceRun) follow(v *listening) (proto.Run, error) {
	pause, barren := firstPause, 0
	for {
		before, began := r.have, time.Now()
		result, err := v.frames(r.take)
		v.end()
		if err != nil && r.c.ctx.Err() != nil {
			return proto.Run{}, ErrClosed
		}
		if err == nil {
			if result.Run == nil {
				return proto.Run{}, fmt.Errorf("%w: a service's end that says nothing", ErrProtocol)
			}
			return *result.Run, nil
		}
		if !errors.Is(err, ErrDisconnected) {
			return proto.Run{}, err
		}
		if r.have > before || time.Since(began) > soundTime {
			pause, barren = firstPause, 0
		}
		for v = nil; v == nil; pause = min(2*pause, lastPause) {
			if barren++; barren > maxBarren {
				return proto.Run{}, fmt.Errorf("%w: it ends the service's output again and again, last so: %w", ErrProtocol, err)
			}
			if err := r.wait(pause); err != nil {
				return proto.Run{}, err
			}
			session, _, err := r.c.connected(r.c.ctx)
			if err != nil {
				return proto.Run{}, err
			}
			v, err = r.listen(r.c.ctx, session, nil)
			if err != nil && !errors.Is(err, ErrDisconnected) {
				return proto.Run{}, err
			}
		}
	}
}

func (r *ServiceRun) wait(pause time.Duration) error {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-r.c.ctx.Done():
		return ErrClosed
	}
}

// take takes one piece of output.
func (r *ServiceRun) take(t proto.FrameType, p []byte) error {
	if t != proto.FrameStdout && t != proto.FrameStderr {
		return unexpected(t)
	}
	r.have += int64(len(p))
	if r.out != nil {
		r.out(t == proto.FrameStderr, p)
	}
	return nil
}

// Signal sends a signal to the program: to it alone, as container engines do, but SIGKILL to everything in the sandbox save the guest. A program that has ended is a *proto.Error
// with NotFound.
func (r *ServiceRun) Signal(ctx context.Context, s syscall.Signal) error {
	_, err := r.c.call(ctx, proto.Call{Op: proto.OpSignal, Signal: int(s)}, nil, nil)
	return err
}

// Done is closed when the program has ended and all of its output has been given to out, or when it cannot be known any more.
func (r *ServiceRun) Done() <-chan struct{} { return r.done }

// Wait waits for Done and tells how the program ended: its exit code is its own, or 128 and the signal's number. It fails with [ErrClosed] when the client was closed first, and
// with [ErrProtocol] when the guest is no true one.
func (r *ServiceRun) Wait(ctx context.Context) (proto.Run, error) {
	select {
	case <-r.done:
		return r.run, r.err
	case <-ctx.Done():
		return proto.Run{}, ctx.Err()
	}
}

// Lost is how many bytes of output never came, because the guest was without a connection for longer than it could keep them.
func (r *ServiceRun) Lost() int64 { return r.lost.Load() }

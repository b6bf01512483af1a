package agent

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// listen opens a listener inside the sandbox, once per name. Listeners outlive the control connection.
func (a *Agent) listen(_ context.Context, l *proto.Listener) error {
	if l == nil || l.Name == "" {
		return bad(proto.BadRequest, "", "a listener needs a name")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if have := a.listeners[l.Name]; have != nil {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", l.Address) // it outlives the call
	if err != nil {
		return bad(proto.Failed, "", "listen on %s: %v", l.Address, err)
	}
	a.listeners[l.Name] = listener
	go a.relay(l.Name, listener)
	return nil
}

const acceptPause = 10 * time.Millisecond

// relay carries every connection that a listener accepts to the host, each over a connection of its own, so that none can stall another.
func (a *Agent) relay(name string, l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(acceptPause) // the guest is out of descriptors or memory
			continue
		}
		select {
		case a.relays <- struct{}{}:
			go func() {
				defer func() { <-a.relays }()
				a.relayOne(name, conn)
			}()
		default:
			_ = conn.Close()
		}
	}
}

func (a *Agent) relayOne(name string, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	host, err := a.dialRelay(context.Background(), name)
	if err != nil {
		return
	}
	defer func() { _ = host.Close() }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		copyHalf(host, conn)
	}()
	copyHalf(conn, host)
	<-done
}

// dialRelay opens a connection to the host for what came to a listener.
func (a *Agent) dialRelay(ctx context.Context, name string) (net.Conn, error) {
	host, err := a.dial(ctx, proto.KindRelay)
	if err != nil {
		return nil, err
	}
	if err := proto.NewWriter(host).WriteJSON(proto.FrameHello, proto.RelayHello{Listener: name}); err != nil {
		return nil, errors.Join(err, host.Close())
	}
	return host, nil
}

// copyHalf copies one direction and then ends it, so that the other may go on.
func copyHalf(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite()
		return
	}
	_ = to.Close()
	_ = from.Close()
}

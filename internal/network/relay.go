package network

import (
	"context"
	"net"
	"sync"
)

// Relay serves one connection that the session's guest relays from inside, and returns when it has ended. It has the form of sandbox.Config.Relay. The listener is what
// the guest says: one that the session does not have is refused, whatever the guest opened for it.
func (s *Session) Relay(ctx context.Context, listener string, raw net.Conn) {
	defer func() { _ = raw.Close() }()
	if !s.n.enter() {
		return
	}
	defer s.n.relayed.Done()
	slots := s.slots
	if listener == listenOutside && s.outside != nil {
		slots = s.outside.slots // connections that hang there leave names and endpoints as they are
	}
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	default:
		s.n.o.Log.Debug("a sandbox has too many connections", "session", s.policy.Session, "listener", listener)
		return
	}
	c := &conn{Conn: raw, session: s, listener: listener, closed: make(chan struct{})}
	for _, end := range []context.Context{ctx, s.n.ctx} {
		defer context.AfterFunc(end, func() { _ = c.Close() })()
	}
	switch listener {
	case listenResolver, listenDatagrams:
		s.serveNames(ctx, c)
		return
	case listenOutside:
		if s.outside != nil {
			s.outside.serve(ctx, c)
		}
		return
	case listenMetadata:
		if s.metadata == nil {
			return
		}
	case listenContainer:
		if s.metadata == nil || !s.policy.ContainerCredentials {
			return
		}
	case listenHTTPS, listenHTTP, listenLocal:
		if len(s.policy.Services) == 0 {
			return
		}
	default:
		s.n.o.Log.Warn("a guest relays what it was not asked to", "session", s.policy.Session, "listener", listener)
		return
	}
	s.n.front.serve(c)
	<-c.closed
}

// enter counts a connection that Close waits for.
func (n *Network) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.relayed.Add(1)
	return true
}

// conn is a relayed connection that knows whose it is.
type conn struct {
	net.Conn
	session  *Session
	listener string
	to       *outbound // of listenOutside, where the requests of a connection are judged one by one
	said     []byte    // what has been read already, and is read again
	once     sync.Once
	closed   chan struct{}
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.said) > 0 {
		n := copy(p, c.said)
		c.said = c.said[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// Close implements net.Conn.
func (c *conn) Close() (err error) {
	c.once.Do(func() {
		err = c.Conn.Close()
		close(c.closed)
	})
	return err
}

// RemoteAddr implements net.Conn. A unix socket has no address that would mean anything to a policy; for the server a sandbox is a part of its host.
func (c *conn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

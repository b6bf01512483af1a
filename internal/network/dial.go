package network

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sunaba-dev/sunaba/internal/egress"
)

// maxProxyAnswer is how long a proxy's header may be, in bytes.
const maxProxyAnswer = 16 << 10

// dial connects by a way. The address is the one that was judged: nothing is resolved again, and a proxy is asked for the address and not for a name.
func dial(ctx context.Context, way egress.Way, to netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, dialTime, errors.New("nobody answers"))
	defer cancel()
	d := &net.Dialer{}
	if way.Source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(way.Source, 0))
	}
	if way.Interface != "" {
		d.Control = func(_, _ string, c syscall.RawConn) error {
			var bound error
			err := c.Control(func(fd uintptr) { bound = unix.BindToDevice(int(fd), way.Interface) })
			return errors.Join(err, bound)
		}
	}
	if way.Proxy == nil {
		return d.DialContext(ctx, "tcp", to.String())
	}
	conn, err := d.DialContext(ctx, "tcp", way.Proxy.Host)
	if err != nil {
		return nil, fmt.Errorf("the proxy: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err = connectThrough(conn, way, to)
	if !stop() {
		err = errors.Join(context.Cause(ctx), err)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the proxy: %w", err), ignoreClosed(conn.Close()))
	}
	return conn, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// connectThrough asks a proxy for a connection. It reads not a byte beyond the proxy's answer: those are the destination's.
func connectThrough(conn net.Conn, way egress.Way, to netip.AddrPort) error {
	head := "CONNECT " + to.String() + " HTTP/1.1\r\nHost: " + to.String() + "\r\n"
	if u := way.Proxy.User; u != nil {
		password, _ := u.Password()
		head += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		return err
	}
	var answer []byte
	for b := make([]byte, 1); !bytes.HasSuffix(answer, []byte("\r\n\r\n")); {
		if len(answer) == maxProxyAnswer {
			return errors.New("its answer has no end")
		}
		if _, err := io.ReadFull(conn, b); err != nil {
			return err
		}
		answer = append(answer, b[0])
	}
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return err
	}
	_ = r.Body.Close()
	if r.StatusCode/100 != 2 {
		return fmt.Errorf("it answers %s", clip(r.Status))
	}
	return nil
}

// copyHalf copies one direction and then ends it, so that the other may go on. It returns how many bytes there were.
func copyHalf(to, from net.Conn) int64 {
	n, err := io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite()
		return n
	}
	_ = to.Close()
	_ = from.Close()
	return n
}

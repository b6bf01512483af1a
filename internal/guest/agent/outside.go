package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// everywhere are addresses that, put on the loopback device, make every IPv4 address one of the sandbox's own: gVisor, as Linux, takes a loopback device to have all of its
// addresses' networks. IPv6 has no such rule there, and stays unreachable.
var everywhere = []netip.Prefix{netip.MustParsePrefix("1.0.0.1/1"), netip.MustParsePrefix("129.0.0.1/1")}

var loopback = netip.MustParsePrefix("127.0.0.0/8")

// outside relays what goes to addresses that are not served otherwise.
type outside struct {
	name     string
	listener *net.TCPListener
}

// openOutside makes the rest of the world lead to the host, or takes that back when name is "". The tables are set every time: a restore loses them without telling. The
// caller holds a.mu and has set the addresses.
func (a *Agent) openOutside(name string, served []netip.Prefix, user proto.User) error {
	have := a.network.outside
	if !a.o.Init || (name == "" && have == nil) {
		return nil
	}
	if have != nil && have.name != name {
		_ = have.listener.Close()
		a.network.outside = nil
		if name == "" {
			return replace(table{name: "nat", hooks: []int{hookPrerouting, hookInput, hookOutput, hookPostrouting}}, table{name: "filter", hooks: []int{hookInput, hookForward, hookOutput}})
		}
		have = nil
	}
	if have == nil {
		l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return fmt.Errorf("listen for the outside: %w", err)
		}
		have = &outside{name: name, listener: l}
		a.network.outside = have
		go a.relayOutside(have)
	}
	own := []netip.Prefix{loopback}
	for _, p := range served {
		if p.Addr().Is4() {
			own = append(own, p)
		}
	}
	port := have.listener.Addr().(*net.TCPAddr).Port
	return replace(redirectTable(own, uint16(port)), refusalTable(own, user.UID))
}

// relayOutside carries every redirected connection to the host.
func (a *Agent) relayOutside(o *outside) {
	for {
		conn, err := o.listener.AcceptTCP()
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
				a.relayOutward(o.name, conn)
			}()
		default:
			reset(conn)
		}
	}
}

// relayOutward carries one connection. To the program inside it is open already; if the host does not connect, all that can still be done is to reset it.
func (a *Agent) relayOutward(name string, conn *net.TCPConn) {
	host, err := a.dialOutside(name, conn)
	if err != nil {
		reset(conn)
		return
	}
	defer func() { _ = host.Close() }()
	defer func() { _ = conn.Close() }()
	// The program may speak before the host has connected: what it says decides, where only some names may be reached.
	said := make(chan struct{})
	go func() {
		defer close(said)
		copyHalf(host, conn)
	}()
	var answer [1]byte
	if _, err := io.ReadFull(host, answer[:]); err != nil || answer[0] != proto.Connected {
		reset(conn)
	} else {
		copyHalf(conn, host)
	}
	<-said
}

// dialOutside tells the host of a connection and where it is meant to go.
func (a *Agent) dialOutside(name string, conn *net.TCPConn) (net.Conn, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var to netip.AddrPort
	var failed error
	if err := raw.Control(func(fd uintptr) { to, failed = originalDestination(fd) }); err != nil || failed != nil {
		return nil, errors.Join(err, failed)
	}
	if to.Addr().IsLoopback() { // somebody found the port and asked for no other address
		return nil, unix.ECONNREFUSED
	}
	host, err := a.dialRelay(context.Background(), name)
	if err != nil {
		return nil, err
	}
	if err := proto.WriteDestination(host, to); err != nil {
		return nil, errors.Join(err, host.Close())
	}
	return host, nil
}

// reset ends a connection so that the other side sees a failure and not an end.
func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/sunaba-dev/sunaba/internal/guest/proto"
)

// network is what has been made of proto.Network so far.
type network struct {
	addresses  []netip.Prefix
	open       map[proto.Listener]io.Closer
	nameserver string
	outside    *outside // nil when all but the served addresses is unreachable
}

// connect makes the sandbox's network what the host says. Addresses are added every time: a restore loses them without telling. Listeners survive one, and need only be
// opened when they are new. The caller holds a.mu.
func (a *Agent) connect(c *proto.Configure) error {
	want := c.Network
	if want == nil {
		want = &proto.Network{}
	}
	served, err := a.setAddresses(want.Addresses, want.Outside != "")
	if err != nil {
		return err
	}
	if err := a.openOutside(want.Outside, served, c.User); err != nil {
		return err
	}
	for l, closer := range a.network.open {
		if !slices.Contains(want.Listeners, l) {
			delete(a.network.open, l)
			_ = closer.Close()
		}
	}
	for _, l := range want.Listeners {
		if a.network.open[l] != nil {
			continue
		}
		closer, err := a.open(l)
		if err != nil {
			return err
		}
		if a.network.open == nil {
			a.network.open = map[proto.Listener]io.Closer{}
		}
		a.network.open[l] = closer
	}
	if a.o.Init && want.Nameserver != "" && want.Nameserver != a.network.nameserver {
		if err := replaceFile("/etc/resolv.conf", "nameserver "+want.Nameserver+"\n"); err != nil {
			return fmt.Errorf("name the nameserver: %w", err)
		}
		a.network.nameserver = want.Nameserver
	}
	return nil
}

// setAddresses adds what is wanted, which it returns, and removes what is not wanted any more. Only a guest that is PID 1 has a network of its own to change.
func (a *Agent) setAddresses(texts []string, outside bool) (served []netip.Prefix, err error) {
	if !a.o.Init || (len(texts)+len(a.network.addresses) == 0 && !outside) {
		return nil, nil
	}
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return nil, fmt.Errorf("find the loopback device: %w", err)
	}
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, bad(proto.BadRequest, "", "the address %q: %v", text, err)
		}
		served = append(served, p)
	}
	want := served
	if outside {
		want = append(slices.Clone(served), everywhere...)
	}
	for _, p := range a.network.addresses {
		if !slices.Contains(want, p) {
			if err := setAddress(p, lo.Index, false); err != nil {
				return nil, fmt.Errorf("remove the address %s: %w", p, err)
			}
		}
	}
	for _, p := range want {
		if err := setAddress(p, lo.Index, true); err != nil {
			return nil, fmt.Errorf("add the address %s: %w", p, err)
		}
	}
	a.network.addresses = want
	return served, nil
}

// open opens one listener and starts to relay what comes.
func (a *Agent) open(l proto.Listener) (io.Closer, error) {
	if l.Name == "" {
		return nil, bad(proto.BadRequest, "", "a listener needs a name")
	}
	if l.Datagrams {
		return a.listenDatagrams(l)
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", l.Address) // it outlives the call
	if err != nil {
		return nil, bad(proto.Failed, "", "listen on %s: %v", l.Address, err)
	}
	go a.relay(l.Name, listener)
	return listener, nil
}

// replaceFile puts a file, readable for all, into the place of whatever is there: images have links to nowhere for /etc/resolv.conf.
func replaceFile(path, content string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Close())
}

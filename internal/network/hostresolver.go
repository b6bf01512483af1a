package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// HostResolver returns what [Options.Resolve] wants: it asks the server "ADDRESS:PORT", or those that the host is configured for when that is "".
func HostResolver(server string) func(ctx context.Context, name string) ([]netip.Addr, error) {
	r := &net.Resolver{PreferGo: true}
	if server != "" {
		r.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, server)
		}
	}
	return func(ctx context.Context, name string) ([]netip.Addr, error) {
		return r.LookupNetIP(ctx, "ip4", name+".") // absolute: the host's search list is not the sandbox's
	}
}

// ParseNameserver reads ADDRESS[:PORT] and returns it with its port.
func ParseNameserver(text string) (string, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(a, 53).String(), nil
	}
	a, err := netip.ParseAddrPort(text)
	if err != nil || a.Port() == 0 {
		return "", fmt.Errorf("%q is no nameserver: write ADDRESS or ADDRESS:PORT", text)
	}
	return a.String(), nil
}

func unknownName(err error) bool {
	e, ok := errors.AsType[*net.DNSError](err)
	return ok && e.IsNotFound
}

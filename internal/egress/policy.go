package egress

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
)

// Denied is why a connection was refused, in words for the log.
type Denied struct{ Reason string }

// Error implements error.
func (d *Denied) Error() string { return d.Reason }

func denied(format string, args ...any) *Denied { return &Denied{fmt.Sprintf(format, args...)} }

// Policy is which addresses a session may connect to, and how. The zero value is PUBLIC mode: the internet, and nothing nearer.
type Policy struct {
	// Allow are the operator's exceptions. One opens private networks that it contains; addresses of this machine and link only if it is a part of such a range itself
	// ("127.0.0.1:8080", not "0.0.0.0/0"), and another address of this machine only if it names that one alone.
	Allow []Rule
	// Own reports whether an address is one of this machine's; nil reports none.
	Own func(netip.Addr) bool
	// Proxy is the HTTP proxy for all connections, but those in VPC mode whose subnet has one of its own; nil connects directly.
	Proxy *url.URL
	// VPC narrows to mapped networks; nil is PUBLIC mode.
	VPC *VPC
}

// Way is how a connection is made.
type Way struct {
	Subnet    string     // that it goes through; "" in PUBLIC mode
	Source    netip.Addr // local address; the zero value leaves it to the system
	Interface string     // device; "" leaves it to the routes
	Proxy     *url.URL   // of HTTP, with CONNECT; nil connects directly
}

// dnsPorts are those of resolvers. Names are resolved by the session's own resolver, which asks for addresses only: another would be a tunnel that no list of names closes.
var dnsPorts = []uint16{53, 853}

// Route returns the way to an address, or a *[Denied].
func (p Policy) Route(to netip.AddrPort) (Way, error) {
	a := to.Addr().Unmap()
	to = netip.AddrPortFrom(a, to.Port())
	if !a.IsValid() || a.Zone() != "" || to.Port() == 0 {
		return Way{}, denied("%s is no address to connect to", to)
	}
	way := Way{Proxy: p.Proxy}
	var mapped netip.Prefix
	if p.VPC != nil {
		var err error
		if way, mapped, err = p.VPC.route(to); err != nil {
			return Way{}, err
		}
		if way.Proxy == nil {
			way.Proxy = p.Proxy
		}
	}
	if slices.Contains(dnsPorts, to.Port()) && !slices.ContainsFunc(p.Allow, func(r Rule) bool { return r.First != 0 && r.Allows(to) }) {
		return Way{}, denied("port %d is for resolvers, and the session has its own", to.Port())
	}
	if err := p.near(to, mapped); err != nil {
		return Way{}, err
	}
	return way, nil
}

// Near refuses an address to which no port may be connected, with a *[Denied]: resolvers do not hand it out.
func (p Policy) Near(a netip.Addr) error {
	a = a.Unmap()
	if !a.IsValid() || a.Zone() != "" {
		return denied("%s is no address to connect to", a)
	}
	var mapped netip.Prefix
	if p.VPC != nil {
		_, network, ok := p.VPC.network(a)
		if !ok {
			return denied("no subnet leads to %s", a)
		}
		mapped = network
	}
	for _, r := range p.Allow { // a rule for some ports opens the name, and each connection is judged by its port again
		if r.To.Contains(a) && p.near(netip.AddrPortFrom(a, max(r.First, 1)), mapped) == nil {
			return nil
		}
	}
	return p.near(netip.AddrPortFrom(a, 1), mapped)
}

// near refuses addresses that are not of the internet at large, unless something opens them.
func (p Policy) near(to netip.AddrPort, mapped netip.Prefix) error {
	a := to.Addr()
	if within(a, never) {
		if slices.ContainsFunc(p.Allow, func(r Rule) bool { return r.Allows(to) && inside(r.To, never) }) {
			return nil
		}
		return denied("%s is an address of this machine or its link, or of nobody", a)
	}
	if p.Own != nil && p.Own(a) {
		if slices.ContainsFunc(p.Allow, func(r Rule) bool { return r.Allows(to) && r.To.IsSingleIP() }) {
			return nil
		}
		return denied("%s is an address of this machine", a)
	}
	if !within(a, private) || (mapped.IsValid() && inside(mapped, private)) || slices.ContainsFunc(p.Allow, func(r Rule) bool { return r.Allows(to) }) {
		return nil
	}
	return denied("%s is in a private network", a)
}

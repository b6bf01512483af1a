package egress

import (
	"net/netip"
	"slices"
)

// never are addresses that are of this machine, of this link, or of nobody in particular: only the operator's own rules open them.
var never = prefixes(
	"0.0.0.0/8",        // this network, RFC 1122: Linux connects to itself
	"127.0.0.0/8",      // loopback
	"169.254.0.0/16",   // link-local, RFC 3927: metadata services of clouds
	"192.0.0.0/24",     // protocol assignments, RFC 6890
	"192.88.99.0/24",   // 6to4 relays, RFC 7526
	"224.0.0.0/4",      // multicast
	"240.0.0.0/4",      // reserved, and broadcast
	"::/96",            // unspecified, loopback, IPv4-compatible
	"::ffff:0:0/96",    // IPv4-mapped, which addresses never are here: they are unmapped first
	"64:ff9b::/96",     // NAT64, RFC 6052: any IPv4 address
	"64:ff9b:1::/48",   // NAT64 for local use, RFC 8215
	"100::/64",         // discard, RFC 6666
	"2001::/32",        // Teredo: an IPv4 address within
	"2002::/16",        // 6to4: an IPv4 address within
	"fe80::/10",        // link-local
	"fec0::/10",        // site-local, RFC 3879
	"ff00::/8",         // multicast
	"fd00:ec2::/32",    // metadata services of AWS
	"168.63.129.16/32", // Azure's host
)

// private are networks behind this machine. A subnet that the operator maps to one opens that one.
var private = prefixes(
	"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", // RFC 1918
	"100.64.0.0/10",                                     // carrier-grade NAT, RFC 6598
	"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", // documentation, RFC 5737
	"198.18.0.0/15", // benchmarks, RFC 2544
	"fc00::/7",      // unique local, RFC 4193
	"2001:db8::/32", // documentation
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}

func within(a netip.Addr, in []netip.Prefix) bool {
	return slices.ContainsFunc(in, func(p netip.Prefix) bool { return p.Contains(a) })
}

// inside reports whether a prefix is a part of one of a list, so that naming it can only have meant that.
func inside(p netip.Prefix, in []netip.Prefix) bool {
	return slices.ContainsFunc(in, func(whole netip.Prefix) bool { return p.Bits() >= whole.Bits() && whole.Contains(p.Addr()) })
}

// Public reports whether an address is one of the internet at large: neither of this machine or link, nor of a private network, nor a way to write such a one.
func Public(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsValid() && a.Zone() == "" && !within(a, never) && !within(a, private)
}

package egress

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Rule allows connections to a network.
type Rule struct {
	To    netip.Prefix
	First uint16 // port; 0 for both means every port
	Last  uint16
}

// Allows reports whether a connection is within the rule.
func (r Rule) Allows(to netip.AddrPort) bool {
	return r.To.Contains(to.Addr()) && (r.First == 0 || (to.Port() >= r.First && to.Port() <= r.Last))
}

// String writes the rule as [ParseRule] reads it.
func (r Rule) String() string {
	to := r.To.String()
	if r.First == 0 {
		return to
	}
	if r.To.Addr().Is6() {
		to = "[" + r.To.Addr().String() + "]/" + strconv.Itoa(r.To.Bits())
	}
	if r.First == r.Last {
		return fmt.Sprintf("%s:%d", to, r.First)
	}
	return fmt.Sprintf("%s:%d-%d", to, r.First, r.Last)
}

// ParseRule reads CIDR[:PORT[-PORT]] or ADDRESS[:PORT[-PORT]]; IPv6 with ports as [ADDRESS]/BITS:PORT.
func ParseRule(text string) (Rule, error) {
	network, ports := text, ""
	switch i := strings.LastIndexByte(text, ':'); {
	case strings.HasPrefix(text, "["):
		end := strings.IndexByte(text, ']')
		if end < 0 {
			return Rule{}, fmt.Errorf("%q has no ] after the address", text)
		}
		rest := text[end+1:]
		bits, p, found := strings.Cut(rest, ":")
		if network = text[1:end] + bits; found {
			if ports = p; p == "" {
				return Rule{}, fmt.Errorf("%q has no port after the colon", text)
			}
		}
	case i >= 0 && strings.IndexByte(text, ':') == i: // exactly one: IPv4 with a port
		if network, ports = text[:i], text[i+1:]; ports == "" {
			return Rule{}, fmt.Errorf("%q has no port after the colon", text)
		}
	}
	r := Rule{}
	to, err := parseNetwork(network)
	if err != nil {
		return Rule{}, fmt.Errorf("%q: %w", text, err)
	}
	if r.To = to; ports != "" {
		if r.First, r.Last, err = parsePorts(ports); err != nil {
			return Rule{}, fmt.Errorf("%q: %w", text, err)
		}
	}
	return r, nil
}

// ParseRules reads rules that are separated by commas or spaces, as flags and variables have them.
func ParseRules(texts ...string) ([]Rule, error) {
	var rules []Rule
	for _, text := range texts {
		for _, part := range fields(text) {
			r, err := ParseRule(part)
			if err != nil {
				return nil, err
			}
			rules = append(rules, r)
		}
	}
	return rules, nil
}

// fields cuts at commas and spaces.
func fields(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
}

func parseNetwork(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", text)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is no network such as 10.0.0.0/8", text)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("%s is not the beginning of a network: write %s", p, p.Masked())
	}
	return p, nil
}

// parsePorts reads a port or a range of them.
func parsePorts(text string) (first, last uint16, err error) {
	a, b, isRange := strings.Cut(text, "-")
	if !isRange {
		b = a
	}
	x, err := strconv.ParseUint(a, 10, 16)
	if err != nil || x == 0 {
		return 0, 0, fmt.Errorf("%q is no port", a)
	}
	y, err := strconv.ParseUint(b, 10, 16)
	if err != nil || y < x {
		return 0, 0, fmt.Errorf("%q is no range of ports", text)
	}
	return uint16(x), uint16(y), nil
}

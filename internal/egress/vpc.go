package egress

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Mapping is what the operator says that the subnets and security groups of VPCs stand for: the part `vpc` of `sunaba.yaml`.
type Mapping struct {
	subnets map[string]Subnet
	groups  map[string][]Rule
}

// Subnet is what a subnet stands for.
type Subnet struct {
	ID        string
	Networks  []netip.Prefix // that can be reached through it
	Source    netip.Addr     // local address of its connections; the zero value leaves it to the system
	Interface string         // device of its connections; "" leaves it to the routes
	Proxy     *url.URL       // HTTP proxy of its connections; nil has none
}

// VPC is what the subnets and security groups of one interpreter stand for.
type VPC struct {
	subnets []Subnet
	rules   []Rule
}

// CheckVPC returns a ValidationException for ids that are not mapped. A nil mapping maps nothing.
func (m *Mapping) CheckVPC(subnets, groups []string) error {
	if m == nil {
		m = &Mapping{}
	}
	check := func(field, kind string, ids, known []string) error {
		for _, id := range ids {
			if !slices.Contains(known, id) {
				return fault.Invalid(field, "the %s %q is not mapped to a network of this server: its operator names it under vpc in sunaba.yaml (mapped: %s)", kind, id, list(known))
			}
		}
		return nil
	}
	if err := check("networkConfiguration.vpcConfig.subnets", "subnet", subnets, slices.Sorted(maps.Keys(m.subnets))); err != nil {
		return err
	}
	return check("networkConfiguration.vpcConfig.securityGroups", "security group", groups, slices.Sorted(maps.Keys(m.groups)))
}

func list(ids []string) string {
	const most = 10
	switch {
	case len(ids) == 0:
		return "none"
	case len(ids) > most:
		return strings.Join(ids[:most], ", ") + ", ..."
	}
	return strings.Join(ids, ", ")
}

// VPC returns what ids stand for. Ids that are not mapped any more, as [Mapping.CheckVPC] has it, stand for nothing: connections that only they would allow are refused.
func (m *Mapping) VPC(subnets, groups []string) *VPC {
	v := &VPC{}
	if m == nil {
		return v
	}
	for _, id := range subnets {
		if s, ok := m.subnets[id]; ok {
			v.subnets = append(v.subnets, s)
		}
	}
	for _, id := range groups {
		v.rules = append(v.rules, m.groups[id]...)
	}
	return v
}

// route finds the subnet whose network fits an address best. Security groups add up, as on AWS: what one allows is allowed.
func (v *VPC) route(to netip.AddrPort) (Way, netip.Prefix, error) {
	if !slices.ContainsFunc(v.rules, func(r Rule) bool { return r.Allows(to) }) {
		return Way{}, netip.Prefix{}, denied("no security group allows %s", to)
	}
	best, network, ok := v.network(to.Addr())
	if !ok {
		return Way{}, netip.Prefix{}, denied("no subnet leads to %s", to.Addr())
	}
	return Way{Subnet: best.ID, Source: best.Source, Interface: best.Interface, Proxy: best.Proxy}, network, nil
}

func (v *VPC) network(a netip.Addr) (best Subnet, network netip.Prefix, ok bool) {
	for _, s := range v.subnets {
		for _, p := range s.Networks {
			if p.Contains(a) && (!ok || p.Bits() > network.Bits()) {
				best, network, ok = s, p, true
			}
		}
	}
	return best, network, ok
}

// ParseProxy reads the URL of an HTTP proxy, with a name and a password if it wants them.
func ParseProxy(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" {
		return nil, fmt.Errorf("the proxy is not written as http://HOST:PORT") // without its text, which may have a password
	}
	if u.Port() == "" {
		u.Host += ":80"
	}
	return u, nil
}

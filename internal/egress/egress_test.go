package egress

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

func rules(t *testing.T, texts ...string) []Rule {
	t.Helper()
	r, err := ParseRules(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAttackWaysToWriteANearAddress(t *testing.T) {
	own := netip.MustParseAddr("8.8.4.4")
	p := Policy{Own: func(a netip.Addr) bool { return a == own }}
	for _, a := range []string{"127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255", "169.254.169.254",
		"169.254.170.2", "168.63.129.16", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "192.0.0.1", "198.18.0.1", "203.0.113.1", "::", "::1", "::ffff:127.0.0.1",
		"::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::7f00:1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254",
		"ff02::1", "100::1", "2001:db8::1", "8.8.4.4", "::ffff:8.8.4.4"} {
		to := netip.AddrPortFrom(netip.MustParseAddr(a), 443)
		if _, err := p.Route(to); err == nil {
			t.Errorf("%s may be connected to", a)
		} else if _, ok := errors.AsType[*Denied](err); !ok {
			t.Errorf("%s: %v is no *Denied", a, err)
		}
		if p.Near(to.Addr()) == nil {
			t.Errorf("%s may be resolved to", a)
		}
		if _, err := (Policy{Own: p.Own, Allow: rules(t, "0.0.0.0/0", "::/0")}).Route(to); err == nil && (within(to.Addr().Unmap(), never) || a == own.String()) {
			t.Errorf("%s may be connected to because everything may", a)
		}
	}
	for _, a := range []string{"8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "192.0.1.1", "11.0.0.1"} {
		if _, err := p.Route(netip.AddrPortFrom(netip.MustParseAddr(a), 443)); err != nil {
			t.Errorf("%s: %v", a, err)
		}
		if !Public(netip.MustParseAddr(a)) {
			t.Errorf("%s is not public", a)
		}
	}
	for _, to := range []netip.AddrPort{{}, netip.MustParseAddrPort("8.8.8.8:0"), netip.MustParseAddrPort("[fe80::1%lo]:80")} {
		if _, err := p.Route(to); err == nil {
			t.Errorf("%v may be connected to", to)
		}
	}
}

func TestOperatorsExceptions(t *testing.T) {
	own := netip.MustParseAddr("10.1.1.1")
	p := Policy{Own: func(a netip.Addr) bool { return a == own }, Allow: rules(t, "10.0.0.0/8, 127.0.0.1:8080", "192.168.1.1:80-90 [fd00:1::]/32:443", "9.9.9.9:53")}
	for to, want := range map[string]bool{
		"10.2.3.4:22": true, "10.1.1.1:22": false, "127.0.0.1:8080": true, "127.0.0.1:8081": false, "127.0.0.2:8080": false, "192.168.1.1:85": true, "192.168.1.1:91": false,
		"[fd00:1::5]:443": true, "[fd00:1::5]:80": false, "9.9.9.9:53": true, "8.8.8.8:53": false, "8.8.8.8:853": false, "10.2.3.4:53": false, "8.8.8.8:54": true,
	} {
		if _, err := p.Route(netip.MustParseAddrPort(to)); (err == nil) != want {
			t.Errorf("%s: %v", to, err)
		}
	}
	for a, want := range map[string]bool{"10.2.3.4": true, "127.0.0.1": true, "127.0.0.2": false, "192.168.1.1": true, "192.168.1.2": false, "10.1.1.1": false} {
		if err := p.Near(netip.MustParseAddr(a)); (err == nil) != want {
			t.Errorf("resolving to %s: %v", a, err)
		}
	}
	if _, err := (Policy{Own: p.Own, Allow: rules(t, "10.1.1.1:22")}).Route(netip.MustParseAddrPort("10.1.1.1:22")); err != nil {
		t.Errorf("the machine's own address, named alone: %v", err)
	}
}

func TestParseRule(t *testing.T) {
	for _, text := range []string{"10.0.0.0/8", "10.0.0.0/8:443", "10.0.0.0/8:1-65535", "1.2.3.4/32", "fd00::/8", "[fd00::]/8:443", "::1/128", "0.0.0.0/0:80"} {
		r, err := ParseRule(text)
		if err != nil || r.String() != text {
			t.Errorf("%s: %s, %v", text, r, err)
		}
	}
	for text, want := range map[string]string{"1.2.3.4": "1.2.3.4/32", "1.2.3.4:80": "1.2.3.4/32:80", "::1": "::1/128", "[::1]:80": "[::1]/128:80", "::ffff:1.2.3.4": "1.2.3.4/32"} {
		if r, err := ParseRule(text); err != nil || r.String() != want {
			t.Errorf("%s: %s, %v", text, r, err)
		}
	}
	for _, text := range []string{"", ":", "10.0.0.0/8:", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/8:0", "10.0.0.0/8:65536", "10.0.0.0/8:9-8", "10.0.0.0/8:-1", "example.org", "example.org:443", "[::1", "[::1]x", "[::1]:",
		"fe80::1%eth0", "::ffff:10.0.0.0/104", "1.2.3.4:+80", "010.0.0.1"} {
		if r, err := ParseRule(text); err == nil {
			t.Errorf("%q passes as %s", text, r)
		}
	}
}

func FuzzParseRule(f *testing.F) {
	for _, text := range []string{"10.0.0.0/8:80-90", "[::1]/128:1", "1.2.3.4"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRule(text)
		if err != nil {
			return
		}
		again, err := ParseRule(r.String())
		if err != nil || again != r {
			t.Errorf("%q is %v, and that is %v, %v", text, r, again, err)
		}
	})
}

func TestNames(t *testing.T) {
	n, err := ParseNames("Index.Example., *.wheels.example\tfiles.example")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"index.example": true, "files.wheels.example": true, "a.b.wheels.example": true, "files.example": true, "wheels.example": false, "evilwheels.example": false,
		"index.example.evil.org": false, "xindex.example": false, "": false, ".wheels.example": false} {
		if n.Allow(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
	if n.String() != "index.example files.example *.wheels.example" {
		t.Error(n)
	}
	if below, err := ParseNames(".wheels.example"); err != nil || !below.Allow("files.wheels.example") || below.Allow("wheels.example") || below.String() != "*.wheels.example" {
		t.Errorf("%v %v", below, err)
	}
	if none, err := ParseNames("none"); err != nil || none.Allow("index.example") || !none.Listed() || none.String() != "none" {
		t.Errorf("%v %v", none, err)
	}
	for _, all := range []string{"*", " * "} {
		if n, err := ParseNames(all); err != nil || !n.Allow("x.y") || n.Listed() || n.String() != "*" {
			t.Errorf("%q: %v %v", all, n, err)
		}
	}
	for _, text := range []string{"", " ,", "*.", ".", "..org", "*..a.org", "*.*.org", "a*.org", "org", "*.org", "http://index.example", "index.example:443", "1.2.3.4", "*.1.2.3.4", "index..example", "-a.org", "a.org/x", "* none", strings.Repeat("a.org ", MaxNames+1), "ümlaut.de"} {
		if n, err := ParseNames(text); err == nil {
			t.Errorf("%.40q passes as %s", text, n)
		}
	}
}

func FuzzCleanName(f *testing.F) {
	for _, name := range []string{"a.b.", "1.2.3.4", "0x7f.1", "xn--a.org", "_dmarc.org"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		clean, ok := CleanName(name)
		if !ok {
			return
		}
		if again, ok := CleanName(clean); !ok || again != clean || len(clean) > maxName || strings.Contains(clean, "..") {
			t.Errorf("%q is %q", name, clean)
		}
		if a, err := netip.ParseAddr(clean); err == nil {
			t.Errorf("%q is the address %s", name, a)
		}
	})
}

const mapped = `
vpc:
  subnets:
    subnet-aaaaaaaa:
      cidrs: [10.20.0.0/16, 0.0.0.0/0]
      source: 10.20.0.5
    subnet-bbbbbbbb:
      cidrs: [10.20.30.0/24]
      interface: eth1
      proxy: http://user:secret@proxy.example:3128
  securityGroups:
    sg-aaaaaaaa:
      allow:
        - {to: 10.20.0.0/16, ports: "443, 8000-8100"}
    sg-bbbbbbbb:
      allow:
        - to: 0.0.0.0/0
          protocol: tcp
    sg-cccccccc: {}
`

func TestVPC(t *testing.T) {
	m, err := ParseMapping([]byte(mapped))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		subnets, groups []string
		to, subnet      string // "" is refused
	}{
		"the port":                              {[]string{"subnet-aaaaaaaa"}, []string{"sg-aaaaaaaa"}, "10.20.1.1:8050", "subnet-aaaaaaaa"},
		"another port":                          {[]string{"subnet-aaaaaaaa"}, []string{"sg-aaaaaaaa"}, "10.20.1.1:80", ""},
		"no subnet leads there":                 {[]string{"subnet-bbbbbbbb"}, []string{"sg-aaaaaaaa"}, "10.20.1.1:443", ""},
		"the closest subnet":                    {[]string{"subnet-aaaaaaaa", "subnet-bbbbbbbb"}, []string{"sg-aaaaaaaa"}, "10.20.30.1:443", "subnet-bbbbbbbb"},
		"groups add up":                         {[]string{"subnet-aaaaaaaa"}, []string{"sg-aaaaaaaa", "sg-bbbbbbbb"}, "8.8.8.8:80", "subnet-aaaaaaaa"},
		"a group that allows nothing":           {[]string{"subnet-aaaaaaaa"}, []string{"sg-cccccccc"}, "10.20.1.1:443", ""},
		"everything does not mean private":      {[]string{"subnet-aaaaaaaa"}, []string{"sg-bbbbbbbb"}, "192.168.1.1:80", ""},
		"everything does not mean this machine": {[]string{"subnet-aaaaaaaa"}, []string{"sg-bbbbbbbb"}, "127.0.0.1:80", ""},
		"nor its metadata service":              {[]string{"subnet-aaaaaaaa"}, []string{"sg-bbbbbbbb"}, "169.254.169.254:80", ""},
		"no resolver either":                    {[]string{"subnet-aaaaaaaa"}, []string{"sg-bbbbbbbb"}, "10.20.1.1:53", ""},
		"ids that are gone":                     {[]string{"subnet-99999999"}, []string{"sg-bbbbbbbb"}, "10.20.1.1:80", ""},
	} {
		way, err := Policy{VPC: m.VPC(c.subnets, c.groups)}.Route(netip.MustParseAddrPort(c.to))
		if (err == nil) != (c.subnet != "") || way.Subnet != c.subnet {
			t.Errorf("%s: %+v, %v", name, way, err)
		}
	}
	way, err := Policy{VPC: m.VPC([]string{"subnet-bbbbbbbb"}, []string{"sg-aaaaaaaa"})}.Route(netip.MustParseAddrPort("10.20.30.1:443"))
	if err != nil || way.Interface != "eth1" || way.Proxy.Host != "proxy.example:3128" {
		t.Errorf("%+v, %v", way, err)
	}
	if err := m.CheckVPC([]string{"subnet-aaaaaaaa"}, []string{"sg-cccccccc"}); err != nil {
		t.Error(err)
	}
	for _, err := range []error{m.CheckVPC([]string{"subnet-99999999"}, nil), m.CheckVPC(nil, []string{"sg-99999999"}), (*Mapping)(nil).CheckVPC([]string{"subnet-aaaaaaaa"}, nil)} {
		if !fault.Is(err, fault.Validation) {
			t.Errorf("%v is no ValidationException", err)
		}
	}
}

func TestParseMappingRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"an unknown key":     "vpc: {subnetz: {}}",
		"an unknown section": "vcp: {}",
		"no YAML":            "vpc: [",
		"two documents":      "vpc: {}\n---\nvpc: {}",
		"a key twice":        "vpc: {}\nvpc: {}",
		"a bad subnet id":    "vpc: {subnets: {subnet-x: {cidrs: [10.0.0.0/8]}}}",
		"no networks":        "vpc: {subnets: {subnet-aaaaaaaa: {}}}",
		"a bad network":      "vpc: {subnets: {subnet-aaaaaaaa: {cidrs: [10.0.0.1/8]}}}",
		"a bad source":       "vpc: {subnets: {subnet-aaaaaaaa: {cidrs: [10.0.0.0/8], source: here}}}",
		"a bad proxy":        "vpc: {subnets: {subnet-aaaaaaaa: {cidrs: [10.0.0.0/8], proxy: 'socks5://x'}}}",
		"a long device":      "vpc: {subnets: {subnet-aaaaaaaa: {cidrs: [10.0.0.0/8], interface: abcdefghijklmnop}}}",
		"a bad group id":     "vpc: {securityGroups: {sg-x: {allow: []}}}",
		"another protocol":   "vpc: {securityGroups: {sg-aaaaaaaa: {allow: [{to: 10.0.0.0/8, protocol: udp}]}}}",
		"a rule to nowhere":  "vpc: {securityGroups: {sg-aaaaaaaa: {allow: [{ports: '80'}]}}}",
		"a bad port":         "vpc: {securityGroups: {sg-aaaaaaaa: {allow: [{to: 10.0.0.0/8, ports: '80-79'}]}}}",
	} {
		if _, err := ParseMapping([]byte(text)); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	for _, text := range []string{"", "\n \n", "vpc: {}", "# nothing"} {
		if _, err := ParseMapping([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParseMapping(f *testing.F) {
	f.Add([]byte(mapped))
	f.Fuzz(func(_ *testing.T, text []byte) {
		if m, err := ParseMapping(text); err == nil {
			_ = m.VPC([]string{"subnet-aaaaaaaa"}, []string{"sg-aaaaaaaa"})
		}
	})
}

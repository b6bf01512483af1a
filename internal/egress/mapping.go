package egress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"regexp"

	"go.yaml.in/yaml/v3"
)

const (
	maxFile      = 1 << 20 // bytes of sunaba.yaml
	maxInterface = 15      // characters of a device's name: IFNAMSIZ without its end
)

// The ids of the AgentCore model (bedrock-agentcore-control 2023-06-05, SubnetId and SecurityGroupId).
var (
	subnetID = regexp.MustCompile(`^subnet-[0-9a-zA-Z]{8,17}$`)
	groupID  = regexp.MustCompile(`^sg-[0-9a-zA-Z]{8,17}$`)
)

// file is sunaba.yaml.
type file struct {
	VPC struct {
		Subnets        map[string]fileSubnet `yaml:"subnets"`
		SecurityGroups map[string]fileGroup  `yaml:"securityGroups"`
	} `yaml:"vpc"`
}

type fileSubnet struct {
	CIDRs     []string `yaml:"cidrs"`
	Source    string   `yaml:"source"`
	Interface string   `yaml:"interface"`
	Proxy     string   `yaml:"proxy"`
}

type fileGroup struct {
	Allow []fileRule `yaml:"allow"`
}

type fileRule struct {
	Protocol string `yaml:"protocol"` // "tcp", which it is when nothing is said
	Ports    string `yaml:"ports"`    // "443", "8000-8100, 443"; "" is every port
	To       string `yaml:"to"`       // CIDR or address
}

// LoadMapping reads a file as [ParseMapping] does. Without the file nothing is mapped.
func LoadMapping(path string) (*Mapping, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Mapping{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if !st.Mode().IsRegular() || st.Size() > maxFile {
		return nil, fmt.Errorf("the configuration %s is no file of at most %d bytes", path, maxFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	m, err := ParseMapping(text)
	if err != nil {
		return nil, fmt.Errorf("the configuration %s: %w", path, err)
	}
	return m, nil
}

// ParseMapping reads the mapping from YAML:
//
//	vpc:
//	  subnets:
//	    subnet-0123456789abcdef0:
//	      cidrs: [10.20.0.0/16, 0.0.0.0/0]   # what can be reached through it
//	      source: 10.20.0.5                  # local address; optional
//	      interface: eth1                    # device; optional
//	      proxy: http://proxy.example:3128   # optional
//	  securityGroups:
//	    sg-0123456789abcdef0:
//	      allow:
//	        - {to: 10.20.0.0/16, ports: "443, 8000-8100"}
//	        - {to: 0.0.0.0/0, protocol: tcp}
//
// Keys that are not known are errors, with their line.
func ParseMapping(text []byte) (*Mapping, error) {
	m := &Mapping{subnets: map[string]Subnet{}, groups: map[string][]Rule{}}
	var f file
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil && !errors.Is(err, io.EOF) { // the end at once: nothing but space and comments
		return nil, err
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("it has more than one document")
	}
	for id, s := range f.VPC.Subnets {
		subnet, err := s.parse(id)
		if err != nil {
			return nil, fmt.Errorf("vpc.subnets.%s: %w", id, err)
		}
		m.subnets[id] = subnet
	}
	for id, g := range f.VPC.SecurityGroups {
		if !groupID.MatchString(id) {
			return nil, fmt.Errorf("vpc.securityGroups.%s: the id of a security group is sg- and 8 to 17 letters or digits", id)
		}
		m.groups[id] = []Rule{}
		for i, r := range g.Allow {
			rules, err := r.parse()
			if err != nil {
				return nil, fmt.Errorf("vpc.securityGroups.%s.allow[%d]: %w", id, i, err)
			}
			m.groups[id] = append(m.groups[id], rules...)
		}
	}
	return m, nil
}

func (s fileSubnet) parse(id string) (Subnet, error) {
	if !subnetID.MatchString(id) {
		return Subnet{}, errors.New("the id of a subnet is subnet- and 8 to 17 letters or digits")
	}
	if len(s.CIDRs) == 0 {
		return Subnet{}, errors.New("cidrs says what can be reached through it, and is missing")
	}
	if len(s.Interface) > maxInterface {
		return Subnet{}, fmt.Errorf("interface: %q is longer than the name of a device can be", s.Interface)
	}
	subnet := Subnet{ID: id, Interface: s.Interface}
	for _, text := range s.CIDRs {
		p, err := parseNetwork(text)
		if err != nil {
			return Subnet{}, fmt.Errorf("cidrs: %w", err)
		}
		subnet.Networks = append(subnet.Networks, p)
	}
	var err error
	if s.Source != "" {
		if subnet.Source, err = netip.ParseAddr(s.Source); err != nil || subnet.Source.Zone() != "" {
			return Subnet{}, fmt.Errorf("source: %q is no address", s.Source)
		}
	}
	if s.Proxy != "" {
		if subnet.Proxy, err = ParseProxy(s.Proxy); err != nil {
			return Subnet{}, err
		}
	}
	return subnet, nil
}

func (r fileRule) parse() ([]Rule, error) {
	if r.Protocol != "" && r.Protocol != "tcp" {
		return nil, fmt.Errorf("protocol: %q leaves no sandbox, only tcp does", r.Protocol)
	}
	to, err := parseNetwork(r.To)
	if err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	ports := fields(r.Ports)
	if len(ports) == 0 {
		return []Rule{{To: to}}, nil
	}
	var rules []Rule
	for _, text := range ports {
		first, last, err := parsePorts(text)
		if err != nil {
			return nil, fmt.Errorf("ports: %w", err)
		}
		rules = append(rules, Rule{to, first, last})
	}
	return rules, nil
}

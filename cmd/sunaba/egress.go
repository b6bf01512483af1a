package main

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/sunaba-dev/sunaba/internal/codeinterpreter"
	"github.com/sunaba-dev/sunaba/internal/egress"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/network"
)

// The tags that say what an interpreter's sessions may reach.
const (
	egressTag  = "sunaba:egress"     // names that sessions in PUBLIC and VPC mode may connect to
	bucketsTag = "sunaba:s3-buckets" // buckets, and parts of buckets, that sessions may use
	secretsTag = "sunaba:secrets"    // secrets that requests to hosts outside get on their way
)

// configurationName is the operator's file, in the data folder.
const configurationName = "sunaba.yaml"

// egressFlags are what the operator says about the way out of sandboxes.
type egressFlags struct {
	allow      []string
	proxy, dns string
	imdsV1     bool
	config     string
}

// add declares the flags.
func (f *egressFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.allow, "egress-allow", nil, "network that sandboxes with a way out may connect to although it is private or of this machine: CIDR[:PORT[-PORT]]; several, or once with commas")
	flags.StringVar(&f.proxy, "egress-proxy", "", "HTTP proxy for sandboxes' connections to the outside, http://[USER:PASSWORD@]HOST:PORT")
	flags.StringVar(&f.dns, "egress-dns", "", "nameserver for names outside, ADDRESS[:PORT] (default the host's)")
	flags.BoolVar(&f.imdsV1, "imds-v1", false, "answer metadata requests without a token, for clients that are too old for IMDSv2")
	flags.StringVar(&f.config, "config", "", "file that maps subnets and security groups to networks (default "+configurationName+" in the data folder)")
}

// outside is what the flags and the file mean.
type outside struct {
	policy  egress.Policy
	mapping *egress.Mapping
	resolve func(context.Context, string) ([]netip.Addr, error)
	imdsV1  bool
}

// open reads what the flags say, and the file.
func (f *egressFlags) open(dataDir string) (outside, error) {
	o := outside{imdsV1: f.imdsV1, policy: egress.Policy{Own: network.HostAddresses()}}
	var err error
	if o.policy.Allow, err = egress.ParseRules(f.allow...); err != nil {
		return o, fmt.Errorf("--egress-allow: %w", err)
	}
	if f.proxy != "" {
		if o.policy.Proxy, err = egress.ParseProxy(f.proxy); err != nil {
			return o, fmt.Errorf("--egress-proxy: %w", err)
		}
	}
	nameserver := ""
	if f.dns != "" {
		if nameserver, err = network.ParseNameserver(f.dns); err != nil {
			return o, fmt.Errorf("--egress-dns: %w", err)
		}
	}
	o.resolve = network.HostResolver(nameserver)
	path := f.config
	if path == "" {
		path = filepath.Join(dataDir, configurationName)
	}
	o.mapping, err = egress.LoadMapping(path)
	return o, err
}

// check returns a ValidationException about an interpreter whose network this server cannot give it. It is for the moment when the interpreter is made or tagged.
func (o outside) check(i codeinterpreter.Interpreter) error {
	if i.Network.Mode == codeinterpreter.NetworkVPC {
		if err := o.mapping.CheckVPC(i.Network.Subnets, i.Network.SecurityGroups); err != nil {
			return err
		}
	}
	if list, tagged := i.Tags[egressTag]; tagged {
		if i.Network.Mode == codeinterpreter.NetworkSandbox {
			return fault.Invalid("tags."+egressTag, "the network mode SANDBOX has no way out, so that there is nothing to list")
		}
		if _, err := egress.ParseNames(list); err != nil {
			return fault.Invalid("tags."+egressTag, "%v", err)
		}
	}
	if list, tagged := i.Tags[bucketsTag]; tagged {
		if _, err := network.ParseBuckets(list); err != nil {
			return fault.Invalid("tags."+bucketsTag, "%v", err)
		}
	}
	if list, tagged := i.Tags[secretsTag]; tagged {
		switch _, err := network.ParseInjections(list); {
		case i.Network.Mode == codeinterpreter.NetworkSandbox:
			return fault.Invalid("tags."+secretsTag, "the network mode SANDBOX has no way out, so that there is no request to add a secret to")
		case i.ExecutionRole == "":
			return fault.Invalid("tags."+secretsTag, "the interpreter has no execution role, as which the secrets could be read")
		case err != nil:
			return fault.Invalid("tags."+secretsTag, "%v", err)
		}
	}
	return nil
}

// of is what one session of an interpreter reaches outside; nil in SANDBOX mode. A list that cannot be read, from before it was checked, allows nothing.
func (o outside) of(i codeinterpreter.Interpreter) *network.Outside {
	if i.Network.Mode == codeinterpreter.NetworkSandbox {
		return nil
	}
	out := &network.Outside{Policy: o.policy}
	if i.Network.Mode == codeinterpreter.NetworkVPC {
		out.Policy.VPC = o.mapping.VPC(i.Network.Subnets, i.Network.SecurityGroups)
	}
	if list, tagged := i.Tags[egressTag]; tagged {
		names, err := egress.ParseNames(list)
		if err != nil {
			names = egress.NoNames()
		}
		out.Names = names
	}
	if list, tagged := i.Tags[secretsTag]; tagged {
		if injections, err := network.ParseInjections(list); err == nil { // no header where it cannot be read, from before it was checked
			out.Injections = injections
		}
	}
	return out
}

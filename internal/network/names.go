package network

import (
	"net"
	"regexp"
	"slices"
	"strings"
)

// Host is what the name of an AWS endpoint says.
type Host struct {
	Service string // as signatures name it: "s3", "sts", "bedrock-agentcore"
	Region  string // "" for global names
	Bucket  string // of S3, in the virtual-host style
	// Resource is what stands before the name of another service than S3: "123456789012.dkr" of ECR's registries, an API's id.
	Resource string
}

// AnyService in a list of services stands for all of them.
const AnyService = "*"

const maxName = 253

var (
	regionName = regexp.MustCompile(`^[a-z]{2,3}(-[a-z]+)+-[0-9]{1,2}$`)
	label      = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// signingNames are the services whose endpoints are called otherwise than their signatures.
var signingNames = map[string]string{
	"bedrock-agentcore-control": "bedrock-agentcore", "bedrock-runtime": "bedrock", "bedrock-agent": "bedrock", "bedrock-agent-runtime": "bedrock", "email": "ses",
	"api.ecr": "ecr",
}

// globalNames are the services that have a name without a region.
var globalNames = []string{"iam", "s3", "sts", "route53", "cloudfront", "organizations"}

// ParseHost reads the name of an AWS endpoint, as it stands in a Host header, an SNI or a question to the resolver, without a port.
func ParseHost(name string) (Host, bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if len(name) > maxName {
		return Host{}, false
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if !label.MatchString(l) {
			return Host{}, false
		}
	}
	n := len(labels)
	if n < 3 {
		return Host{}, false
	}
	suffix := labels[n-2] + "." + labels[n-1]
	if suffix != "amazonaws.com" && suffix != "api.aws" {
		return Host{}, false
	}
	labels = labels[:n-2]
	if h, ok := parseS3(labels, suffix); ok {
		return h, true
	}
	return parseService(labels, suffix)
}

// parseS3 reads [BUCKET.]s3[-fips][.dualstack][.REGION] and the old s3-REGION. A bucket's name may have dots, and be that of a service.
func parseS3(labels []string, suffix string) (Host, bool) {
	h := Host{Service: "s3"}
	rest := labels
	if last := len(rest) - 1; last > 0 && regionName.MatchString(rest[last]) {
		h.Region, rest = rest[last], rest[:last]
		if last := len(rest) - 1; last > 0 && rest[last] == "dualstack" {
			rest = rest[:last]
		}
	}
	last := len(rest) - 1
	switch name := rest[last]; {
	case name == "s3" && (suffix == "amazonaws.com" || h.Region != ""), name == "s3-fips" && h.Region != "":
	case h.Region == "" && suffix == "amazonaws.com" && regionName.MatchString(strings.TrimPrefix(name, "s3-")) && strings.HasPrefix(name, "s3-"):
		h.Region = strings.TrimPrefix(name, "s3-")
	default:
		return Host{}, false
	}
	h.Bucket = strings.Join(rest[:last], ".")
	return h, true
}

// parseService reads [RESOURCE.]SERVICE[-fips].REGION, and SERVICE alone for those that are global.
func parseService(labels []string, suffix string) (Host, bool) {
	var h Host
	last := len(labels) - 1
	switch {
	case last > 0 && regionName.MatchString(labels[last]):
		h.Region, labels = labels[last], labels[:last]
	case last == 1 && labels[1] == "global" && suffix == "api.aws":
		labels = labels[:1]
	case last == 0 && slices.Contains(globalNames, strings.TrimSuffix(labels[0], "-fips")):
	default:
		return Host{}, false
	}
	h.Service = strings.TrimSuffix(strings.Join(labels, "."), "-fips")
	if last := len(labels) - 1; last > 0 && signingNames[h.Service] == "" { // ACCOUNT.dkr.ecr, ID.gateway.bedrock-agentcore
		h.Resource, h.Service = strings.Join(labels[:last], "."), strings.TrimSuffix(labels[last], "-fips")
	}
	if signs := signingNames[h.Service]; signs != "" {
		h.Service = signs
	}
	return h, true
}

// hostOf is the name in a Host header.
func hostOf(header string) string {
	if host, _, err := net.SplitHostPort(header); err == nil {
		header = host
	}
	return strings.ToLower(strings.TrimSuffix(header, "."))
}

// serves reports whether a session may reach an endpoint by this name.
func (p Policy) serves(name string) (Host, bool) {
	h, ok := ParseHost(name)
	return h, ok && p.servesService(h.Service)
}

func (p Policy) servesService(service string) bool {
	return slices.Contains(p.Services, service) || slices.Contains(p.Services, AnyService)
}

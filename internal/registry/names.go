package registry

import (
	"regexp"
	"strings"
)

// Scope is an account's registry in a region.
type Scope struct{ Account, Region string }

// Host is the registry's name: "ACCOUNT.dkr.ecr.REGION.amazonaws.com".
func (s Scope) Host() string { return s.Account + ".dkr.ecr." + s.Region + ".amazonaws.com" }

// ID names a repository.
type ID struct {
	Scope
	Name string // with slashes: "team/agent"
}

// ARN returns "arn:aws:ecr:REGION:ACCOUNT:repository/NAME".
func (id ID) ARN() string {
	return "arn:aws:ecr:" + id.Region + ":" + id.Account + ":repository/" + id.Name
}

// namePattern is the rule for repository names, as the botocore model of ecr has it. Every segment begins with a letter or digit, so that no name climbs out of a folder.
const namePattern = `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`

var (
	names    = regexp.MustCompile(`\A` + namePattern + `\z`)
	tags     = regexp.MustCompile(`\A[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}\z`) // OCI distribution specification 1.1
	digests  = regexp.MustCompile(`\Asha256:[a-f0-9]{64}\z`)
	hosts    = regexp.MustCompile(`\A([0-9]{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]{2,25})\.(?:amazonaws\.com|on\.aws)\z`)
	accounts = regexp.MustCompile(`\A[0-9]{12}\z`)
)

// ValidName reports whether a text can name a repository: 2 to 256 characters.
func ValidName(s string) bool { return len(s) >= 2 && len(s) <= 256 && names.MatchString(s) }

// ValidTag reports whether a text can be a tag.
func ValidTag(s string) bool { return tags.MatchString(s) }

// ValidDigest reports whether a text is a digest that images are kept by: "sha256:" and 64 digits, in lower case.
func ValidDigest(s string) bool { return digests.MatchString(s) }

// ValidAccount reports whether a text is an account's id.
func ValidAccount(s string) bool { return accounts.MatchString(s) }

// ScopeOfHost reads a registry's host name, without port. Both of ECR's forms are known: ACCOUNT.dkr.ecr.REGION.amazonaws.com and, for dual-stack, ACCOUNT.dkr-ecr.REGION.on.aws.
func ScopeOfHost(host string) (Scope, bool) {
	m := hosts.FindStringSubmatch(strings.ToLower(host))
	if m == nil {
		return Scope{}, false
	}
	return Scope{Account: m[1], Region: m[2]}, true
}

// IDOf reads the ARN of a repository.
func IDOf(arn string) (ID, bool) {
	f := strings.SplitN(arn, ":", 6)
	if len(f) != 6 || f[0] != "arn" || f[2] != "ecr" || !ValidAccount(f[4]) {
		return ID{}, false
	}
	name, ok := strings.CutPrefix(f[5], "repository/")
	id := ID{Scope: Scope{Account: f[4], Region: f[3]}, Name: name}
	return id, ok && f[3] != "" && ValidName(name)
}

// Ref names an image of a repository: by digest, by tag, or by both, which must agree.
type Ref struct{ Digest, Tag string }

// RefOf reads what stands in the last place of a manifest's URL: a digest or a tag.
func RefOf(s string) (Ref, bool) {
	if strings.Contains(s, ":") {
		return Ref{Digest: s}, ValidDigest(s)
	}
	return Ref{Tag: s}, ValidTag(s)
}

// ParseImage reads how an image of this registry is written, "HOST/NAME[:TAG][@DIGEST]", with "latest" where nothing is said. The host is ECR's; local are the hosts
// (with ports) under which this registry is reached otherwise, and stand for the scope that is given.
func ParseImage(uri string, scope Scope, local ...string) (ID, Ref, bool) {
	host, rest, ok := strings.Cut(uri, "/")
	if !ok {
		return ID{}, Ref{}, false
	}
	s, known := ScopeOfHost(host)
	for _, l := range local {
		if l != "" && l == host {
			s, known = scope, true
		}
	}
	if !known {
		return ID{}, Ref{}, false
	}
	var ref Ref
	rest, digest, pinned := strings.Cut(rest, "@")
	if pinned {
		if ref.Digest = digest; !ValidDigest(digest) {
			return ID{}, Ref{}, false
		}
	}
	name, tag, tagged := strings.Cut(rest, ":")
	switch {
	case tagged && !ValidTag(tag):
		return ID{}, Ref{}, false
	case tagged:
		ref.Tag = tag
	case !pinned:
		ref.Tag = "latest"
	}
	return ID{Scope: s, Name: name}, ref, ValidName(name)
}

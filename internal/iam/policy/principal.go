package policy

import (
	"regexp"
	"slices"
	"strings"
)

// principals is the Principal or NotPrincipal of a statement.
type principals struct {
	not      bool
	everyone bool
	accounts []string
	arns     []string
	services []string
}

// match says how the principal is named; ByNothing means that the statement is not about it.
func (p *principals) match(w *Who, deny bool) Match {
	if !p.not {
		return p.named(w, deny)
	}
	// NotPrincipal. With Deny, a principal is spared only if each of its names is listed: the account, the role and the session are looked at one after the
	// other (User Guide, NotPrincipal). With Allow, one listed name is enough to be left out.
	names := p.names(w)
	all := len(names) > 0 && !slices.Contains(names, false)
	if (deny && all) || (!deny && slices.Contains(names, true)) {
		return ByNothing
	}
	return ByEveryone
}

func (p *principals) named(w *Who, deny bool) Match {
	switch {
	case w.Service != "":
		if slices.Contains(p.services, w.Service) {
			return ByName
		}
	case w.Role != "" && slices.Contains(p.arns, w.ARN):
		return BySession
	case slices.Contains(p.arns, w.ARN) && w.ARN != "", w.Role != "" && slices.Contains(p.arns, w.Role):
		return ByName
	}
	switch {
	case p.everyone:
		return ByEveryone
	case w.Account != "" && w.Service == "" && slices.Contains(p.accounts, w.Account):
		if isRoot(w) && !deny { // the root user is the account
			return ByName
		}
		return ByAccount
	}
	return ByNothing
}

func isRoot(w *Who) bool { return w.ARN == "arn:aws:iam::"+w.Account+":root" }

// names says for each name of a principal whether it is listed.
func (p *principals) names(w *Who) []bool {
	if p.everyone {
		return []bool{true}
	}
	if w.Service != "" {
		return []bool{slices.Contains(p.services, w.Service)}
	}
	if w.Account == "" {
		return nil
	}
	names := []bool{slices.Contains(p.accounts, w.Account)}
	if w.Role != "" {
		names = append(names, slices.Contains(p.arns, w.Role))
	}
	if !isRoot(w) {
		names = append(names, slices.Contains(p.arns, w.ARN))
	}
	return names
}

var (
	accountID = regexp.MustCompile(`\A[0-9]{12}\z`)
	rootARN   = regexp.MustCompile(`\Aarn:aws:iam::([0-9]{12}):root\z`)
	namedARN  = regexp.MustCompile(`\Aarn:aws:(iam::[0-9]{12}:(user|role|federated-user)/.+|sts::[0-9]{12}:(assumed-role/[^/]+/[^/]+|federated-user/.+))\z`)
	serviceID = regexp.MustCompile(`\A[a-z0-9.-]+\.(amazonaws\.com|aws\.internal)\z`)
)

// add takes in one principal of a kind ("AWS", "Service", "Federated", "CanonicalUser") and reports whether it has a valid form.
func (p *principals) add(kind, value string) bool {
	switch kind {
	case "AWS":
		switch {
		case value == "*":
			p.everyone = true
		case accountID.MatchString(value):
			p.accounts = append(p.accounts, value)
		case rootARN.MatchString(value):
			p.accounts = append(p.accounts, rootARN.FindStringSubmatch(value)[1])
		case namedARN.MatchString(value) && !strings.ContainsAny(value, "*?"):
			p.arns = append(p.arns, value)
		default:
			return false
		}
	case "Service":
		if !serviceID.MatchString(value) {
			return false
		}
		p.services = append(p.services, value)
	case "Federated", "CanonicalUser": // no caller of this server is one: they match nobody
		return value != ""
	default:
		return false
	}
	return true
}

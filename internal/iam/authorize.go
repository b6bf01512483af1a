package iam

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam/policy"
)

// Authorizer decides whether a principal may do something. It is all that other parts need to know of this package.
type Authorizer interface {
	// Authorize returns nil, or fault.AccessDenied with AWS's message. Any other error is the server's own fault, and nothing is allowed.
	Authorize(ctx context.Context, r Request) error
}

var _ Authorizer = (*Service)(nil)

// Request is what is to be decided.
type Request struct {
	Principal      Principal
	Action         string              // "s3:GetObject"
	Resource       string              // ARN, or "*" for actions that have none
	Context        map[string][]string // condition keys beside those of WithKeys; those that speak of the principal and the time are filled in
	ResourcePolicy []byte              // of the bucket or the like; nil if it has none
}

// Authorize implements Authorizer.
func (s *Service) Authorize(ctx context.Context, r Request) error {
	e := evaluation{s: s, r: r}
	if len(r.ResourcePolicy) > 0 {
		var err error
		if e.resourcePolicy, err = s.compiled.get(string(r.ResourcePolicy), policy.Resource); err != nil {
			e.unreadable = fault.Wrap(err, "the resource policy of %s", r.Resource)
		}
	}
	return e.run(ctx)
}

// CheckResourcePolicy returns MalformedPolicy with the reason if a text is not the policy of a resource: one that Authorize could not read must not be stored.
func (s *Service) CheckResourcePolicy(text []byte) error {
	_, err := s.compiled.get(string(text), policy.Resource)
	return err
}

// PassRole decides whether a principal may hand a role to a service.
func (s *Service) PassRole(ctx context.Context, p Principal, roleARN, service string) error {
	const action = "iam:PassRole"
	if r, ok := RefOf(roleARN); !ok || r.Kind != Role || r.Account != p.Account {
		return denied(p, action, roleARN, identityBased.none(action)) // a role can be passed within its account only
	}
	return s.Authorize(ctx, Request{Principal: p, Action: action, Resource: roleARN, Context: map[string][]string{"iam:PassedToService": {service}}})
}

// policyKind names in messages which policies decided.
type policyKind string

const (
	identityBased policyKind = "identity-based"
	resourceBased policyKind = "resource-based"
	sessionPolicy policyKind = "session"
	boundary      policyKind = "permissions boundary"
)

func (k policyKind) String() string {
	if k == boundary {
		return string(k)
	}
	return string(k) + " policy"
}

func (k policyKind) none(action string) string {
	return " because no " + k.String() + " allows the " + action + " action"
}

func (k policyKind) explicit() string {
	article := "a "
	if k == identityBased {
		article = "an "
	}
	return " with an explicit deny in " + article + k.String()
}

func denied(p Principal, action, resource, why string) error {
	who := p.ARN
	switch p.Kind {
	case Anonymous:
		who = "anonymous"
	case ServicePrincipal:
		who = p.Service
	}
	return fault.New(fault.AccessDenied, "User: %s is not authorized to perform: %s on resource: %s%s", who, action, resource, why)
}

// evaluation is one decision.
type evaluation struct {
	s              *Service
	r              Request
	resourcePolicy *policy.Document
	trust          bool  // resourcePolicy is a role's trust policy: nothing is allowed without it
	unreadable     error // what the resource policy says is unknown: only who repairs it may pass
	query          policy.Request
}

// run combines the policies: an explicit deny first, then what allows. Source: User Guide, policy evaluation logic.
func (e *evaluation) run(ctx context.Context) error {
	p := &e.r.Principal
	e.query = policy.Request{Action: e.r.Action, Resource: e.r.Resource, Who: p.who(), Context: policy.NewContext(keysOf(ctx))}
	maps.Copy(e.query.Context, policy.NewContext(e.r.Context))
	owner := e.owner()
	p.describe(e.query.Context)
	e.query.Context.SetTime(now())

	mine, err := e.own(ctx)
	if err != nil {
		return err
	}
	resource, by := policy.NoMatch, policy.ByNothing
	if e.resourcePolicy != nil {
		resource, by = e.resourcePolicy.Evaluate(&e.query)
	}
	if p.Kind == Root && p.Account == owner && slices.Contains(neverLockedOut, e.r.Action) {
		resource, e.unreadable = policy.NoMatch, nil
	}
	if e.unreadable != nil {
		return e.unreadable
	}
	switch policy.Deny {
	case mine.identity:
		return e.deny(identityBased.explicit())
	case mine.boundary:
		return e.deny(boundary.explicit())
	case mine.session:
		return e.deny(sessionPolicy.explicit())
	case resource:
		return e.deny(resourceBased.explicit())
	}
	return e.combine(mine, resource == policy.Allow, by, owner)
}

// combine decides when nothing is denied explicitly.
func (e *evaluation) combine(mine decisions, resource bool, by policy.Match, owner string) error {
	p := &e.r.Principal
	identity, bounded, session := mine.identity == policy.Allow, mine.boundary == policy.Allow, mine.session == policy.Allow
	switch {
	case p.Kind == Anonymous || p.Kind == ServicePrincipal:
		if resource {
			return nil
		}
		return e.deny(resourceBased.none(e.r.Action))
	case owner == p.Account && resource && by == policy.BySession:
		return nil // granted to the session itself, past its policies and the role's boundary
	case owner == p.Account && resource && by > policy.ByAccount:
		identity = true
		// What names a user is not limited by its boundary, what names a role is (User Guide, evaluation logic with resource-based policies).
		bounded = bounded || by == policy.ByName && p.Kind == UserPrincipal
	case (owner != p.Account || e.trust) && !resource:
		if !identity {
			return e.deny(identityBased.none(e.r.Action))
		}
		return e.deny(resourceBased.none(e.r.Action))
	}
	switch {
	case !identity:
		return e.deny(identityBased.none(e.r.Action))
	case !bounded:
		return e.deny(boundary.none(e.r.Action))
	case !session:
		return e.deny(sessionPolicy.none(e.r.Action))
	}
	return nil
}

// neverLockedOut is what the root user of a bucket's account can do whatever the bucket's policy says. Source: S3 User Guide, PutBucketPolicy.
var neverLockedOut = []string{"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"}

func (e *evaluation) deny(why string) error {
	if e.trust { // STS does not tell
		why = ""
	}
	return denied(e.r.Principal, e.r.Action, e.r.Resource, why)
}

// decisions are what a principal's own policies say. A principal that has no boundary, or no session policies, is allowed all by them.
type decisions struct{ identity, boundary, session policy.Decision }

// own evaluates the principal's policies, its boundary, and the policies of its session.
func (e *evaluation) own(ctx context.Context) (d decisions, err error) {
	d = decisions{policy.NoMatch, policy.Allow, policy.Allow}
	p := &e.r.Principal
	if p.Temporary && p.Kind != RoleSession && closedToSessionTokens(e.r.Action) {
		d.identity = policy.Deny
		return d, nil
	}
	if len(p.narrowed) > 0 {
		if d.session, err = e.any(p.narrowed); err != nil {
			return d, err
		}
	}
	switch p.Kind {
	case Anonymous, ServicePrincipal:
		return d, nil
	case Root:
		d.identity = policy.Allow
		return d, nil
	}
	g, err := e.s.grantedTo(ctx, p)
	if fault.Is(err, NoSuchEntity) { // deleted since the key was looked up
		d.identity = policy.Deny
		return d, nil
	}
	if err != nil {
		return d, err
	}
	d.identity = g.policies.Evaluate(&e.query)
	if g.boundary != nil {
		d.boundary = g.boundary.Evaluate(&e.query)
	}
	return d, nil
}

// granted are the compiled policies that count for a user or a role.
type granted struct {
	policies *policy.Set
	boundary *policy.Set // nil for none
}

// grantedTo returns the policies of a principal's user or role, from memory if nothing has changed since they were read.
func (s *Service) grantedTo(ctx context.Context, p *Principal) (*granted, error) {
	at := s.store.version()
	if g, ok := s.granted.get(at, p.entity); ok {
		return g, nil
	}
	texts, err := s.store.Documents(ctx, p.entity)
	if err != nil {
		return nil, err
	}
	g := &granted{}
	if g.policies, err = s.set(p, texts.Policies...); err != nil {
		return nil, err
	}
	if texts.Boundary != "" {
		if g.boundary, err = s.set(p, texts.Boundary); err != nil {
			return nil, err
		}
	}
	s.granted.put(at, p.entity, g)
	return g, nil
}

func (s *Service) set(p *Principal, texts ...string) (*policy.Set, error) {
	documents := make([]*policy.Document, len(texts))
	for i, text := range texts {
		var err error
		if documents[i], err = s.compiled.get(text, policy.Identity); err != nil {
			return nil, fault.Wrap(err, "a stored policy of %s", p.ARN)
		}
	}
	return policy.NewSet(documents...), nil
}

// closedToSessionTokens are the actions that credentials of GetSessionToken cannot be used for. Source: User Guide, GetSessionToken.
func closedToSessionTokens(action string) bool {
	return strings.HasPrefix(action, "iam:") && action != "iam:PassRole" || strings.HasPrefix(action, "sts:") && action != "sts:AssumeRole" && action != "sts:GetCallerIdentity"
}

func (e *evaluation) any(documents []string) (policy.Decision, error) {
	decision := policy.NoMatch
	for _, text := range documents {
		d, err := e.s.compiled.get(text, policy.Identity)
		if err != nil {
			return policy.Deny, fault.Wrap(err, "a stored policy of %s", e.r.Principal.ARN)
		}
		switch got, _ := d.Evaluate(&e.query); got {
		case policy.Deny:
			return policy.Deny, nil
		case policy.Allow:
			decision = policy.Allow
		}
	}
	return decision, nil
}

var twelveDigits = regexp.MustCompile(`\A[0-9]{12}\z`)

// owner returns the account of the resource, and lets the context say it too. What has none in its ARN, and of which the caller says nothing, is the principal's.
func (e *evaluation) owner() string {
	const key, s3 = "aws:resourceaccount", "s3:resourceaccount"
	c := e.query.Context
	for _, k := range []string{key, s3} {
		if v := c[k]; len(v) == 1 {
			c[key] = v
			return v[0]
		}
	}
	if fields := strings.SplitN(e.r.Resource, ":", 6); len(fields) == 6 && twelveDigits.MatchString(fields[4]) {
		c[key] = []string{fields[4]}
		return fields[4]
	}
	if e.r.Principal.Account != "" {
		c[key] = []string{e.r.Principal.Account}
	}
	return e.r.Principal.Account
}

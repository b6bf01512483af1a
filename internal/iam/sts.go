package iam

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam/policy"
)

// The bounds of temporary credentials. Source: the models, and the STS API reference.
const (
	minSession        = 15 * time.Minute
	defaultSession    = time.Hour
	maxChained        = time.Hour // of a session that a session of another role starts
	maxSessionToken   = 36 * time.Hour
	maxRootToken      = time.Hour
	defaultToken      = 12 * time.Hour
	maxSessionPolicy  = 2048 // characters
	maxSessionARNs    = 10
	keepExpired       = 24 * time.Hour // so that clients are told that their token has expired
	sessionTokenBytes = 96
)

// Credentials are temporary.
type Credentials struct {
	AccessKeyID string
	Secret      string
	Token       string
	Expires     time.Time
	ARN         string // of the role's session
	UserID      string // AROA...:session
	PackedSize  int    // percent of what session policies and tags may take

	SourceIdentity string
}

// AssumeRole is what AssumeRole takes.
type AssumeRole struct {
	RoleARN        string
	SessionName    string
	Duration       time.Duration // 0 means an hour
	ExternalID     string
	Policy         string   // session policy; "" for none
	PolicyARNs     []string // managed session policies
	Tags           map[string]string
	TransitiveTags []string
	SourceIdentity string
	Context        map[string][]string // condition keys of the request, such as aws:SourceIp
}

var sessionName = regexp.MustCompile(`\A[\w+=,.@-]{2,64}\z`)

// AssumeRole gives a caller temporary credentials of a role that trusts it. A role that is not there is answered like one that does not trust.
func (s *Service) AssumeRole(ctx context.Context, caller Principal, in AssumeRole) (Credentials, error) {
	role, err := s.role(ctx, in.RoleARN)
	if fault.Is(err, NoSuchEntity) {
		return Credentials{}, denied(caller, "sts:AssumeRole", in.RoleARN, "")
	}
	if err != nil {
		return Credentials{}, err
	}
	session, err := s.newSession(ctx, caller, role, in)
	if err != nil {
		return Credentials{}, err
	}
	if err := s.trusted(ctx, caller, role, trustContext(in, session), session); err != nil {
		return Credentials{}, err
	}
	return s.issue(ctx, session, &role)
}

// role returns the role with an ARN.
func (s *Service) role(ctx context.Context, arn string) (Entity, error) {
	r, ok := RefOf(arn)
	if !ok || r.Kind != Role {
		return Entity{}, NotFound("role", arn)
	}
	e, err := s.store.Entity(ctx, r)
	if err == nil && e.ARN() != arn { // the path is part of the name here
		err = NotFound("role", arn)
	}
	return e, err
}

// newSession checks what the caller asks for.
func (s *Service) newSession(ctx context.Context, caller Principal, role Entity, in AssumeRole) (Session, error) {
	n := Session{Account: role.Account, OwnerID: role.ID, Name: in.SessionName, Tags: map[string]string{}, SourceIdentity: in.SourceIdentity}
	if !sessionName.MatchString(in.SessionName) {
		return n, invalid("roleSessionName", `Member must satisfy regular expression pattern: [\w+=,.@-]{2,64}`)
	}
	duration, err := roleDuration(in.Duration, role, caller.Kind == RoleSession)
	if err != nil {
		return n, err
	}
	if n.Policies, err = s.sessionPolicies(ctx, role.Account, in); err != nil {
		return n, err
	}
	if err := s.checkTags(in.Tags); err != nil {
		return n, err
	}
	for _, k := range caller.transitive {
		n.Tags[k] = caller.Tags[k]
		for mine := range in.Tags {
			if strings.EqualFold(mine, k) {
				return n, fault.New(InvalidInput, "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
			}
		}
	}
	n.Transitive = slices.Clone(caller.transitive)
	for _, k := range in.TransitiveTags {
		if _, ok := in.Tags[k]; !ok {
			return n, fault.New(InvalidInput, "The specified transitive tag key must be included in the requested tags.")
		}
		n.Transitive = append(n.Transitive, k)
	}
	maps.Copy(n.Tags, in.Tags)
	if caller.SourceIdentity != "" {
		if in.SourceIdentity != "" && in.SourceIdentity != caller.SourceIdentity {
			return n, denied(caller, "sts:SetSourceIdentity", in.RoleARN, "")
		}
		n.SourceIdentity = caller.SourceIdentity
	}
	n.CreatedAt = now()
	n.ExpiresAt = n.CreatedAt.Add(duration).Truncate(time.Second)
	return n, nil
}

func roleDuration(d time.Duration, role Entity, chained bool) (time.Duration, error) {
	switch {
	case d == 0:
		return defaultSession, nil
	case d < minSession || d > maxMaxSession:
		return 0, invalid("durationSeconds", "Member must have value between 900 and 43200")
	case chained && d > maxChained:
		return 0, fault.New(ValidationError, "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	case d > role.MaxSession:
		return 0, fault.New(ValidationError, "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	return d, nil
}

// sessionPolicies returns the documents that narrow a session. Managed ones count as they are when the session starts.
func (s *Service) sessionPolicies(ctx context.Context, account string, in AssumeRole) ([]string, error) {
	var documents []string
	size := len(in.Policy)
	if in.Policy != "" {
		if _, err := s.compiled.get(in.Policy, policy.Identity); err != nil {
			return nil, err
		}
		documents = append(documents, in.Policy)
	}
	if len(in.PolicyARNs) > maxSessionARNs {
		return nil, fault.New(ValidationError, "A session can have %d managed session policies at most.", maxSessionARNs)
	}
	for _, arn := range in.PolicyARNs {
		size += len(arn)
		p, err := s.Policy(ctx, account, arn)
		if err != nil {
			return nil, err
		}
		v, err := s.store.Version(ctx, arn, p.Default)
		if err != nil {
			return nil, err
		}
		documents = append(documents, v.Document)
	}
	if size > maxSessionPolicy {
		return nil, fault.New(PackedTooLarge, "Packed size of session policies and tags consumes %d%% of allotted space.", packed(size))
	}
	return documents, nil
}

func packed(size int) int {
	const all = 100
	return (size*all + maxSessionPolicy - 1) / maxSessionPolicy
}

// trustContext has the condition keys that STS adds.
func trustContext(in AssumeRole, n Session) map[string][]string {
	c := maps.Clone(in.Context)
	if c == nil {
		c = map[string][]string{}
	}
	c["sts:RoleSessionName"] = []string{in.SessionName}
	if in.ExternalID != "" {
		c["sts:ExternalId"] = []string{in.ExternalID}
	}
	if n.SourceIdentity != "" {
		c["sts:SourceIdentity"] = []string{n.SourceIdentity}
	}
	if len(n.Tags) > 0 {
		c["aws:TagKeys"] = slices.Sorted(maps.Keys(n.Tags))
		for k, v := range n.Tags {
			c["aws:RequestTag/"+k] = []string{v}
		}
	}
	if len(n.Transitive) > 0 {
		c["sts:TransitiveTagKeys"] = n.Transitive
	}
	return c
}

// trusted decides whether a role's trust policy, and the caller's own policies where they count, let the session start.
func (s *Service) trusted(ctx context.Context, caller Principal, role Entity, c map[string][]string, n Session) error {
	trust, err := s.compiled.get(role.Trust, policy.Trust)
	if err != nil {
		return fault.Wrap(err, "the trust policy of %s", role.ARN())
	}
	actions := []string{"sts:AssumeRole"}
	if len(n.Tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	if n.SourceIdentity != "" {
		actions = append(actions, "sts:SetSourceIdentity")
	}
	for _, a := range actions {
		e := evaluation{s: s, resourcePolicy: trust, trust: true, r: Request{Principal: caller, Action: a, Resource: role.ARN(), Context: c}}
		if err := e.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) issue(ctx context.Context, n Session, role *Entity) (Credentials, error) {
	n.AccessKeyID, n.Secret = newID("ASIA"), newSecret()
	c := Credentials{AccessKeyID: n.AccessKeyID, Secret: n.Secret, Token: random(sessionTokenBytes), Expires: n.ExpiresAt, SourceIdentity: n.SourceIdentity}
	n.TokenHash = hashToken(c.Token)
	if role != nil {
		c.ARN, c.UserID = sessionARN(*role, n.Name), role.ID+":"+n.Name
	}
	size := 0
	for _, p := range n.Policies {
		size += len(p)
	}
	for k, v := range n.Tags {
		size += len(k) + len(v)
	}
	c.PackedSize = min(packed(size), 100)
	return c, s.store.CreateTemporary(ctx, n, n.CreatedAt.Add(-keepExpired))
}

// Handover is how a service takes the role that it was given for a resource.
type Handover struct {
	RoleARN       string
	Service       string // "bedrock-agentcore.amazonaws.com"
	SourceAccount string // account of the resource
	SourceARN     string // of the resource
	SessionName   string
	Duration      time.Duration // 0 means an hour
}

// AssumeRoleForService gives a service temporary credentials of a role that trusts it. End them with EndSessions.
func (s *Service) AssumeRoleForService(ctx context.Context, h Handover) (Credentials, error) {
	role, err := s.trustsService(ctx, h)
	if err != nil {
		return Credentials{}, err
	}
	n, err := s.newSession(ctx, h.principal(), role, AssumeRole{RoleARN: h.RoleARN, SessionName: h.SessionName, Duration: h.Duration})
	if err != nil {
		return Credentials{}, err
	}
	n.Service, n.SourceARN = h.Service, h.SourceARN
	return s.issue(ctx, n, &role)
}

// TrustsService returns nil if the role exists and trusts the service for the resource: NoSuchEntity or fault.AccessDenied otherwise.
func (s *Service) TrustsService(ctx context.Context, h Handover) error {
	_, err := s.trustsService(ctx, h)
	return err
}

func (h Handover) principal() Principal { return Principal{Kind: ServicePrincipal, Service: h.Service} }

func (s *Service) trustsService(ctx context.Context, h Handover) (Entity, error) {
	role, err := s.role(ctx, h.RoleARN)
	if err != nil {
		return role, err
	}
	if role.Account != h.SourceAccount { // a service acts for resources of the role's account only
		return role, denied(h.principal(), "sts:AssumeRole", h.RoleARN, "")
	}
	c := map[string][]string{"aws:SourceAccount": {h.SourceAccount}, "aws:SourceArn": {h.SourceARN}}
	if h.SessionName != "" {
		c["sts:RoleSessionName"] = []string{h.SessionName}
	}
	return role, s.trusted(ctx, h.principal(), role, c, Session{})
}

// SessionToken gives a user, or the root user, temporary credentials with its own permissions.
func (s *Service) SessionToken(ctx context.Context, caller Principal, d time.Duration) (Credentials, error) {
	if caller.Temporary || (caller.Kind != UserPrincipal && caller.Kind != Root) {
		return Credentials{}, fault.New(fault.AccessDenied, "Cannot call GetSessionToken with session credentials")
	}
	limit := maxSessionToken
	if caller.Kind == Root {
		limit = maxRootToken
	}
	switch {
	case d == 0:
		d = min(defaultToken, limit)
	case d < minSession || d > maxSessionToken:
		return Credentials{}, invalid("durationSeconds", "Member must have value between 900 and 129600")
	default:
		d = min(d, limit) // the root user gets an hour, whatever it asks for (STS API reference)
	}
	at := now()
	return s.issue(ctx, Session{Account: caller.Account, OwnerID: caller.entity, CreatedAt: at, ExpiresAt: at.Add(d).Truncate(time.Second)}, nil)
}

package iam

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"time"

	"github.com/sunaba-dev/sunaba/internal/iam/policy"
)

// PrincipalKind is what a principal is.
type PrincipalKind int

// The kinds of principals. The zero value is the one that may do the least.
const (
	Anonymous PrincipalKind = iota
	Root
	UserPrincipal
	RoleSession
	ServicePrincipal
)

// Principal is who does something.
type Principal struct {
	Kind    PrincipalKind
	Account string // twelve digits
	ARN     string // of the root user, the user or the role's session
	UserID  string // the account, AIDA..., or AROA...:session

	UserName       string // of users
	RoleARN        string // of sessions of roles, as the next ones
	SessionName    string
	SourceIdentity string
	Service        string // of service principals, such as bedrock-agentcore.amazonaws.com

	Tags        map[string]string // the user's, or the role's under those of the session
	AccessKeyID string
	Temporary   bool      // holds temporary credentials
	IssuedAt    time.Time // of temporary credentials

	entity     string   // id of the user or role whose policies count
	narrowed   []string // session policies
	transitive []string // keys of the session's tags that a next session inherits
}

type principalKey struct{}

// WithPrincipal returns a context that carries the caller of a request.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalOf returns the caller that a context carries: an anonymous one if none.
func PrincipalOf(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}

type keysKey struct{}

// WithKeys returns a context that carries the condition keys that every decision about a request shares, such as aws:SourceIp and aws:SecureTransport.
func WithKeys(ctx context.Context, keys map[string][]string) context.Context {
	return context.WithValue(ctx, keysKey{}, keys)
}

func keysOf(ctx context.Context) map[string][]string {
	keys, _ := ctx.Value(keysKey{}).(map[string][]string)
	return keys
}

// RootOf returns the root user of an account.
func RootOf(account string) Principal {
	return Principal{Kind: Root, Account: account, ARN: "arn:aws:iam::" + account + ":root", UserID: account}
}

func (p *Principal) who() policy.Who {
	switch p.Kind {
	case Anonymous:
		return policy.Who{}
	case ServicePrincipal:
		return policy.Who{Service: p.Service}
	}
	return policy.Who{Account: p.Account, ARN: p.ARN, Role: p.RoleARN}
}

// types are the values of aws:PrincipalType. Source: User Guide, principal keys.
var types = map[PrincipalKind]string{Anonymous: "Anonymous", Root: "Account", UserPrincipal: "User", RoleSession: "AssumedRole", ServicePrincipal: "Service"}

// describe puts what is known of the principal into a context; nothing that a caller claims may stand in its place.
func (p *Principal) describe(c policy.Context) {
	for k := range c {
		if strings.HasPrefix(k, "aws:principal") {
			delete(c, k)
		}
	}
	for _, k := range []string{"aws:userid", "aws:username", "aws:sourceidentity", "aws:tokenissuetime", "aws:multifactorauthpresent"} {
		delete(c, k)
	}
	c.Set("aws:PrincipalType", types[p.Kind])
	switch p.Kind {
	case Anonymous:
		c.Set("aws:userid", "anonymous")
		return
	case ServicePrincipal:
		c.Set("aws:PrincipalIsAWSService", "true")
		c.Set("aws:PrincipalServiceName", p.Service)
		return
	case RoleSession:
		c.Set("aws:PrincipalArn", p.RoleARN)
	default:
		c.Set("aws:PrincipalArn", p.ARN)
	}
	c.Set("aws:PrincipalIsAWSService", "false")
	c.Set("aws:PrincipalAccount", p.Account)
	c.Set("aws:userid", p.UserID)
	if p.UserName != "" {
		c.Set("aws:username", p.UserName)
	}
	if p.SourceIdentity != "" {
		c.Set("aws:SourceIdentity", p.SourceIdentity)
	}
	for k, v := range p.Tags {
		c.Set("aws:PrincipalTag/"+k, v)
	}
	if p.Temporary {
		c.Set("aws:TokenIssueTime", p.IssuedAt.UTC().Format(time.RFC3339))
		c.Set("aws:MultiFactorAuthPresent", "false")
	}
}

// newID returns a unique id of AWS's form: four letters that say of what, and 16 (keys) or 17 letters and digits.
func newID(prefix string) string {
	n := 17
	if prefix == "AKIA" || prefix == "ASIA" {
		n = 16
	}
	return prefix + rand.Text()[:n]
}

// newSecret returns 40 characters of base64, as AWS's secrets have: 240 random bits.
func newSecret() string { return random(30) }

func random(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return base64.StdEncoding.EncodeToString(b)
}

// now is the time as the store keeps it.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

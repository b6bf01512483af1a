// Package policy parses and evaluates the policy documents of IAM: identity policies, session policies, resource policies and the trust policies of roles.
//
// A document is compiled once by [Parse] and evaluated any number of times, concurrently. The package knows the language and nothing else: who a principal is,
// which documents count and how their decisions combine is the caller's matter. Source: the IAM User Guide's policy reference, named where a rule is not obvious.
package policy

import (
	"strings"
	"time"
)

// Type says which rules a document must follow.
type Type int

// The types of documents.
const (
	Identity Type = iota // of users, roles and sessions: no principals
	Resource             // of buckets and the like: with principals
	Trust                // of roles: with principals, without resources, STS actions only
)

// Decision is what one document says about one request.
type Decision int

// The decisions. A document that says nothing leaves it to the others.
const (
	NoMatch Decision = iota
	Allow
	Deny
)

// Match says how exactly the principal of an Allow was named: what a document with principals grants by itself depends on it.
type Match int

// The matches, from the weakest to the strongest.
const (
	ByNothing  Match = iota
	ByAccount        // the account: it may hand the permission on through its own policies, and no more than that
	ByEveryone       // "*"
	ByName           // the user, the role or the service
	BySession        // the session of a role: session policies do not narrow what is granted to it
)

// Who is the principal of a request, as documents name principals. The zero value is an anonymous caller.
type Who struct {
	Account string // twelve digits
	ARN     string // of the root user, the user, or the role's session
	Role    string // ARN of the session's role
	Service string // of a service principal
}

// Request is what documents are evaluated against. Keys of the context are in lower case; see [NewContext].
type Request struct {
	Action   string
	Resource string // ARN; ignored by trust policies
	Who      Who    // ignored by identity policies
	Context  Context

	action string            // Action in lower case
	arn    [arnFields]string // the fields of Resource
	isARN  bool
}

// prepare reads what every statement asks of a request. Whoever evaluates may change the request between two evaluations, not during one.
func (r *Request) prepare() {
	r.action = strings.ToLower(r.Action)
	r.arn, r.isARN = cutARN(r.Resource)
}

// Context has the condition keys of a request, in lower case.
type Context map[string][]string

// NewContext returns a context with the keys of m in lower case: condition keys are not case-sensitive.
func NewContext(m map[string][]string) Context {
	c := make(Context, len(m))
	for k, v := range m {
		c[strings.ToLower(k)] = v
	}
	return c
}

// Set replaces the values of a key.
func (c Context) Set(key string, values ...string) { c[strings.ToLower(key)] = values }

// SetTime fills in the two keys of the current time.
func (c Context) SetTime(now time.Time) {
	c.Set("aws:CurrentTime", now.UTC().Format(time.RFC3339))
	c.Set("aws:EpochTime", epoch(now))
}

// Document is a compiled policy.
type Document struct {
	statements []statement
}

type statement struct {
	deny       bool
	principals *principals // nil in identity policies
	actions    []pattern
	notAction  bool
	resources  []resource
	noResource bool // NotResource
	conditions []condition
}

// Evaluate returns the document's decision, and how the principal was named where a document with principals allows. An explicit deny ends it.
func (d *Document) Evaluate(r *Request) (Decision, Match) {
	r.prepare()
	decision, by := NoMatch, ByNothing
	for i := range d.statements {
		s := &d.statements[i]
		m, ok := s.applies(r)
		switch {
		case !ok:
		case s.deny:
			return Deny, m
		default:
			decision, by = Allow, max(by, m)
		}
	}
	return decision, by
}

func (s *statement) applies(r *Request) (Match, bool) {
	m := ByNothing
	if s.principals != nil {
		if m = s.principals.match(&r.Who, s.deny); m == ByNothing {
			return m, false
		}
	}
	if s.matchesAction(r) == s.notAction || !s.matchesResource(r) {
		return m, false
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(r.Context) {
			return m, false
		}
	}
	return m, true
}

func (s *statement) matchesAction(r *Request) bool {
	for i := range s.actions {
		if s.actions[i].match(r.action, nil) {
			return true
		}
	}
	return false
}

// matchesResource is true for documents without resources: trust policies belong to the role that they are on.
func (s *statement) matchesResource(r *Request) bool {
	if s.resources == nil {
		return true
	}
	for i := range s.resources {
		if s.resources[i].match(r) {
			return !s.noResource
		}
	}
	return s.noResource
}

// Package iam is Identity and Access Management with the Security Token Service: users, roles and their policies, access keys and temporary credentials, and the
// decision whether a principal may do something.
//
// It knows neither HTTP nor SQL: a [Store] keeps the records, and errors are coded faults. Behaviour follows the models of iam (2010-05-08) and sts (2011-06-15), and
// the IAM User Guide for how decisions combine. Keys and compiled policies are held in memory for as long as nothing changes; see watched.
package iam

import (
	"context"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// The exceptions of the two services. Source: the error codes in the botocore models.
const (
	NoSuchEntity        fault.Code = "NoSuchEntity"
	EntityAlreadyExists fault.Code = "EntityAlreadyExists"
	DeleteConflict      fault.Code = "DeleteConflict"
	LimitExceeded       fault.Code = "LimitExceeded"
	MalformedPolicy     fault.Code = "MalformedPolicyDocument"
	InvalidInput        fault.Code = "InvalidInput"
	ValidationError     fault.Code = "ValidationError"
	PackedTooLarge      fault.Code = "PackedPolicyTooLarge"
)

// EntityKind is what an entity is.
type EntityKind string

// The kinds of entities that policies can be on.
const (
	Role  EntityKind = "role"
	User  EntityKind = "user"
	Group EntityKind = "group" // of users: no principal itself

	InstanceProfile EntityKind = "instance-profile" // holds a role for an instance: a record, policies cannot be on it
)

// Ref names an entity.
type Ref struct {
	Account string
	Kind    EntityKind
	Name    string
}

// Entity is a user, a role, a group or an instance profile.
type Entity struct {
	Ref
	Path      string // "/" or "/a/b/"
	ID        string // AIDA..., AROA..., AGPA... or AIPA...: unlike the name, it is never used again
	Tags      map[string]string
	CreatedAt time.Time
	Boundary  string // ARN of the managed policy that is the permissions boundary of a user or a role; "" for none

	// Roles only.
	Trust          string // JSON
	Description    string
	MaxSession     time.Duration
	LastUsed       time.Time // zero: never
	LastUsedRegion string
}

// ARN returns the entity's ARN.
func (e Entity) ARN() string {
	return "arn:aws:iam::" + e.Account + ":" + string(e.Kind) + e.Path + e.Name
}

// Policy is a managed policy of the account.
type Policy struct {
	Account     string
	Name        string
	Path        string
	ID          string // ANPA...
	Description string
	Default     int // number of the version that counts
	Attachments int
	Boundaries  int // users and roles that it bounds
	Tags        map[string]string
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// ARN returns the policy's ARN.
func (p Policy) ARN() string { return "arn:aws:iam::" + p.Account + ":policy" + p.Path + p.Name }

// Version is one version of a managed policy.
type Version struct {
	Number    int
	Document  string // JSON
	Default   bool
	CreatedAt time.Time
}

// AccessKey is a long-lived key of a user.
type AccessKey struct {
	ID        string
	Secret    string
	UserName  string
	Active    bool
	CreatedAt time.Time
	LastUsed  Use
}

// Use is when and for what a key was used last; At is zero if it never was.
type Use struct {
	At      time.Time
	Service string
	Region  string
}

// Page asks for part of a list: Limit items after the one that Marker stands for.
type Page struct {
	Limit  int
	Marker string
}

// Filter selects managed policies.
type Filter struct {
	PathPrefix   string
	OnlyAttached bool
	As           Usage
}

// Usage is what a managed policy is used as.
type Usage int

// The usages. A policy can be used as both.
const (
	AsAnything Usage = iota
	AsPermissions
	AsBoundary
)

// EntityFilter selects the entities that a managed policy is used on.
type EntityFilter struct {
	Kind       EntityKind // "" for all
	PathPrefix string
	As         Usage
}

// Documents are the texts of the policies that count for a user or a role.
type Documents struct {
	Policies []string
	Boundary string // "" for none
}

// Store keeps the records. Implementations answer with the faults of this package: NoSuchEntity for what is not there, EntityAlreadyExists for names that differ in case at most,
// LimitExceeded above the limits given, DeleteConflict for what is in use. Every method is one transaction.
type Store interface {
	CreateEntity(ctx context.Context, e Entity, limit int) error
	Entity(ctx context.Context, r Ref) (Entity, error)
	Entities(ctx context.Context, account string, k EntityKind, pathPrefix string, p Page) (items []Entity, next string, err error)
	// ChangeEntity replaces an entity's tags, trust, description and longest session by what change makes of them.
	ChangeEntity(ctx context.Context, r Ref, change func(*Entity) error) (Entity, error)
	// DeleteEntity also deletes the temporary credentials of the entity.
	DeleteEntity(ctx context.Context, r Ref) error

	// PutInline bounds the characters of all the entity's inline policies, without their white space, by limit.
	PutInline(ctx context.Context, r Ref, name, document string, limit int) error
	Inline(ctx context.Context, r Ref, name string) (document string, err error)
	Inlines(ctx context.Context, r Ref, p Page) (names []string, next string, err error)
	DeleteInline(ctx context.Context, r Ref, name string) error

	CreatePolicy(ctx context.Context, p Policy, document string, limit int) error
	Policy(ctx context.Context, arn string) (Policy, error)
	Policies(ctx context.Context, account string, f Filter, p Page) (items []Policy, next string, err error)
	ChangePolicyTags(ctx context.Context, arn string, change func(tags map[string]string) error) error
	// DeletePolicy fails with DeleteConflict while the policy is attached or a boundary, or has versions beside the default one.
	DeletePolicy(ctx context.Context, arn string) error
	CreateVersion(ctx context.Context, arn, document string, makeDefault bool, limit int, at time.Time) (Version, error)
	Version(ctx context.Context, arn string, number int) (Version, error)
	Versions(ctx context.Context, arn string, p Page) (items []Version, next string, err error)
	SetDefaultVersion(ctx context.Context, arn string, number int, at time.Time) error
	DeleteVersion(ctx context.Context, arn string, number int) error

	// Attach does nothing when the policy is attached already.
	Attach(ctx context.Context, r Ref, policyARN string, limit int) error
	Detach(ctx context.Context, r Ref, policyARN string) error
	Attached(ctx context.Context, r Ref, pathPrefix string, p Page) (items []Policy, next string, err error)
	AttachedTo(ctx context.Context, policyARN string, f EntityFilter, p Page) (items []Entity, next string, err error)
	// SetBoundary replaces the permissions boundary of a user or a role; "" takes it away.
	SetBoundary(ctx context.Context, r Ref, policyARN string) error

	// AddMember puts a user into a group, and does nothing when it is in there already; limit bounds the groups of the user. Or it puts a role into an instance profile; limit bounds the roles in it.
	AddMember(ctx context.Context, holder Ref, member string, limit int) error
	RemoveMember(ctx context.Context, holder Ref, member string) error
	Members(ctx context.Context, holder Ref, p Page) (members []Entity, next string, err error)
	Holders(ctx context.Context, member Ref, p Page) (holders []Entity, next string, err error)

	CreateAccessKey(ctx context.Context, r Ref, k AccessKey, limit int) error
	AccessKeys(ctx context.Context, r Ref, p Page) (items []AccessKey, next string, err error)
	SetAccessKey(ctx context.Context, r Ref, id string, active bool) error
	DeleteAccessKey(ctx context.Context, r Ref, id string) error
	AccessKeyUse(ctx context.Context, account, id string) (userName string, u Use, err error)

	// Credential finds any access key; found is false when there is none.
	Credential(ctx context.Context, accessKeyID string) (c Credential, found bool, err error)
	// CreateTemporary fails with NoSuchEntity when the owner is gone by now. It also forgets the sessions that ended before a time.
	CreateTemporary(ctx context.Context, s Session, forget time.Time) error
	// EndTemporary deletes temporary credentials and returns how many there were.
	EndTemporary(ctx context.Context, which Sessions) (int, error)
	// Used notes uses of keys, and of the roles whose sessions they are. Keys and roles that are gone, and uses that are older than the one on record, are passed over.
	Used(ctx context.Context, uses []KeyUse) error

	// Documents returns what counts for an entity at one moment: the policies on it and on the groups that it is in, inline ones and the default versions of those attached, and its boundary.
	// NoSuchEntity when the entity is gone.
	Documents(ctx context.Context, entityID string) (Documents, error)
}

// Limits are what an account may have.
type Limits struct {
	Roles, Users, Policies      int
	Groups, GroupsPerUser       int
	Profiles, RolesPerProfile   int
	Attached                    int // managed policies on one entity
	Versions                    int // of one managed policy
	Keys                        int // of one user
	RoleInline, UserInline      int // characters of all inline policies of one entity, without white space
	GroupInline                 int // the same
	ManagedDocument, TrustBytes int // characters of one document, without white space
	Tags                        int
}

// DefaultLimits are AWS's. Source: IAM and STS quotas.
var DefaultLimits = Limits{Roles: 1000, Users: 5000, Policies: 1500, Attached: 10, Versions: 5, Keys: 2, RoleInline: 10240, UserInline: 2048,
	Groups: 300, GroupsPerUser: 10, GroupInline: 5120, Profiles: 1000, RolesPerProfile: 1,
	ManagedDocument: 6144, TrustBytes: 2048, Tags: 50}

// Options configure a Service.
type Options struct {
	Store  Store        // the Service must be the only one that changes it
	Limits Limits       // the zero value means AWS's
	Log    *slog.Logger // of what fails in the background; nil for none
}

// Service is IAM and STS.
type Service struct {
	o        Options
	store    *watched
	compiled *cache
	holders  *known[*holder]  // by access key
	granted  *known[*granted] // by id of the user or role
	uses     *uses
}

// What is held in memory of what is in use: a key is about a kilobyte, an entity's policies a few times their text.
const (
	maxHolders = 4096
	maxGranted = 1024
)

// New returns a service.
func New(o Options) *Service {
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{o: o, store: &watched{Store: o.Store}, compiled: newCache(), holders: newKnown[*holder](maxHolders), granted: newKnown[*granted](maxGranted),
		uses: newUses(o.Store.Used, o.Log)}
}

// NotFound is the answer about something that is not there.
func NotFound(what, name string) error {
	if what == string(InstanceProfile) {
		return fault.New(NoSuchEntity, "Instance Profile %s cannot be found.", name)
	}
	return fault.New(NoSuchEntity, "The %s with name %s cannot be found.", what, name)
}

// PolicyNotFound is the answer about a managed policy that is not there.
func PolicyNotFound(arn string) error {
	return fault.New(NoSuchEntity, "Policy %s does not exist or is not attachable.", arn)
}

func invalid(field, rule string) error {
	return fault.New(ValidationError, "1 validation error detected: Value at '%s' failed to satisfy constraint: %s", field, rule)
}

var (
	entityName = regexp.MustCompile(`\A[\w+=,.@-]{1,64}\z`)
	policyName = regexp.MustCompile(`\A[\w+=,.@-]{1,128}\z`)
	entityPath = regexp.MustCompile(`\A(/|/[\x21-\x7e]+/)\z`)
	policyPath = regexp.MustCompile(`\A((/[A-Za-z0-9.,+@=_-]+)*)/\z`)
	tagText    = regexp.MustCompile(`\A[\p{L}\p{Z}\p{N}_.:/=+\-@]*\z`)
)

const maxPath = 512

func checkName(field, name string, form *regexp.Regexp) error {
	if !form.MatchString(name) {
		return fault.New(ValidationError, "The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_- and have at most %s characters",
			field, map[*regexp.Regexp]string{entityName: "64", policyName: "128"}[form])
	}
	return nil
}

func checkPath(path string, form *regexp.Regexp) (string, error) {
	if path == "" {
		return "/", nil
	}
	if len(path) > maxPath || !form.MatchString(path) {
		return "", fault.New(ValidationError, "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.")
	}
	return path, nil
}

// checkTags applies the rules of tags. Keys that differ in case only are the same key.
func (s *Service) checkTags(tags map[string]string) error {
	if len(tags) > s.o.Limits.Tags {
		return fault.New(LimitExceeded, "Cannot exceed quota for TagsPerResource: %d", s.o.Limits.Tags)
	}
	folded := map[string]bool{}
	for k, v := range tags {
		const maxKey, maxValue = 128, 256
		switch n := len([]rune(k)); {
		case n < 1 || n > maxKey || !tagText.MatchString(k):
			return invalid("tags.member.key", `Member must have 1 to 128 characters and satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]+`)
		case len([]rune(v)) > maxValue || !tagText.MatchString(v):
			return invalid("tags.member.value", `Member must have at most 256 characters and satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]*`)
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			return fault.New(InvalidInput, "Tag keys beginning with aws: are reserved for system use.")
		case folded[strings.ToLower(k)]:
			return fault.New(InvalidInput, "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		folded[strings.ToLower(k)] = true
	}
	return nil
}

// addTags puts tags in place of those with the same key, whatever its case.
func addTags(have, tags map[string]string) {
	for k, v := range tags {
		dropTag(have, k)
		have[k] = v
	}
}

func dropTag(have map[string]string, key string) {
	for k := range have {
		if strings.EqualFold(k, key) {
			delete(have, k)
		}
	}
}

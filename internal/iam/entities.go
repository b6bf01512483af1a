package iam

import (
	"context"
	"strings"
	"time"
	"unicode"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam/policy"
)

// The bounds of a role's longest session.
const (
	minMaxSession     = time.Hour
	maxMaxSession     = 12 * time.Hour
	maxDescription    = 1000
	defaultMaxSession = time.Hour
)

// NewEntity is what CreateRole, CreateUser, CreateGroup and CreateInstanceProfile take. Trust, Description and MaxSession are for roles.
type NewEntity struct {
	Ref
	Path        string
	Trust       string
	Description string
	MaxSession  time.Duration // 0 means an hour
	Tags        map[string]string
	Boundary    string // ARN of a managed policy, for users and roles; "" for none
}

// Create makes a user, a role, a group or an instance profile.
func (s *Service) Create(ctx context.Context, n NewEntity) (Entity, error) {
	e := Entity{Ref: n.Ref, Tags: n.Tags, Trust: n.Trust, Description: n.Description, MaxSession: n.MaxSession, Boundary: n.Boundary, CreatedAt: now()}
	var err error
	form := entityName
	if n.Kind == Group || n.Kind == InstanceProfile {
		form = policyName // these may have names as long as those of policies
	}
	if err := checkName(string(n.Kind)+"Name", n.Name, form); err != nil {
		return e, err
	}
	if e.Path, err = checkPath(n.Path, entityPath); err != nil {
		return e, err
	}
	if err := s.checkTags(n.Tags); err != nil {
		return e, err
	}
	if n.Boundary != "" {
		if err := owns(n.Account, n.Boundary); err != nil {
			return e, err
		}
	}
	var limit int
	switch n.Kind {
	case User:
		limit, e.ID = s.o.Limits.Users, newID("AIDA")
	case Group:
		limit, e.ID = s.o.Limits.Groups, newID("AGPA")
	case InstanceProfile:
		limit, e.ID = s.o.Limits.Profiles, newID("AIPA")
	default:
		limit, e.ID = s.o.Limits.Roles, newID("AROA")
		if e.MaxSession == 0 {
			e.MaxSession = defaultMaxSession
		}
		if err := s.checkRole(e); err != nil {
			return e, err
		}
	}
	return e, s.store.CreateEntity(ctx, e, limit)
}

func (s *Service) checkRole(e Entity) error {
	if e.MaxSession < minMaxSession || e.MaxSession > maxMaxSession {
		return invalid("maxSessionDuration", "Member must have value between 3600 and 43200")
	}
	if len([]rune(e.Description)) > maxDescription {
		return invalid("description", "Member must have length less than or equal to 1000")
	}
	return s.checkDocument(e.Trust, policy.Trust, s.o.Limits.TrustBytes, "ACLSizePerRole")
}

// checkDocument parses a document and bounds its characters; white space does not count.
func (s *Service) checkDocument(document string, t policy.Type, limit int, quota string) error {
	if _, err := s.compiled.get(document, t); err != nil {
		return err
	}
	if Characters(document) > limit {
		return fault.New(LimitExceeded, "Cannot exceed quota for %s: %d", quota, limit)
	}
	return nil
}

// Characters counts a document's characters as the quotas do: without white space.
func Characters(document string) int {
	n := 0
	for _, r := range document {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	return n
}

// Entity returns a user, a role, a group or an instance profile.
func (s *Service) Entity(ctx context.Context, r Ref) (Entity, error) {
	e, err := s.store.Entity(ctx, r)
	s.uses.ofRole(&e)
	return e, err
}

// Entities lists users, roles, groups or instance profiles by name.
func (s *Service) Entities(ctx context.Context, account string, k EntityKind, pathPrefix string, p Page) ([]Entity, string, error) {
	return s.store.Entities(ctx, account, k, pathPrefix, p)
}

// Delete removes a user, a role, a group or an instance profile. Credentials of a role's sessions are void from then on.
func (s *Service) Delete(ctx context.Context, r Ref) error { return s.store.DeleteEntity(ctx, r) }

// SetTrust replaces the trust policy of a role.
func (s *Service) SetTrust(ctx context.Context, r Ref, document string) error {
	_, err := s.change(ctx, r, func(e *Entity) { e.Trust = document })
	return err
}

// Describe changes a role's description and longest session; nil leaves one as it is.
func (s *Service) Describe(ctx context.Context, r Ref, description *string, maxSession *time.Duration) (Entity, error) {
	return s.change(ctx, r, func(e *Entity) {
		if description != nil {
			e.Description = *description
		}
		if maxSession != nil {
			e.MaxSession = *maxSession
		}
	})
}

func (s *Service) change(ctx context.Context, r Ref, change func(*Entity)) (Entity, error) {
	return s.store.ChangeEntity(ctx, r, func(e *Entity) error {
		change(e)
		return s.checkRole(*e)
	})
}

// Tag adds tags to a user, a role or an instance profile, or replaces the values of those it has.
func (s *Service) Tag(ctx context.Context, r Ref, tags map[string]string) error {
	_, err := s.store.ChangeEntity(ctx, r, func(e *Entity) error {
		if err := s.checkTags(tags); err != nil {
			return err
		}
		addTags(e.Tags, tags)
		return s.checkTags(e.Tags)
	})
	return err
}

// Untag removes tags from a user, a role or an instance profile; keys that it does not have are ignored.
func (s *Service) Untag(ctx context.Context, r Ref, keys []string) error {
	_, err := s.store.ChangeEntity(ctx, r, func(e *Entity) error {
		for _, k := range keys {
			dropTag(e.Tags, k)
		}
		return nil
	})
	return err
}

// PutInline adds an inline policy to a user, a role or a group, or replaces it.
func (s *Service) PutInline(ctx context.Context, r Ref, name, document string) error {
	if err := checkName("policyName", name, policyName); err != nil {
		return err
	}
	limit := map[EntityKind]int{User: s.o.Limits.UserInline, Role: s.o.Limits.RoleInline, Group: s.o.Limits.GroupInline}[r.Kind]
	if _, err := s.compiled.get(document, policy.Identity); err != nil {
		return err
	}
	return s.store.PutInline(ctx, r, name, document, limit)
}

// Inline returns the text of an inline policy.
func (s *Service) Inline(ctx context.Context, r Ref, name string) (string, error) {
	return s.store.Inline(ctx, r, name)
}

// Inlines lists the names of the inline policies of a user, a role or a group.
func (s *Service) Inlines(ctx context.Context, r Ref, p Page) ([]string, string, error) {
	return s.store.Inlines(ctx, r, p)
}

// DeleteInline removes an inline policy.
func (s *Service) DeleteInline(ctx context.Context, r Ref, name string) error {
	return s.store.DeleteInline(ctx, r, name)
}

// CreateAccessKey makes a key for a user. Its secret is never shown again.
func (s *Service) CreateAccessKey(ctx context.Context, r Ref) (AccessKey, error) {
	k := AccessKey{ID: newID("AKIA"), Secret: newSecret(), UserName: r.Name, Active: true, CreatedAt: now()}
	return k, s.store.CreateAccessKey(ctx, r, k, s.o.Limits.Keys)
}

// AccessKeys lists a user's keys, without their secrets.
func (s *Service) AccessKeys(ctx context.Context, r Ref, p Page) ([]AccessKey, string, error) {
	return s.store.AccessKeys(ctx, r, p)
}

// SetAccessKey makes a user's key usable or not.
func (s *Service) SetAccessKey(ctx context.Context, r Ref, id string, active bool) error {
	return s.store.SetAccessKey(ctx, r, id, active)
}

// DeleteAccessKey removes a user's key.
func (s *Service) DeleteAccessKey(ctx context.Context, r Ref, id string) error {
	return s.store.DeleteAccessKey(ctx, r, id)
}

// AccessKeyUse returns whose a key is, and its last use.
func (s *Service) AccessKeyUse(ctx context.Context, account, id string) (userName string, u Use, err error) {
	userName, u, err = s.store.AccessKeyUse(ctx, account, id)
	if err != nil {
		return userName, u, err
	}
	return userName, s.uses.ofKey(id, u), nil
}

// RefOf returns the user or role that an ARN names; ok is false for an ARN of anything else. The path is to be compared with the entity's own.
func RefOf(arn string) (r Ref, ok bool) {
	account, rest, ok := strings.Cut(strings.TrimPrefix(arn, "arn:aws:iam::"), ":")
	if !ok || !strings.HasPrefix(arn, "arn:aws:iam::") {
		return r, false
	}
	kind, _, ok := strings.Cut(rest, "/")
	name := rest[strings.LastIndexByte(rest, '/')+1:]
	return Ref{Account: account, Kind: EntityKind(kind), Name: name}, ok && name != "" && (kind == string(Role) || kind == string(User))
}

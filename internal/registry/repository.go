package registry

import (
	"context"
	"path"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Mutability says whether tags may move.
type Mutability string

// The mutabilities. Those with exclusions turn around for the tags that a filter matches.
const (
	Mutable          Mutability = "MUTABLE"
	Immutable        Mutability = "IMMUTABLE"
	MutableExcept    Mutability = "MUTABLE_WITH_EXCLUSION"
	ImmutableExcept  Mutability = "IMMUTABLE_WITH_EXCLUSION"
	maxTags                     = 50
	maxKeyCharacters            = 128
	maxValCharacters            = 256
)

// Repository is one repository.
type Repository struct {
	ID
	CreatedAt  time.Time
	Mutability Mutability
	Exclusions []string // patterns with * of the tags that are excluded
	ScanOnPush bool     // kept; nothing is scanned
	Encryption Encryption
	Tags       map[string]string
	Policy     string // as it was set; "" is none
	Lifecycle  string // as it was set; "" is none
}

// Encryption is kept as it was asked for.
type Encryption struct{ Type, Key string }

// NotFound is the answer to a repository that does not exist.
func NotFound(id ID) error {
	return fault.New(RepositoryNotFound, "The repository with name '%s' does not exist in the registry with id '%s'", id.Name, id.Account)
}

// invalid is ECR's answer to a parameter that breaks a rule.
func invalid(parameter, format string, args ...any) error {
	return fault.New(InvalidParameter, "Invalid parameter at '"+parameter+"' failed to satisfy constraint: '"+format+"'", args...)
}

// CheckName returns InvalidParameter for what cannot be a repository's name.
func CheckName(name string) error {
	switch {
	case len(name) < 2:
		return invalid("repositoryName", "Member must have length greater than or equal to 2")
	case len(name) > 256:
		return invalid("repositoryName", "Member must have length less than or equal to 256")
	case !names.MatchString(name):
		return fault.New(InvalidParameter, "%s", "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '"+namePattern+"''")
	}
	return nil
}

// checkTags holds the tags of a repository to the rules of the API reference.
func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return fault.New(TooManyTags, "The maximum number of tags for a repository is %d.", maxTags)
	}
	for k, v := range tags {
		switch {
		case k == "" || len([]rune(k)) > maxKeyCharacters:
			return fault.New(InvalidTagParameter, "A tag's key must have 1 to %d characters.", maxKeyCharacters)
		case len([]rune(v)) > maxValCharacters:
			return fault.New(InvalidTagParameter, "A tag's value must have at most %d characters.", maxValCharacters)
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			return fault.New(InvalidTagParameter, "Tag keys that begin with aws: are reserved.")
		}
	}
	return nil
}

func (r *Repository) checkMutability() error {
	if r.Mutability == "" {
		r.Mutability = Mutable
	}
	except := r.Mutability == MutableExcept || r.Mutability == ImmutableExcept
	switch {
	case except && len(r.Exclusions) == 0:
		return invalid("imageTagMutabilityExclusionFilters", "must be specified when imageTagMutability is %s", r.Mutability)
	case !except && len(r.Exclusions) > 0:
		return invalid("imageTagMutabilityExclusionFilters", "must not be specified when imageTagMutability is %s", r.Mutability)
	}
	for _, f := range r.Exclusions { // the model's pattern; * is the only wildcard
		if f == "" || len(f) > 128 || strings.Trim(f, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._*-") != "" || strings.Count(f, "*") > 2 {
			return invalid("imageTagMutabilityExclusionFilters", "must satisfy regular expression '^[0-9a-zA-Z._*-]{1,128}$' with at most 2 wildcards")
		}
	}
	return nil
}

// Pinned reports whether a tag, once given, stays with its image.
func (r *Repository) Pinned(tag string) bool {
	excluded := false
	for _, f := range r.Exclusions {
		if ok, err := path.Match(f, tag); ok && err == nil {
			excluded = true
		}
	}
	switch r.Mutability {
	case Immutable:
		return true
	case ImmutableExcept:
		return !excluded
	case MutableExcept:
		return excluded
	}
	return false
}

// ResourcePolicy returns the repository's policy as IAM evaluates it: a repository's policies name no resource, since it can only be the repository. nil if there is none.
func (r *Repository) ResourcePolicy() ([]byte, error) {
	if r.Policy == "" {
		return nil, nil
	}
	return withResource(r.Policy)
}

// withResource puts "Resource": "*" into each statement; one that names a resource itself is refused, as ECR does.
func withResource(text string) ([]byte, error) {
	refuse := func(cause error) error {
		return fault.New(InvalidParameter, "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided'").With(cause)
	}
	var document map[string]jsontext.Value
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		return nil, refuse(err)
	}
	raw := document["Statement"]
	if raw.Kind() == '{' {
		raw = append(append(jsontext.Value{'['}, raw...), ']')
	}
	var statements []map[string]jsontext.Value
	if err := json.Unmarshal(raw, &statements); err != nil {
		return nil, refuse(err)
	}
	for _, s := range statements {
		if s["Resource"] != nil || s["NotResource"] != nil || s == nil {
			return nil, refuse(nil)
		}
		s["Resource"] = jsontext.Value(`"*"`)
	}
	var err error
	if document["Statement"], err = json.Marshal(statements, json.Deterministic(true)); err != nil {
		return nil, refuse(err)
	}
	return json.Marshal(document, json.Deterministic(true))
}

// Create makes a repository. Its zero values mean ECR's defaults: mutable tags, AES256.
func (s *Service) Create(ctx context.Context, r Repository) (Repository, error) {
	if err := CheckName(r.Name); err != nil {
		return r, err
	}
	if err := checkTags(r.Tags); err != nil {
		return r, err
	}
	if err := r.checkMutability(); err != nil {
		return r, err
	}
	if r.Encryption.Type == "" {
		r.Encryption.Type = "AES256"
	}
	if r.Encryption.Type == "AES256" && r.Encryption.Key != "" {
		return r, invalid("encryptionConfiguration", "KmsKey must not be specified for encryption type AES256")
	}
	r.CreatedAt = now()
	return r, s.o.Store.CreateRepository(ctx, r, s.o.Limits.Repositories)
}

// Repository returns one, or RepositoryNotFound.
func (s *Service) Repository(ctx context.Context, id ID) (Repository, error) {
	if err := CheckName(id.Name); err != nil {
		return Repository{}, err
	}
	return s.o.Store.Repository(ctx, id)
}

// Repositories lists a registry's, in the order of their names.
func (s *Service) Repositories(ctx context.Context, scope Scope, p Page) ([]Repository, string, error) {
	return s.o.Store.Repositories(ctx, scope, p)
}

// Delete deletes a repository. With force, its images go with it; without, RepositoryNotEmpty if it has any.
func (s *Service) Delete(ctx context.Context, id ID, force bool) (Repository, error) {
	if err := CheckName(id.Name); err != nil {
		return Repository{}, err
	}
	return s.o.Store.DeleteRepository(ctx, id, force, now())
}

func (s *Service) change(ctx context.Context, id ID, change func(*Repository) error) (Repository, error) {
	if err := CheckName(id.Name); err != nil {
		return Repository{}, err
	}
	return s.o.Store.ChangeRepository(ctx, id, change)
}

// SetMutability decides whether tags may move from now on.
func (s *Service) SetMutability(ctx context.Context, id ID, m Mutability, exclusions []string) (Repository, error) {
	return s.change(ctx, id, func(r *Repository) error {
		r.Mutability, r.Exclusions = m, exclusions
		return r.checkMutability()
	})
}

// SetScanning keeps whether images shall be scanned when they are pushed.
func (s *Service) SetScanning(ctx context.Context, id ID, onPush bool) (Repository, error) {
	return s.change(ctx, id, func(r *Repository) error { r.ScanOnPush = onPush; return nil })
}

// SetPolicy sets a repository's policy; InvalidParameter if it is not one. allowed, if it is not nil, has the last word on the policy as IAM sees it.
func (s *Service) SetPolicy(ctx context.Context, id ID, text string, allowed func(policy []byte) error) (Repository, error) {
	policy, err := withResource(text)
	if err != nil {
		return Repository{}, err
	}
	if err := s.o.CheckPolicy(policy); err != nil {
		return Repository{}, invalid("PolicyText", "Invalid repository policy provided: %s", fault.From(err).Message)
	}
	if allowed != nil {
		if err := allowed(policy); err != nil {
			return Repository{}, err
		}
	}
	return s.change(ctx, id, func(r *Repository) error { r.Policy = text; return nil })
}

func noPolicy(id ID) error {
	return fault.New(RepositoryPolicyNotFound, "Repository policy does not exist for the repository with name '%s' in the registry with id '%s'", id.Name, id.Account)
}

// Policy returns a repository that has a policy, or RepositoryPolicyNotFound.
func (s *Service) Policy(ctx context.Context, id ID) (Repository, error) {
	r, err := s.Repository(ctx, id)
	if err == nil && r.Policy == "" {
		err = noPolicy(id)
	}
	return r, err
}

// DeletePolicy takes a repository's policy away, and returns the repository as it was.
func (s *Service) DeletePolicy(ctx context.Context, id ID) (was Repository, err error) {
	_, err = s.change(ctx, id, func(r *Repository) error {
		if was = *r; r.Policy == "" {
			return noPolicy(id)
		}
		r.Policy = ""
		return nil
	})
	return was, err
}

// SetLifecycle keeps a lifecycle policy. It is not applied: no image expires by itself.
func (s *Service) SetLifecycle(ctx context.Context, id ID, text string) (Repository, error) {
	var document struct {
		Rules []map[string]jsontext.Value `json:"rules"`
	}
	if err := json.Unmarshal([]byte(text), &document); err != nil || len(document.Rules) == 0 {
		const why = "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: a JSON object with rules is needed'"
		return Repository{}, fault.New(InvalidParameter, why).With(err)
	}
	return s.change(ctx, id, func(r *Repository) error { r.Lifecycle = text; return nil })
}

func noLifecycle(id ID) error {
	return fault.New(LifecyclePolicyNotFound, "Lifecycle policy does not exist for the repository with name '%s' in the registry with id '%s'", id.Name, id.Account)
}

// Lifecycle returns a repository that has a lifecycle policy, or LifecyclePolicyNotFound.
func (s *Service) Lifecycle(ctx context.Context, id ID) (Repository, error) {
	r, err := s.Repository(ctx, id)
	if err == nil && r.Lifecycle == "" {
		err = noLifecycle(id)
	}
	return r, err
}

// DeleteLifecycle takes the lifecycle policy away, and returns the repository as it was.
func (s *Service) DeleteLifecycle(ctx context.Context, id ID) (was Repository, err error) {
	_, err = s.change(ctx, id, func(r *Repository) error {
		if was = *r; r.Lifecycle == "" {
			return noLifecycle(id)
		}
		r.Lifecycle = ""
		return nil
	})
	return was, err
}

// Tag adds tags to a repository, or changes them.
func (s *Service) Tag(ctx context.Context, id ID, tags map[string]string) error {
	_, err := s.change(ctx, id, func(r *Repository) error {
		for k, v := range tags {
			if r.Tags == nil {
				r.Tags = map[string]string{}
			}
			r.Tags[k] = v
		}
		return checkTags(r.Tags)
	})
	return err
}

// Untag takes tags away; keys that are not there are no error.
func (s *Service) Untag(ctx context.Context, id ID, keys []string) error {
	_, err := s.change(ctx, id, func(r *Repository) error {
		for _, k := range keys {
			delete(r.Tags, k)
		}
		return nil
	})
	return err
}

// Conditions returns the condition keys that a repository has in policies.
func (r *Repository) Conditions() map[string][]string {
	keys := map[string][]string{}
	for k, v := range r.Tags {
		keys["aws:ResourceTag/"+k], keys["ecr:ResourceTag/"+k] = []string{v}, []string{v}
	}
	return keys
}

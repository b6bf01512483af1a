package secrets

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// NewSecret is what CreateSecret takes.
type NewSecret struct {
	Scope
	Name        string
	Token       string // the first version's id; "" for a random one
	Description string
	KMSKeyID    string
	Type        string
	Tags        map[string]string
	Value       Value // without one the secret has no version yet
}

// Create makes a secret, and returns it with the id of its version ("" if it has none). The same request again, told by its token and value, returns the same secret.
func (s *Service) Create(ctx context.Context, n NewSecret) (x Secret, versionID string, err error) {
	if err := checkName(n.Name); err != nil {
		return x, "", err
	}
	if err := checkTags(n.Tags); err != nil {
		return x, "", err
	}
	if err := n.Value.check(); err != nil {
		return x, "", err
	}
	now := s.now()
	x = Secret{Scope: n.Scope, Name: n.Name, Suffix: newSuffix(), Description: n.Description, KMSKeyID: n.KMSKeyID, Type: n.Type, Tags: n.Tags, CreatedAt: now, ChangedAt: now}
	if !n.Value.IsZero() {
		versionID = tokenOr(n.Token)
		x.Versions = []Version{{ID: versionID, Stages: []string{Current}, CreatedAt: now, Box: s.seal(x.Key(), versionID, n.Value)}}
	}
	err = s.o.Store.CreateSecret(ctx, x, MaxSecrets)
	if fault.Is(err, Exists) {
		return s.existing(ctx, n)
	}
	return x, versionID, err
}

// existing answers for a name that is taken.
func (s *Service) existing(ctx context.Context, n NewSecret) (Secret, string, error) {
	x, err := s.o.Store.Secret(ctx, n.Scope, n.Name)
	switch {
	case err != nil:
		return x, "", err
	case !x.DeletedAt.IsZero():
		return x, "", fault.New(InvalidRequest, "You can't create this secret because a secret with this name is already scheduled for deletion.")
	case n.Token == "" || x.version(n.Token) == nil:
		return x, "", fault.New(Exists, "The operation failed because the secret %s already exists.", n.Name)
	}
	box, err := s.o.Store.SecretBox(ctx, x.Key(), n.Token)
	if err != nil {
		return x, "", err
	}
	return x, n.Token, s.same(&x, n.Token, box, n.Value)
}

// same refuses a token that stands for a version with another value.
func (s *Service) same(x *Secret, token string, box []byte, v Value) error {
	have, err := s.open(x.Key(), token, box)
	if err == nil && !have.equal(v) {
		err = fault.New(Exists, "You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", token, x.ARN())
	}
	return err
}

// Put is what PutSecretValue takes.
type Put struct {
	Token  string // the version's id; "" for a random one
	Value  Value
	Stages []string // without any the version becomes AWSCURRENT
}

// Put adds a version. A token that is there already with the same value changes nothing; with another value it is Exists.
func (s *Service) Put(ctx context.Context, scope Scope, id string, p Put) (Secret, Version, error) {
	if p.Value.IsZero() {
		return Secret{}, Version{}, fault.New(InvalidRequest, "You must provide either SecretString or SecretBinary.")
	}
	if err := p.Value.check(); err != nil {
		return Secret{}, Version{}, err
	}
	token := tokenOr(p.Token)
	x, err := s.change(ctx, scope, id, func(x *Secret, box func(string) ([]byte, error)) error { return s.add(x, token, p, box) })
	if err != nil {
		return Secret{}, Version{}, err
	}
	return x, *x.version(token), nil
}

// Update is what UpdateSecret takes; nil members stay as they are.
type Update struct {
	Token       string
	Description *string
	KMSKeyID    *string
	Type        *string
	Value       Value // without one there is no new version
}

// Update changes a secret, and returns it with the id of the version that it added ("" if none).
func (s *Service) Update(ctx context.Context, scope Scope, id string, u Update) (x Secret, versionID string, err error) {
	if err := u.Value.check(); err != nil {
		return x, "", err
	}
	if !u.Value.IsZero() {
		versionID = tokenOr(u.Token)
	}
	x, err = s.change(ctx, scope, id, func(x *Secret, box func(string) ([]byte, error)) error {
		set(&x.Description, u.Description)
		set(&x.KMSKeyID, u.KMSKeyID)
		set(&x.Type, u.Type)
		x.ChangedAt = s.now()
		if versionID == "" {
			return nil
		}
		return s.add(x, versionID, Put{Value: u.Value}, box)
	})
	return x, versionID, err
}

func set(member, value *string) {
	if value != nil {
		*member = *value
	}
}

// add adds a version and moves its stages to it. The first version of a secret becomes AWSCURRENT whatever stages it is given.
func (s *Service) add(x *Secret, token string, p Put, box func(string) ([]byte, error)) error {
	if x.version(token) != nil {
		b, err := box(token)
		if err != nil {
			return err
		}
		return s.same(x, token, b, p.Value)
	}
	stages := p.Stages
	if len(stages) == 0 || len(x.Versions) == 0 && !slices.Contains(stages, Current) {
		stages = append(slices.Clone(stages), Current)
	}
	x.ChangedAt = s.now()
	x.Versions = append(x.Versions, Version{ID: token, CreatedAt: x.ChangedAt, Box: s.seal(x.Key(), token, p.Value)})
	for _, stage := range stages {
		x.move(stage, token)
	}
	x.forget()
	return nil
}

// forget removes the oldest deprecated versions beyond the limit. AWS keeps those of the last day too, and refuses new versions when there are too many; here no client is refused.
func (x *Secret) forget() {
	for i := 0; len(x.Versions) > MaxVersions && i < len(x.Versions)-1; {
		if len(x.Versions[i].Stages) > 0 {
			i++
			continue
		}
		x.Versions = slices.Delete(x.Versions, i, i+1)
	}
}

func (x *Secret) version(id string) *Version {
	for i := range x.Versions {
		if x.Versions[i].ID == id {
			return &x.Versions[i]
		}
	}
	return nil
}

// at returns the version that a stage is attached to, or nil.
func (x *Secret) at(stage string) *Version {
	for i := range x.Versions {
		if slices.Contains(x.Versions[i].Stages, stage) {
			return &x.Versions[i]
		}
	}
	return nil
}

// move attaches a stage to one version and takes it from the one that has it. AWSPREVIOUS goes to the version that AWSCURRENT leaves.
func (x *Secret) move(stage, to string) {
	from := x.at(stage)
	target := x.version(to)
	if from == target {
		return
	}
	if from != nil {
		from.detach(stage)
	}
	target.attach(stage)
	if stage == Current && from != nil {
		if old := x.at(Previous); old != nil {
			old.detach(Previous)
		}
		from.attach(Previous)
	}
}

func (v *Version) detach(stage string) {
	v.Stages = slices.DeleteFunc(v.Stages, func(have string) bool { return have == stage })
}

func (v *Version) attach(stage string) {
	if i, found := slices.BinarySearch(v.Stages, stage); !found {
		v.Stages = slices.Insert(v.Stages, i, stage)
	}
}

// Get is which version GetSecretValue returns: the one with the id, with the stage, or with both; AWSCURRENT if neither is given.
type Get struct{ VersionID, Stage string }

// Value returns a version and its value.
func (s *Service) Value(ctx context.Context, scope Scope, id string, g Get) (Secret, Version, Value, error) {
	x, err := s.Secret(ctx, scope, id)
	if err != nil {
		return x, Version{}, Value{}, err
	}
	if err := inUse(&x); err != nil {
		return x, Version{}, Value{}, err
	}
	v, err := x.choose(g)
	if err != nil {
		return x, Version{}, Value{}, err
	}
	box, err := s.o.Store.SecretBox(ctx, x.Key(), v.ID)
	if err != nil {
		return x, Version{}, Value{}, err
	}
	value, err := s.open(x.Key(), v.ID, box)
	if err != nil {
		return x, Version{}, Value{}, err
	}
	if day := s.now().Truncate(24 * time.Hour); day.After(v.AccessedAt) {
		// What was read is worth more than the note that it was.
		if err := s.o.Store.SecretAccessed(ctx, x.Key(), v.ID, day); err != nil {
			s.o.Log.Warn("noting that a secret was read", "secret", x.ARN(), "error", err)
		}
	}
	return x, *v, value, nil
}

func (x *Secret) choose(g Get) (*Version, error) {
	if g.VersionID == "" {
		stage := g.Stage
		if stage == "" {
			stage = Current
		}
		if v := x.at(stage); v != nil {
			return v, nil
		}
		return nil, fault.New(NotFound, "Secrets Manager can't find the specified secret value for staging label: %s", stage)
	}
	v := x.version(g.VersionID)
	switch {
	case v == nil:
		return nil, noVersion(g.VersionID)
	case g.Stage != "" && !slices.Contains(v.Stages, g.Stage):
		return nil, fault.New(InvalidRequest, "You provided a VersionStage that is not associated to the provided VersionId.")
	}
	return v, nil
}

func noVersion(id string) error {
	return fault.New(NotFound, "Secrets Manager can't find the specified secret value for VersionId: %s", id)
}

// MoveStage is UpdateSecretVersionStage: it takes a stage from one version and attaches it to another; "" leaves either out.
func (s *Service) MoveStage(ctx context.Context, scope Scope, id, stage, from, to string) (Secret, error) {
	return s.change(ctx, scope, id, func(x *Secret, _ func(string) ([]byte, error)) error {
		for _, version := range []string{from, to} {
			if version != "" && x.version(version) == nil {
				return noVersion(version)
			}
		}
		has := x.at(stage)
		switch {
		case from == "" && to == "":
			return fault.New(InvalidParameter, "You must provide RemoveFromVersionId, MoveToVersionId or both.")
		case from != "" && (has == nil || has.ID != from):
			return fault.New(InvalidParameter, "Staging label %s isn't attached to version %s, which RemoveFromVersionId names.", stage, from)
		case from == "" && has != nil && has.ID != to:
			return fault.New(InvalidParameter, "The parameter RemoveFromVersionId can't be empty. Staging label %s is currently attached to version %s, so you must explicitly reference that version in RemoveFromVersionId.",
				stage, has.ID)
		case to == "" && stage == Current:
			return fault.New(InvalidParameter, "You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.")
		}
		x.ChangedAt = s.now()
		if to == "" {
			has.detach(stage)
			return nil
		}
		if v := x.version(to); len(v.Stages) >= MaxStages && !slices.Contains(v.Stages, stage) {
			return fault.New(LimitExceeded, "Version %s has %d staging labels, which is the limit.", to, len(v.Stages))
		}
		x.move(stage, to)
		return nil
	})
}

// tokenOr returns the token, or a random UUID.
func tokenOr(token string) string {
	if token != "" {
		return token
	}
	return uuid.NewString()
}

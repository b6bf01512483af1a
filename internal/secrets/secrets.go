// Package secrets is the domain of Secrets Manager: secrets, the versions of their values, the stages that say which version counts, and their end after a recovery window.
//
// Values are sealed before they reach the store, each bound to its secret and version. In memory they travel as [Value], which does not show what it holds to loggers and formatters.
package secrets

import (
	"context"
	"log/slog"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// The exceptions of the service. Source: the botocore model of secretsmanager.
const (
	NotFound         fault.Code = "ResourceNotFoundException"
	Exists           fault.Code = "ResourceExistsException"
	InvalidRequest   fault.Code = "InvalidRequestException"
	InvalidParameter fault.Code = "InvalidParameterException"
	InvalidNextToken fault.Code = "InvalidNextTokenException"
	LimitExceeded    fault.Code = "LimitExceededException"
	MalformedPolicy  fault.Code = "MalformedPolicyDocumentException"
	PublicPolicy     fault.Code = "PublicPolicyException"
	DecryptionFailed fault.Code = "DecryptionFailure"
)

// The stages that the service itself moves. AWSPENDING is one that rotation functions use; it is like any other label.
const (
	Current  = "AWSCURRENT"
	Previous = "AWSPREVIOUS"
)

// Limits of a secret and of an account. Sources: API reference and quotas of Secrets Manager; AWS's own limit of secrets is 500,000.
const (
	MaxValue    = 65536 // bytes
	MaxVersions = 100
	MaxStages   = 20
	MaxTags     = 50
	MaxSecrets  = 10000 // in an account and region
)

// Scope is an account and a region.
type Scope struct{ Account, Region string }

// Secret is a secret without its values.
type Secret struct {
	Scope
	Name        string
	Suffix      string // six random characters at the end of the ARN: a secret that is made again under a name is another one
	Description string
	KMSKeyID    string // as the client named it; kept, not used: values are sealed with the installation's key
	Type        string
	Tags        map[string]string
	Policy      string // resource policy; "" if it has none
	Versions    []Version
	CreatedAt   time.Time
	ChangedAt   time.Time
	AccessedAt  time.Time // day of the last GetSecretValue; zero if there was none
	DeletedAt   time.Time // when DeleteSecret was called; zero for secrets that are in use
	PurgeAt     time.Time // when the recovery window ends; zero for secrets that are in use
}

// ARN returns the secret's ARN.
func (s *Secret) ARN() string { return arn(s.Scope, s.Name+"-"+s.Suffix) }

func arn(s Scope, resource string) string {
	return "arn:aws:secretsmanager:" + s.Region + ":" + s.Account + ":secret:" + resource
}

// Key names one secret for all time.
func (s *Secret) Key() Key { return Key{s.Scope, s.Name, s.Suffix} }

// Key is a secret's name and the suffix of its ARN.
type Key struct {
	Scope
	Name, Suffix string
}

// Version is one version of a secret's value. A version without stages is deprecated: it can still be read by its id, and may be removed.
type Version struct {
	ID         string
	Stages     []string // sorted
	CreatedAt  time.Time
	AccessedAt time.Time // day; zero if it was never read
	Box        []byte    // the sealed value, in a version that is new; the store does not return it with the secret
}

// Store keeps secrets. Implementations return what the methods say as coded faults, and their own failures as they are. When a method that changes something returns nil, the change is on disk.
type Store interface {
	// CreateSecret adds a secret with its versions. Exists if there is one of that name (except one whose PurgeAt is not after the new one's CreatedAt, which it replaces), LimitExceeded if the
	// account has limit secrets in the region.
	CreateSecret(ctx context.Context, s Secret, limit int) error
	// Secret returns a secret by its name: NotFound if there is none.
	Secret(ctx context.Context, s Scope, name string) (Secret, error)
	// ChangeSecret changes a secret in one transaction. The function gets it and a reader of its versions' boxes; versions that it adds come with their box, those that it leaves out are removed.
	ChangeSecret(ctx context.Context, k Key, change func(s *Secret, box func(versionID string) ([]byte, error)) error) (Secret, error)
	// SecretBox returns a version's sealed value: NotFound if the version is gone.
	SecretBox(ctx context.Context, k Key, versionID string) ([]byte, error)
	// SecretAccessed records the day on which a version was read.
	SecretAccessed(ctx context.Context, k Key, versionID string, day time.Time) error
	// Secrets returns the secrets of an account and region.
	Secrets(ctx context.Context, s Scope) ([]Secret, error)
	// DeleteSecret removes a secret with all its versions; one that is gone is no error.
	DeleteSecret(ctx context.Context, k Key) error
	// PurgeSecrets removes the secrets whose PurgeAt is set and not after now, and returns how many.
	PurgeSecrets(ctx context.Context, now time.Time) (int, error)
}

// Sealer encrypts values for the disk, bound to what they are.
type Sealer interface {
	Seal(plain []byte, binding ...string) []byte
	Open(box []byte, binding ...string) ([]byte, error)
}

// Options are what a service needs.
type Options struct {
	Store Store
	Seal  Sealer
	Log   *slog.Logger     // nil discards
	Now   func() time.Time // nil is time.Now
}

// Service has the operations.
type Service struct {
	o Options
}

// New returns the service.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Service{o}
}

// now is the time in the precision in which the store keeps it.
func (s *Service) now() time.Time { return s.o.Now().UTC().Truncate(time.Microsecond) }

// purgeEvery is how often Run looks for secrets whose recovery window has ended. They cannot be read in the meantime.
const purgeEvery = time.Hour

// Run removes secrets whose recovery window has ended, now and every hour, until the context ends.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(purgeEvery)
	defer tick.Stop()
	for {
		n, err := s.Purge(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.o.Log.Error("removing secrets whose recovery window has ended", "error", err)
		case n > 0:
			s.o.Log.Info("removed secrets whose recovery window has ended", "secrets", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Purge removes the secrets whose recovery window has ended, and returns how many.
func (s *Service) Purge(ctx context.Context) (int, error) {
	return s.o.Store.PurgeSecrets(ctx, s.now())
}

func notFound() *fault.Error {
	return fault.New(NotFound, "Secrets Manager can't find the specified secret.")
}

// Secret returns a secret by its name, its ARN, or its ARN without the suffix; also one that is marked for deletion. NotFound if there is none.
func (s *Service) Secret(ctx context.Context, scope Scope, id string) (Secret, error) {
	for _, c := range candidates(scope, id) {
		found, err := s.o.Store.Secret(ctx, c.Scope, c.Name)
		if fault.Is(err, NotFound) {
			continue
		}
		if err != nil {
			return Secret{}, err
		}
		if (c.Suffix == "" || c.Suffix == found.Suffix) && !s.purged(&found) {
			return found, nil
		}
	}
	return Secret{}, notFound()
}

// purged says that a secret's recovery window has ended: it is gone, though it may still be in the store.
func (s *Service) purged(x *Secret) bool { return !x.PurgeAt.IsZero() && !x.PurgeAt.After(s.now()) }

// inUse refuses secrets that are marked for deletion.
func inUse(x *Secret) error {
	if !x.DeletedAt.IsZero() {
		return fault.New(InvalidRequest, "You can't perform this operation on the secret because it was marked for deletion.")
	}
	return nil
}

// change changes a secret that is in use.
func (s *Service) change(ctx context.Context, scope Scope, id string, f func(x *Secret, box func(string) ([]byte, error)) error) (Secret, error) {
	found, err := s.Secret(ctx, scope, id)
	if err != nil {
		return Secret{}, err
	}
	return s.o.Store.ChangeSecret(ctx, found.Key(), func(x *Secret, box func(string) ([]byte, error)) error {
		if err := inUse(x); err != nil {
			return err
		}
		return f(x, box)
	})
}

// Tag adds tags, or gives existing ones new values.
func (s *Service) Tag(ctx context.Context, scope Scope, id string, tags map[string]string) error {
	_, err := s.change(ctx, scope, id, func(x *Secret, _ func(string) ([]byte, error)) error {
		if x.Tags == nil {
			x.Tags = map[string]string{}
		}
		for k, v := range tags {
			x.Tags[k] = v
		}
		x.ChangedAt = s.now()
		return checkTags(x.Tags)
	})
	return err
}

// Untag removes tags; those that are not there are no error.
func (s *Service) Untag(ctx context.Context, scope Scope, id string, keys []string) error {
	_, err := s.change(ctx, scope, id, func(x *Secret, _ func(string) ([]byte, error)) error {
		for _, k := range keys {
			delete(x.Tags, k)
		}
		x.ChangedAt = s.now()
		return nil
	})
	return err
}

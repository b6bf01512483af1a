package iam

import (
	"context"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam/policy"
)

// NewPolicy is what CreatePolicy takes.
type NewPolicy struct {
	Account     string
	Name        string
	Path        string
	Document    string
	Description string
	Tags        map[string]string
}

// CreatePolicy makes a managed policy with its version 1.
func (s *Service) CreatePolicy(ctx context.Context, n NewPolicy) (Policy, error) {
	at := now()
	p := Policy{Account: n.Account, Name: n.Name, ID: newID("ANPA"), Description: n.Description, Default: 1, Tags: n.Tags, CreatedAt: at, UpdatedAt: at}
	var err error
	if err := checkName("policyName", n.Name, policyName); err != nil {
		return p, err
	}
	if p.Path, err = checkPath(n.Path, policyPath); err != nil {
		return p, err
	}
	if len([]rune(n.Description)) > maxDescription {
		return p, invalid("description", "Member must have length less than or equal to 1000")
	}
	if err := s.checkTags(n.Tags); err != nil {
		return p, err
	}
	if err := s.checkDocument(n.Document, policy.Identity, s.o.Limits.ManagedDocument, "PolicySize"); err != nil {
		return p, err
	}
	return p, s.store.CreatePolicy(ctx, p, n.Document, s.o.Limits.Policies)
}

// Policy returns a managed policy of an account.
func (s *Service) Policy(ctx context.Context, account, arn string) (Policy, error) {
	if err := owns(account, arn); err != nil {
		return Policy{}, err
	}
	return s.store.Policy(ctx, arn)
}

// owns fails unless an ARN is that of a managed policy of the account.
func owns(account, arn string) error {
	if !strings.HasPrefix(arn, "arn:aws:iam::") || !strings.Contains(arn, ":policy/") {
		return fault.New(InvalidInput, "ARN %s is not valid.", arn)
	}
	if !strings.HasPrefix(arn, "arn:aws:iam::"+account+":policy/") {
		return PolicyNotFound(arn)
	}
	return nil
}

// Policies lists the managed policies of an account by name.
func (s *Service) Policies(ctx context.Context, account string, f Filter, p Page) ([]Policy, string, error) {
	return s.store.Policies(ctx, account, f, p)
}

// DeletePolicy removes a managed policy.
func (s *Service) DeletePolicy(ctx context.Context, account, arn string) error {
	if err := owns(account, arn); err != nil {
		return err
	}
	return s.store.DeletePolicy(ctx, arn)
}

// TagPolicy adds tags to a managed policy, or replaces the values of those it has.
func (s *Service) TagPolicy(ctx context.Context, account, arn string, tags map[string]string) error {
	if err := owns(account, arn); err != nil {
		return err
	}
	return s.store.ChangePolicyTags(ctx, arn, func(have map[string]string) error {
		if err := s.checkTags(tags); err != nil {
			return err
		}
		addTags(have, tags)
		return s.checkTags(have)
	})
}

// UntagPolicy removes tags from a managed policy.
func (s *Service) UntagPolicy(ctx context.Context, account, arn string, keys []string) error {
	if err := owns(account, arn); err != nil {
		return err
	}
	return s.store.ChangePolicyTags(ctx, arn, func(have map[string]string) error {
		for _, k := range keys {
			dropTag(have, k)
		}
		return nil
	})
}

// CreateVersion adds a version to a managed policy.
func (s *Service) CreateVersion(ctx context.Context, account, arn, document string, makeDefault bool) (Version, error) {
	if err := owns(account, arn); err != nil {
		return Version{}, err
	}
	if err := s.checkDocument(document, policy.Identity, s.o.Limits.ManagedDocument, "PolicySize"); err != nil {
		return Version{}, err
	}
	return s.store.CreateVersion(ctx, arn, document, makeDefault, s.o.Limits.Versions, now())
}

// Version returns a version of a managed policy.
func (s *Service) Version(ctx context.Context, account, arn string, number int) (Version, error) {
	if err := owns(account, arn); err != nil {
		return Version{}, err
	}
	return s.store.Version(ctx, arn, number)
}

// Versions lists the versions of a managed policy, the newest first.
func (s *Service) Versions(ctx context.Context, account, arn string, p Page) ([]Version, string, error) {
	if err := owns(account, arn); err != nil {
		return nil, "", err
	}
	return s.store.Versions(ctx, arn, p)
}

// SetDefaultVersion makes another version of a managed policy the one that counts.
func (s *Service) SetDefaultVersion(ctx context.Context, account, arn string, number int) error {
	if err := owns(account, arn); err != nil {
		return err
	}
	return s.store.SetDefaultVersion(ctx, arn, number, now())
}

// DeleteVersion removes a version that is not the default one.
func (s *Service) DeleteVersion(ctx context.Context, account, arn string, number int) error {
	if err := owns(account, arn); err != nil {
		return err
	}
	return s.store.DeleteVersion(ctx, arn, number)
}

// Attach puts a managed policy on a user, a role or a group.
func (s *Service) Attach(ctx context.Context, r Ref, arn string) error {
	if err := owns(r.Account, arn); err != nil {
		return err
	}
	return s.store.Attach(ctx, r, arn, s.o.Limits.Attached)
}

// Detach takes a managed policy off a user, a role or a group.
func (s *Service) Detach(ctx context.Context, r Ref, arn string) error {
	if err := owns(r.Account, arn); err != nil {
		return err
	}
	return s.store.Detach(ctx, r, arn)
}

// Attached lists the managed policies on a user, a role or a group.
func (s *Service) Attached(ctx context.Context, r Ref, pathPrefix string, p Page) ([]Policy, string, error) {
	return s.store.Attached(ctx, r, pathPrefix, p)
}

// AttachedTo lists the users, roles or groups that a managed policy is used on.
func (s *Service) AttachedTo(ctx context.Context, account, arn string, f EntityFilter, p Page) ([]Entity, string, error) {
	if err := owns(account, arn); err != nil {
		return nil, "", err
	}
	return s.store.AttachedTo(ctx, arn, f, p)
}

// SetBoundary makes a managed policy the permissions boundary of a user or a role, in place of the one that it has; "" takes it away.
func (s *Service) SetBoundary(ctx context.Context, r Ref, arn string) error {
	if arn != "" {
		if err := owns(r.Account, arn); err != nil {
			return err
		}
	}
	return s.store.SetBoundary(ctx, r, arn)
}

package secrets

import (
	"context"
	"time"

	"github.com/sunaba-dev/sunaba/internal/fault"
)

// Delete is how DeleteSecret deletes.
type Delete struct {
	Days  *int64 // the recovery window, 7 to 30; nil is 30
	Force bool   // at once, past any window
}

const day = 24 * time.Hour

// Delete marks a secret for deletion, or with Force removes it at once, and returns when it is gone. Forced, a secret that is not there is no error: it is returned with the id as its name. Source: API reference.
func (s *Service) Delete(ctx context.Context, scope Scope, id string, d Delete) (x Secret, gone time.Time, err error) {
	window := 30 * day
	switch {
	case d.Force && d.Days != nil:
		return x, gone, fault.New(InvalidParameter, "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
	case d.Days != nil && (*d.Days < 7 || *d.Days > 30):
		return x, gone, fault.New(InvalidParameter, "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
	case d.Days != nil:
		window = time.Duration(*d.Days) * day
	}
	now := s.now()
	x, err = s.Secret(ctx, scope, id)
	if d.Force {
		if fault.Is(err, NotFound) {
			return absent(scope, id), now, nil
		}
		if err != nil {
			return x, gone, err
		}
		return x, now, s.o.Store.DeleteSecret(ctx, x.Key())
	}
	if err != nil {
		return x, gone, err
	}
	x, err = s.o.Store.ChangeSecret(ctx, x.Key(), func(x *Secret, _ func(string) ([]byte, error)) error {
		if !x.DeletedAt.IsZero() {
			return fault.New(InvalidRequest, "You can't perform this operation on the secret because it was already scheduled for deletion.")
		}
		x.DeletedAt, x.PurgeAt = now, now.Add(window)
		return nil
	})
	return x, x.PurgeAt, err
}

// absent stands for a secret that was deleted before.
func absent(scope Scope, id string) Secret {
	all := candidates(scope, id)
	if len(all) == 0 {
		return Secret{Scope: scope, Name: id, Suffix: newSuffix()}
	}
	x := Secret{Scope: all[0].Scope, Name: all[0].Name, Suffix: all[0].Suffix}
	if x.Suffix == "" {
		x.Suffix = newSuffix()
	}
	return x
}

// Restore takes a secret's mark for deletion away; without a mark nothing changes.
func (s *Service) Restore(ctx context.Context, scope Scope, id string) (Secret, error) {
	x, err := s.Secret(ctx, scope, id)
	if err != nil {
		return x, err
	}
	return s.o.Store.ChangeSecret(ctx, x.Key(), func(x *Secret, _ func(string) ([]byte, error)) error {
		x.DeletedAt, x.PurgeAt = time.Time{}, time.Time{}
		return nil
	})
}

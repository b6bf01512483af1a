package s3

import (
	"context"
	"time"

	"github.com/sunaba-dev/sunaba/internal/sigv4"
)

// Authority says who a key is and what it may do. Its methods are called concurrently.
type Authority interface {
	// Key returns the access key with an id. sessionToken is what the request carries, "" if nothing. The errors are [sigv4.ErrUnknownKey],
	// [sigv4.ErrInvalidToken] and [sigv4.ErrExpiredToken], wrapped or bare; any other is the server's own fault.
	Key(ctx context.Context, accessKeyID, sessionToken string) (Key, error)

	// Authorize returns nil if the principal may do the action on the resource, and a fault with the code AccessDenied or AccessDeniedException
	// and AWS's message if not; any other error is the server's own fault. It combines the principal's policies with the bucket's.
	//
	// principal is the one of the Key, nil for an anonymous request. conditions are the keys that the request itself has: the authority adds those of
	// the principal (aws:PrincipalArn, aws:PrincipalTag, ...). aws:ResourceAccount is the account that owns the bucket. bucketPolicy is nil if the bucket has none.
	Authorize(ctx context.Context, principal any, action, resourceARN string, conditions map[string][]string, bucketPolicy []byte) error

	// ValidateBucketPolicy returns a fault with the code MalformedPolicy and the reason if the document cannot be the policy of the bucket.
	ValidateBucketPolicy(ctx context.Context, bucket string, document []byte) error
}

// Key is an access key.
type Key struct {
	Secret       string
	Account      string // that owns the buckets it creates
	PrincipalARN string
	Expires      time.Time // of temporary credentials; the zero time means never
	Principal    any       // handed to Authorize unseen; must not be nil
}

// caller is whom a verified request is from.
type caller struct {
	account   string // "" if anonymous
	arn       string
	principal any
}

func (c caller) anonymous() bool { return c.account == "" }

// keys lets sigv4 look up keys at an Authority.
type keys struct{ authority Authority }

// Lookup implements sigv4.KeyStore.
func (k keys) Lookup(ctx context.Context, accessKeyID, sessionToken string) (sigv4.Key, error) {
	key, err := k.authority.Key(ctx, accessKeyID, sessionToken)
	if err != nil {
		return sigv4.Key{}, err
	}
	return sigv4.Key{Secret: key.Secret, Expires: key.Expires, Principal: caller{account: key.Account, arn: key.PrincipalARN, principal: key.Principal}}, nil
}

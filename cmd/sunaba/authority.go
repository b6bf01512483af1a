package main

import (
	"context"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/s3"
)

// bucketAuthority decides for S3: identity policies and bucket policies in one.
type bucketAuthority struct{ identities }

// Key implements s3.Authority.
func (b bucketAuthority) Key(ctx context.Context, accessKeyID, sessionToken string) (s3.Key, error) {
	key, err := b.Lookup(ctx, accessKeyID, sessionToken)
	if err != nil {
		return s3.Key{}, err
	}
	p, ok := key.Principal.(iam.Principal)
	if !ok {
		return s3.Key{}, fault.New(fault.AccessDenied, "The access key %s stands for nobody.", accessKeyID)
	}
	return s3.Key{Secret: key.Secret, Account: p.Account, PrincipalARN: p.ARN, Expires: key.Expires, Principal: p}, nil
}

// Authorize implements s3.Authority.
func (b bucketAuthority) Authorize(ctx context.Context, principal any, action, resource string, conditions map[string][]string, bucketPolicy []byte) error {
	p, _ := principal.(iam.Principal) // the zero value is anonymous
	b.Used(p, "s3", defaultRegion)
	if owner := conditions["aws:ResourceAccount"]; owner != nil {
		conditions["s3:ResourceAccount"] = owner
	}
	return b.identities.Authorize(ctx, iam.Request{Principal: p, Action: action, Resource: resource, Context: conditions, ResourcePolicy: bucketPolicy})
}

// ValidateBucketPolicy implements s3.Authority.
func (b bucketAuthority) ValidateBucketPolicy(_ context.Context, _ string, document []byte) error {
	if err := b.CheckResourcePolicy(document); err != nil {
		return fault.New("MalformedPolicy", "%s", fault.From(err).Message).With(err)
	}
	return nil
}

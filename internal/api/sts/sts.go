// Package sts declares the slice of the Security Token Service that tells callers who they are and gives them temporary credentials. Source: the botocore model of sts (2011-06-15).
package sts

import (
	"context"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// API has the domain service that the operations call.
type API struct {
	IAM *iam.Service
}

// Service returns the declared service. What each operation must be allowed is beside it: AssumeRole is decided with the role's trust policy by the domain,
// GetSessionToken and GetCallerIdentity need no permission (API reference), GetAccessKeyInfo needs its own.
func (a *API) Service() *wire.Service {
	return &wire.Service{
		Name:      "sts",
		Protocol:  wire.Query,
		Version:   "2011-06-15",
		Namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
		Operations: []wire.Operation{
			wire.Op("GetCallerIdentity", "", getCallerIdentity),
			wire.Op("AssumeRole", "", answering(a.assumeRole)),
			wire.Op("GetSessionToken", "", answering(a.getSessionToken)),
			wire.Op("GetAccessKeyInfo", "", answering(a.getAccessKeyInfo)),
		},
	}
}

// answering gives a handler's errors the code that they have in the query protocol.
func answering[I, O any](handle func(context.Context, *I) (*O, error)) func(context.Context, *I) (*O, error) {
	return func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		switch {
		case fault.Is(err, fault.AccessDenied):
			return nil, fault.New("AccessDenied", "%s", fault.From(err).Message)
		case fault.Is(err, iam.NoSuchEntity): // STS has no such exception: the role or policy went while it was asked for
			return nil, fault.New(iam.ValidationError, "%s", fault.From(err).Message)
		}
		return out, err
	}
}

type getCallerIdentityInput struct{}

type getCallerIdentityOutput struct {
	ARN     string `aws:"Arn" required:"true"`
	UserID  string `aws:"UserId" required:"true"`
	Account string `aws:"Account" required:"true"`
}

// getCallerIdentity needs no permission, and no policy can take it away (API reference).
func getCallerIdentity(ctx context.Context, _ *getCallerIdentityInput) (*getCallerIdentityOutput, error) {
	p := iam.PrincipalOf(ctx)
	return &getCallerIdentityOutput{ARN: p.ARN, UserID: p.UserID, Account: p.Account}, nil
}

// Package sts declares the slice of the Security Token Service that tells callers who they are and gives them temporary credentials. Source: the botocore model of sts (2011-06-15).
package sts

import (
	"context"

	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// API has the domain service that the operations call.
type API struct {
	IAM *iam.Service
}

// Service returns the declared service.
func (a *API) Service() *wire.Service {
	return &wire.Service{
		Name:      "sts",
		Protocol:  wire.Query,
		Version:   "2011-06-15",
		Namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
		Authorize: a.authorize,
		Operations: []wire.Operation{
			wire.Exempt(wire.Op("GetCallerIdentity", "", getCallerIdentity), "no permission is needed, and no policy can take it away (API reference)"),
			wire.Exempt(wire.Op("AssumeRole", "", a.assumeRole), "the domain decides, with the role's trust policy"),
			wire.Exempt(wire.Op("GetSessionToken", "", a.getSessionToken), "no permission is needed (API reference); the domain refuses who holds temporary credentials"),
			wire.On(wire.Op("GetAccessKeyInfo", "", a.getAccessKeyInfo), onAccessKeyInfo),
		},
	}
}

// authorize decides as wire.Service asks.
func (a *API) authorize(ctx context.Context, action string, t wire.Target) error {
	return a.IAM.Authorize(ctx, iam.Request{Principal: iam.PrincipalOf(ctx), Action: action, Resource: t.Resource, Context: t.Context})
}

type getCallerIdentityInput struct{}

type getCallerIdentityOutput struct {
	ARN     string `aws:"Arn" required:"true"`
	UserID  string `aws:"UserId" required:"true"`
	Account string `aws:"Account" required:"true"`
}

func getCallerIdentity(ctx context.Context, _ *getCallerIdentityInput) (*getCallerIdentityOutput, error) {
	p := iam.PrincipalOf(ctx)
	return &getCallerIdentityOutput{ARN: p.ARN, UserID: p.UserID, Account: p.Account}, nil
}

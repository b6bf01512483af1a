// Package sts declares the slice of the Security Token Service that tells callers who they are. Source: the botocore model of sts (2011-06-15).
package sts

import (
	"context"

	"github.com/sunaba-dev/sunaba/internal/wire"
)

// Service returns the declared service.
func Service() *wire.Service {
	return &wire.Service{
		Name:      "sts",
		Protocol:  wire.Query,
		Version:   "2011-06-15",
		Namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
		Operations: []wire.Operation{
			wire.Op("GetCallerIdentity", "", getCallerIdentity),
		},
	}
}

type getCallerIdentityInput struct{}

type getCallerIdentityOutput struct {
	ARN     string `aws:"Arn" required:"true"`
	UserID  string `aws:"UserId" required:"true"`
	Account string `aws:"Account" required:"true"`
}

func getCallerIdentity(ctx context.Context, _ *getCallerIdentityInput) (*getCallerIdentityOutput, error) {
	r := wire.RequestOf(ctx)
	return &getCallerIdentityOutput{ARN: r.Principal, UserID: r.Account, Account: r.Account}, nil // a root user's id is its account's
}

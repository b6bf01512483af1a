package secretsmanager

import (
	"context"
	"strconv"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/secrets"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// policyName names one of several policies of a secret, of which there is one here.
type policyName string

func (policyName) Rule() wire.Rule { return wire.Length(1, 64).Matching(`[0-9A-Za-z\-\_]+`) }

func onlyPolicy(name policyName) error {
	if name != "" {
		return fault.New(secrets.InvalidParameter, "A secret has one resource policy on this server: leave out PolicyName.")
	}
	return nil
}

type policyInput struct {
	ID   secretID   `aws:"SecretId" required:"true"`
	Name policyName `aws:"PolicyName"`
}

type getResourcePolicyOutput struct {
	ARN    string `aws:"ARN"`
	Name   string `aws:"Name"`
	Policy string `aws:"ResourcePolicy"`
}

func (a *API) getResourcePolicy(ctx context.Context, in *policyInput) (*getResourcePolicyOutput, error) {
	if err := onlyPolicy(in.Name); err != nil {
		return nil, err
	}
	x, err := a.Secrets.Secret(ctx, scope(ctx), string(in.ID))
	return &getResourcePolicyOutput{x.ARN(), x.Name, x.Policy}, err
}

func (a *API) onGetPolicy(ctx context.Context, in *policyInput) (wire.Target, error) {
	return a.secret(ctx, string(in.ID), nil)
}

type putResourcePolicyInput struct {
	ID     secretID   `aws:"SecretId" required:"true"`
	Policy string     `aws:"ResourcePolicy" required:"true" min:"1" max:"20480"`
	Name   policyName `aws:"PolicyName"`
	Block  *bool      `aws:"BlockPublicPolicy"`
}

func (a *API) putResourcePolicy(ctx context.Context, in *putResourcePolicyInput) (*nameOutput, error) {
	if err := onlyPolicy(in.Name); err != nil {
		return nil, err
	}
	if a.CheckPolicy != nil {
		if err := a.CheckPolicy([]byte(in.Policy)); err != nil {
			return nil, fault.New(secrets.MalformedPolicy, "This resource policy contains a syntax error: %s", fault.From(err).Message).With(err)
		}
	}
	x, err := a.Secrets.PutPolicy(ctx, scope(ctx), string(in.ID), in.Policy, in.Block != nil && *in.Block)
	return &nameOutput{x.ARN(), x.Name}, err
}

func (a *API) onPutPolicy(ctx context.Context, in *putResourcePolicyInput) (wire.Target, error) {
	keys := map[string][]string{}
	if in.Block != nil {
		keys["secretsmanager:BlockPublicPolicy"] = []string{strconv.FormatBool(*in.Block)}
	}
	return a.secret(ctx, string(in.ID), keys)
}

func (a *API) deleteResourcePolicy(ctx context.Context, in *policyInput) (*nameOutput, error) {
	if err := onlyPolicy(in.Name); err != nil {
		return nil, err
	}
	x, err := a.Secrets.DeletePolicy(ctx, scope(ctx), string(in.ID))
	return &nameOutput{x.ARN(), x.Name}, err
}

func (a *API) onDeletePolicy(ctx context.Context, in *policyInput) (wire.Target, error) {
	return a.secret(ctx, string(in.ID), nil)
}

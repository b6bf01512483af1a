package ecr

import (
	"context"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/registry"
)

type setPolicyInput struct {
	RegistryID registryID `aws:"registryId"`
	Name       string     `aws:"repositoryName" required:"true"`
	Text       string     `aws:"policyText" required:"true" max:"10240"`
	Force      bool       `aws:"force"`
}

func (in *setPolicyInput) repository(ctx context.Context) registry.ID {
	return registry.ID{Scope: scope(ctx, string(in.RegistryID)), Name: in.Name}
}

type policyOutput struct {
	RegistryID string `aws:"registryId"`
	Name       string `aws:"repositoryName"`
	Text       string `aws:"policyText"`
}

func policyToShape(r registry.Repository, err error) (*policyOutput, error) {
	return &policyOutput{RegistryID: r.Account, Name: r.Name, Text: r.Policy}, err
}

// setRepositoryPolicy refuses, unless by force, a policy after which the caller could not set another.
func (a *API) setRepositoryPolicy(ctx context.Context, in *setPolicyInput) (*policyOutput, error) {
	id := in.repository(ctx)
	var allowed func([]byte) error
	if !in.Force {
		t, err := a.target(ctx, id)
		if err != nil {
			return nil, err
		}
		allowed = func(policy []byte) error {
			err := a.Authorize(ctx, "ecr:SetRepositoryPolicy", t, policy)
			if fault.Is(err, fault.AccessDenied) {
				return fault.New(registry.InvalidParameter,
					"Invalid parameter at 'PolicyText' failed to satisfy constraint: 'This policy would lock you out of future SetRepositoryPolicy requests; use force to set it anyway'").With(err)
			}
			return err
		}
	}
	return policyToShape(a.Registry.SetPolicy(ctx, id, in.Text, allowed))
}

func (a *API) getRepositoryPolicy(ctx context.Context, in *repositoryInput) (*policyOutput, error) {
	return policyToShape(a.Registry.Policy(ctx, in.repository(ctx)))
}

func (a *API) deleteRepositoryPolicy(ctx context.Context, in *repositoryInput) (*policyOutput, error) {
	return policyToShape(a.Registry.DeletePolicy(ctx, in.repository(ctx)))
}

type putLifecycleInput struct {
	RegistryID registryID `aws:"registryId"`
	Name       string     `aws:"repositoryName" required:"true"`
	Text       string     `aws:"lifecyclePolicyText" required:"true" min:"100" max:"30720"`
}

func (in *putLifecycleInput) repository(ctx context.Context) registry.ID {
	return registry.ID{Scope: scope(ctx, string(in.RegistryID)), Name: in.Name}
}

// lifecycleOutput has no lastEvaluatedAt: lifecycle policies are kept and not evaluated.
type lifecycleOutput struct {
	RegistryID string `aws:"registryId"`
	Name       string `aws:"repositoryName"`
	Text       string `aws:"lifecyclePolicyText"`
}

func lifecycleToShape(r registry.Repository, err error) (*lifecycleOutput, error) {
	return &lifecycleOutput{RegistryID: r.Account, Name: r.Name, Text: r.Lifecycle}, err
}

func (a *API) putLifecyclePolicy(ctx context.Context, in *putLifecycleInput) (*lifecycleOutput, error) {
	return lifecycleToShape(a.Registry.SetLifecycle(ctx, in.repository(ctx), in.Text))
}

func (a *API) getLifecyclePolicy(ctx context.Context, in *repositoryInput) (*lifecycleOutput, error) {
	return lifecycleToShape(a.Registry.Lifecycle(ctx, in.repository(ctx)))
}

func (a *API) deleteLifecyclePolicy(ctx context.Context, in *repositoryInput) (*lifecycleOutput, error) {
	return lifecycleToShape(a.Registry.DeleteLifecycle(ctx, in.repository(ctx)))
}

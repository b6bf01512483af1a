package iam

import (
	"context"

	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

type boundaryShape struct {
	Type string `aws:"PermissionsBoundaryType"`
	ARN  string `aws:"PermissionsBoundaryArn"`
}

// boundaryToShape returns nil for an entity without a boundary. The type is what the service answers; the model's enumeration has another name, which is never seen.
func boundaryToShape(e iam.Entity) *boundaryShape {
	if e.Boundary == "" {
		return nil
	}
	return &boundaryShape{Type: "Policy", ARN: e.Boundary}
}

type roleBoundaryInput struct {
	Name     entityName `aws:"RoleName" required:"true"`
	Boundary arn        `aws:"PermissionsBoundary" required:"true"`
}

func (a *API) putRoleBoundary(ctx context.Context, in *roleBoundaryInput) (*empty, error) {
	return nil, a.IAM.SetBoundary(ctx, ref(ctx, iam.Role, string(in.Name)), string(in.Boundary))
}

func (a *API) deleteRoleBoundary(ctx context.Context, in *roleInput) (*empty, error) {
	return nil, a.IAM.SetBoundary(ctx, ref(ctx, iam.Role, string(in.Name)), "")
}

type userBoundaryInput struct {
	Name     entityName `aws:"UserName" required:"true"`
	Boundary arn        `aws:"PermissionsBoundary" required:"true"`
}

func (a *API) putUserBoundary(ctx context.Context, in *userBoundaryInput) (*empty, error) {
	return nil, a.IAM.SetBoundary(ctx, ref(ctx, iam.User, string(in.Name)), string(in.Boundary))
}

func (a *API) deleteUserBoundary(ctx context.Context, in *userInput) (*empty, error) {
	return nil, a.IAM.SetBoundary(ctx, ref(ctx, iam.User, string(in.Name)), "")
}

// boundedBy adds the condition key about permissions boundaries: policies use it to let someone make roles, but none that may do more than the maker.
func boundedBy(t wire.Target, boundary string) wire.Target {
	if boundary == "" {
		return t
	}
	return t.With("iam:PermissionsBoundary", boundary)
}

func (a *API) onRoleBoundary(ctx context.Context, in *roleBoundaryInput) (wire.Target, error) {
	t, err := a.role(ctx, in.Name)
	return boundedBy(t, string(in.Boundary)), err
}

func (a *API) onUserBoundary(ctx context.Context, in *userBoundaryInput) (wire.Target, error) {
	t, err := a.user(ctx, in.Name)
	return boundedBy(t, string(in.Boundary)), err
}

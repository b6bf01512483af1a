package iam

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

func ref(ctx context.Context, k iam.EntityKind, name string) iam.Ref {
	return iam.Ref{Account: account(ctx), Kind: k, Name: name}
}

// entity is the user or role with a name: its ARN holds its path. One that is not there is looked for at the path "/".
func (a *API) entity(ctx context.Context, k iam.EntityKind, name string) (wire.Target, error) {
	r := ref(ctx, k, name)
	e, err := a.IAM.Entity(ctx, r)
	if fault.Is(err, iam.NoSuchEntity) {
		return wire.Target{Resource: iam.Entity{Ref: r, Path: "/"}.ARN()}, nil
	}
	return boundedBy(having(wire.Target{Resource: e.ARN()}, e.Tags), e.Boundary), err
}

func (a *API) role(ctx context.Context, name entityName) (wire.Target, error) {
	return a.entity(ctx, iam.Role, string(name))
}

func (a *API) user(ctx context.Context, name entityName) (wire.Target, error) {
	return a.entity(ctx, iam.User, string(name))
}

func (a *API) onRole(ctx context.Context, in *roleInput) (wire.Target, error) {
	return a.role(ctx, in.Name)
}

func (a *API) onRolePage(ctx context.Context, in *rolePageInput) (wire.Target, error) {
	return a.role(ctx, in.Name)
}

func (a *API) onUpdatedRole(ctx context.Context, in *updateRoleInput) (wire.Target, error) {
	return a.role(ctx, in.Name)
}

func (a *API) onDescribedRole(ctx context.Context, in *describeRoleInput) (wire.Target, error) {
	return a.role(ctx, in.Name)
}

func (a *API) onTrust(ctx context.Context, in *trustInput) (wire.Target, error) {
	return a.role(ctx, in.Name)
}

func (a *API) onTaggedRole(ctx context.Context, in *tagRoleInput) (wire.Target, error) {
	t, err := a.role(ctx, in.Name)
	return tagged(t, in.Tags), err
}

func (a *API) onUntaggedRole(ctx context.Context, in *untagRoleInput) (wire.Target, error) {
	t, err := a.role(ctx, in.Name)
	return t.With("aws:TagKeys", texts(in.TagKeys)...), err
}

func (a *API) onRoleDocument(ctx context.Context, in *roleDocumentInput) (wire.Target, error) {
	return a.role(ctx, in.Name)
}

func (a *API) onRolePolicy(ctx context.Context, in *rolePolicyInput) (wire.Target, error) {
	return a.role(ctx, in.Name)
}

func (a *API) onRoleAttachment(ctx context.Context, in *roleAttachmentInput) (wire.Target, error) {
	t, err := a.role(ctx, in.Name)
	return t.With("iam:PolicyARN", string(in.PolicyARN)), err
}

func (a *API) onAttachedRole(ctx context.Context, in *attachedRoleInput) (wire.Target, error) {
	return a.role(ctx, in.Name)
}

func (a *API) onNewRole(ctx context.Context, in *createRoleInput) (wire.Target, error) {
	return created(ctx, "role", string(in.Path), string(in.Name), in.Tags, "TagRole", string(in.Boundary)), nil
}

// created is a resource that does not exist yet. Its tags are an action of their own.
func created(ctx context.Context, kind, path, name string, tags []tag, tagging, boundary string) wire.Target {
	t := boundedBy(tagged(wire.Target{Resource: "arn:aws:iam::" + account(ctx) + ":" + kind + orRoot(path) + name}, tags), boundary)
	if len(tags) > 0 {
		t = t.Needing("iam:" + tagging)
	}
	return t
}

func orRoot(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// onList is the folder of users or roles that is listed.
func onList(k iam.EntityKind) func(context.Context, *listInput) (wire.Target, error) {
	return func(ctx context.Context, in *listInput) (wire.Target, error) {
		return wire.Target{Resource: "arn:aws:iam::" + account(ctx) + ":" + string(k) + orRoot(string(in.PathPrefix))}, nil
	}
}

func (a *API) onUser(ctx context.Context, in *userInput) (wire.Target, error) {
	return a.user(ctx, in.Name)
}

func (a *API) onUserPage(ctx context.Context, in *userPageInput) (wire.Target, error) {
	return a.user(ctx, in.Name)
}

func (a *API) onTaggedUser(ctx context.Context, in *tagUserInput) (wire.Target, error) {
	t, err := a.user(ctx, in.Name)
	return tagged(t, in.Tags), err
}

func (a *API) onUntaggedUser(ctx context.Context, in *untagUserInput) (wire.Target, error) {
	t, err := a.user(ctx, in.Name)
	return t.With("aws:TagKeys", texts(in.TagKeys)...), err
}

func (a *API) onUserDocument(ctx context.Context, in *userDocumentInput) (wire.Target, error) {
	return a.user(ctx, in.Name)
}

func (a *API) onUserPolicy(ctx context.Context, in *userPolicyInput) (wire.Target, error) {
	return a.user(ctx, in.Name)
}

func (a *API) onUserAttachment(ctx context.Context, in *userAttachmentInput) (wire.Target, error) {
	t, err := a.user(ctx, in.Name)
	return t.With("iam:PolicyARN", string(in.PolicyARN)), err
}

func (a *API) onAttachedUser(ctx context.Context, in *attachedUserInput) (wire.Target, error) {
	return a.user(ctx, in.Name)
}

func (a *API) onNewUser(ctx context.Context, in *createUserInput) (wire.Target, error) {
	return created(ctx, "user", string(in.Path), string(in.Name), in.Tags, "TagUser", string(in.Boundary)), nil
}

func (a *API) onOptionalUser(ctx context.Context, in *optionalUserInput) (wire.Target, error) {
	return a.callerOr(ctx, in.Name)
}

func (a *API) onKeysOfUser(ctx context.Context, in *listKeysInput) (wire.Target, error) {
	return a.callerOr(ctx, in.Name)
}

func (a *API) onKeyStatus(ctx context.Context, in *updateKeyInput) (wire.Target, error) {
	return a.callerOr(ctx, in.Name)
}

func (a *API) onKey(ctx context.Context, in *deleteKeyInput) (wire.Target, error) {
	return a.callerOr(ctx, in.Name)
}

// callerOr is the user with a name, and without one the caller.
func (a *API) callerOr(ctx context.Context, name entityName) (wire.Target, error) {
	switch p := iam.PrincipalOf(ctx); {
	case name != "":
		return a.user(ctx, name)
	case p.ARN == "": // nobody has no name
		return wire.Target{Resource: "*"}, nil
	default:
		return wire.Target{Resource: p.ARN}, nil
	}
}

func (a *API) onAnyKey(ctx context.Context, in *anyKeyInput) (wire.Target, error) {
	name, _, err := a.IAM.AccessKeyUse(ctx, account(ctx), in.ID)
	if fault.Is(err, iam.NoSuchEntity) {
		return wire.Target{Resource: "*"}, nil
	}
	if err != nil {
		return wire.Target{}, err
	}
	return a.user(ctx, entityName(name))
}

// managed is the managed policy with an ARN.
func (a *API) managed(ctx context.Context, of arn) (wire.Target, error) {
	t := wire.Target{Resource: string(of)}
	p, err := a.IAM.Policy(ctx, account(ctx), string(of))
	if err != nil && !fault.Is(err, iam.NoSuchEntity) && !fault.Is(err, iam.InvalidInput) { // the handler says those, to who is allowed to ask
		return t, err
	}
	return having(t, p.Tags), nil
}

func (a *API) onPolicy(ctx context.Context, in *policyInput) (wire.Target, error) {
	return a.managed(ctx, in.ARN)
}

func (a *API) onPolicyPage(ctx context.Context, in *policyPageInput) (wire.Target, error) {
	return a.managed(ctx, in.ARN)
}

func (a *API) onTaggedPolicy(ctx context.Context, in *tagPolicyInput) (wire.Target, error) {
	t, err := a.managed(ctx, in.ARN)
	return tagged(t, in.Tags), err
}

func (a *API) onUntaggedPolicy(ctx context.Context, in *untagPolicyInput) (wire.Target, error) {
	t, err := a.managed(ctx, in.ARN)
	return t.With("aws:TagKeys", texts(in.TagKeys)...), err
}

func (a *API) onNewVersion(ctx context.Context, in *newVersionInput) (wire.Target, error) {
	return a.managed(ctx, in.ARN)
}

func (a *API) onVersion(ctx context.Context, in *versionInput) (wire.Target, error) {
	return a.managed(ctx, in.ARN)
}

func (a *API) onEntities(ctx context.Context, in *entitiesInput) (wire.Target, error) {
	return a.managed(ctx, in.ARN)
}

func (a *API) onNewPolicy(ctx context.Context, in *createPolicyInput) (wire.Target, error) {
	return created(ctx, "policy", string(in.Path), string(in.Name), in.Tags, "TagPolicy", ""), nil
}

func onPolicies(ctx context.Context, in *listPoliciesInput) (wire.Target, error) {
	return wire.Target{Resource: "arn:aws:iam::" + account(ctx) + ":policy" + orRoot(strings.TrimSpace(string(in.PathPrefix)))}, nil
}

func texts(keys []tagKey) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = string(k)
	}
	return out
}

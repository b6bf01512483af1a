package iam

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/iam"
)

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

func ref(ctx context.Context, k iam.EntityKind, name string) iam.Ref {
	return iam.Ref{Account: account(ctx), Kind: k, Name: name}
}

// entity is the user or role with a name: its ARN holds its path. One that is not there is looked for at the path "/".
func (a *API) entity(ctx context.Context, k iam.EntityKind, name string) (target, error) {
	r := ref(ctx, k, name)
	e, err := a.IAM.Entity(ctx, r)
	if fault.Is(err, iam.NoSuchEntity) {
		return target{resource: iam.Entity{Ref: r, Path: "/"}.ARN()}, nil
	}
	return target{resource: e.ARN()}.having(e.Tags), err
}

func (a *API) role(ctx context.Context, name entityName) (target, error) {
	return a.entity(ctx, iam.Role, string(name))
}

func (a *API) user(ctx context.Context, name entityName) (target, error) {
	return a.entity(ctx, iam.User, string(name))
}

func (a *API) onRole(ctx context.Context, in *roleInput) (target, error) { return a.role(ctx, in.Name) }

func (a *API) onRolePage(ctx context.Context, in *rolePageInput) (target, error) {
	return a.role(ctx, in.Name)
}

func (a *API) onUpdatedRole(ctx context.Context, in *updateRoleInput) (target, error) {
	return a.role(ctx, in.Name)
}

func (a *API) onDescribedRole(ctx context.Context, in *describeRoleInput) (target, error) {
	return a.role(ctx, in.Name)
}

func (a *API) onTrust(ctx context.Context, in *trustInput) (target, error) {
	return a.role(ctx, in.Name)
}

func (a *API) onTaggedRole(ctx context.Context, in *tagRoleInput) (target, error) {
	t, err := a.role(ctx, in.Name)
	return t.tagged(in.Tags), err
}

func (a *API) onUntaggedRole(ctx context.Context, in *untagRoleInput) (target, error) {
	t, err := a.role(ctx, in.Name)
	return t.with("aws:TagKeys", texts(in.TagKeys)...), err
}

func (a *API) onRoleDocument(ctx context.Context, in *roleDocumentInput) (target, error) {
	return a.role(ctx, in.Name)
}

func (a *API) onRolePolicy(ctx context.Context, in *rolePolicyInput) (target, error) {
	return a.role(ctx, in.Name)
}

func (a *API) onRoleAttachment(ctx context.Context, in *roleAttachmentInput) (target, error) {
	t, err := a.role(ctx, in.Name)
	return t.with("iam:PolicyARN", string(in.PolicyARN)), err
}

func (a *API) onAttachedRole(ctx context.Context, in *attachedRoleInput) (target, error) {
	return a.role(ctx, in.Name)
}

func (a *API) onNewRole(ctx context.Context, in *createRoleInput) (target, error) {
	return created(ctx, "role", string(in.Path), string(in.Name), in.Tags, "TagRole"), nil
}

// created is a resource that does not exist yet. Its tags are an action of their own.
func created(ctx context.Context, kind, path, name string, tags []tag, tagging string) target {
	t := target{resource: "arn:aws:iam::" + account(ctx) + ":" + kind + orRoot(path) + name}
	if len(tags) > 0 {
		t.also = []string{tagging}
	}
	return t.tagged(tags)
}

func orRoot(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// onList is the folder of users or roles that is listed.
func onList(k iam.EntityKind) func(context.Context, *listInput) (target, error) {
	return func(ctx context.Context, in *listInput) (target, error) {
		return target{resource: "arn:aws:iam::" + account(ctx) + ":" + string(k) + orRoot(string(in.PathPrefix))}, nil
	}
}

func (a *API) onUser(ctx context.Context, in *userInput) (target, error) { return a.user(ctx, in.Name) }

func (a *API) onUserPage(ctx context.Context, in *userPageInput) (target, error) {
	return a.user(ctx, in.Name)
}

func (a *API) onTaggedUser(ctx context.Context, in *tagUserInput) (target, error) {
	t, err := a.user(ctx, in.Name)
	return t.tagged(in.Tags), err
}

func (a *API) onUntaggedUser(ctx context.Context, in *untagUserInput) (target, error) {
	t, err := a.user(ctx, in.Name)
	return t.with("aws:TagKeys", texts(in.TagKeys)...), err
}

func (a *API) onUserDocument(ctx context.Context, in *userDocumentInput) (target, error) {
	return a.user(ctx, in.Name)
}

func (a *API) onUserPolicy(ctx context.Context, in *userPolicyInput) (target, error) {
	return a.user(ctx, in.Name)
}

func (a *API) onUserAttachment(ctx context.Context, in *userAttachmentInput) (target, error) {
	t, err := a.user(ctx, in.Name)
	return t.with("iam:PolicyARN", string(in.PolicyARN)), err
}

func (a *API) onAttachedUser(ctx context.Context, in *attachedUserInput) (target, error) {
	return a.user(ctx, in.Name)
}

func (a *API) onNewUser(ctx context.Context, in *createUserInput) (target, error) {
	return created(ctx, "user", string(in.Path), string(in.Name), in.Tags, "TagUser"), nil
}

func (a *API) onOptionalUser(ctx context.Context, in *optionalUserInput) (target, error) {
	return a.callerOr(ctx, in.Name)
}

func (a *API) onKeysOfUser(ctx context.Context, in *listKeysInput) (target, error) {
	return a.callerOr(ctx, in.Name)
}

func (a *API) onKeyStatus(ctx context.Context, in *updateKeyInput) (target, error) {
	return a.callerOr(ctx, in.Name)
}

func (a *API) onKey(ctx context.Context, in *deleteKeyInput) (target, error) {
	return a.callerOr(ctx, in.Name)
}

// callerOr is the user with a name, and without one the caller.
func (a *API) callerOr(ctx context.Context, name entityName) (target, error) {
	if name == "" {
		return target{resource: iam.PrincipalOf(ctx).ARN}, nil
	}
	return a.user(ctx, name)
}

func (a *API) onAnyKey(ctx context.Context, in *anyKeyInput) (target, error) {
	name, _, err := a.IAM.AccessKeyUse(ctx, account(ctx), in.ID)
	if fault.Is(err, iam.NoSuchEntity) {
		return target{resource: "*"}, nil
	}
	if err != nil {
		return target{}, err
	}
	return a.user(ctx, entityName(name))
}

// managed is the managed policy with an ARN.
func (a *API) managed(ctx context.Context, of arn) (target, error) {
	t := target{resource: string(of)}
	p, err := a.IAM.Policy(ctx, account(ctx), string(of))
	if err != nil && !fault.Is(err, iam.NoSuchEntity) && !fault.Is(err, iam.InvalidInput) { // the handler says those, to who is allowed to ask
		return t, err
	}
	return t.having(p.Tags), nil
}

func (a *API) onPolicy(ctx context.Context, in *policyInput) (target, error) {
	return a.managed(ctx, in.ARN)
}

func (a *API) onPolicyPage(ctx context.Context, in *policyPageInput) (target, error) {
	return a.managed(ctx, in.ARN)
}

func (a *API) onTaggedPolicy(ctx context.Context, in *tagPolicyInput) (target, error) {
	t, err := a.managed(ctx, in.ARN)
	return t.tagged(in.Tags), err
}

func (a *API) onUntaggedPolicy(ctx context.Context, in *untagPolicyInput) (target, error) {
	t, err := a.managed(ctx, in.ARN)
	return t.with("aws:TagKeys", texts(in.TagKeys)...), err
}

func (a *API) onNewVersion(ctx context.Context, in *newVersionInput) (target, error) {
	return a.managed(ctx, in.ARN)
}

func (a *API) onVersion(ctx context.Context, in *versionInput) (target, error) {
	return a.managed(ctx, in.ARN)
}

func (a *API) onEntities(ctx context.Context, in *entitiesInput) (target, error) {
	return a.managed(ctx, in.ARN)
}

func (a *API) onNewPolicy(ctx context.Context, in *createPolicyInput) (target, error) {
	return created(ctx, "policy", string(in.Path), string(in.Name), in.Tags, "TagPolicy"), nil
}

func onPolicies(ctx context.Context, in *listPoliciesInput) (target, error) {
	return target{resource: "arn:aws:iam::" + account(ctx) + ":policy" + orRoot(strings.TrimSpace(string(in.PathPrefix)))}, nil
}

func texts(keys []tagKey) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = string(k)
	}
	return out
}

package ecr

import (
	"context"
	"maps"
	"slices"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/registry"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// onAny is the target of operations that act on nothing in particular.
func onAny[I any](context.Context, *I) (wire.Target, error) { return wire.Target{Resource: "*"}, nil }

// located is an input that names one repository.
type located interface {
	repository(ctx context.Context) registry.ID
}

// on is the target of operations on one repository.
func on[P interface {
	*I
	located
}, I any](a *API) func(context.Context, *I) (wire.Target, error) {
	return func(ctx context.Context, in *I) (wire.Target, error) { return a.target(ctx, P(in).repository(ctx)) }
}

// target is a repository with its tags. One that does not exist has none: whether it exists is only told to who may ask.
func (a *API) target(ctx context.Context, id registry.ID) (wire.Target, error) {
	t := wire.Target{Resource: id.ARN(), Context: map[string][]string{}}
	r, err := a.find(ctx, id)
	if err != nil {
		return t, err
	}
	maps.Copy(t.Context, r.Conditions())
	return t, nil
}

// find returns a repository, or the zero one if there is none.
func (a *API) find(ctx context.Context, id registry.ID) (registry.Repository, error) {
	r, err := a.Registry.Repository(ctx, id)
	if fault.Is(err, registry.RepositoryNotFound) || fault.Is(err, registry.InvalidParameter) {
		return registry.Repository{}, nil
	}
	return r, err
}

// authorize adds the repository's policy to what is decided by.
func (a *API) authorize(ctx context.Context, action string, t wire.Target) error {
	id, ok := registry.IDOf(t.Resource)
	if !ok {
		return a.Authorize(ctx, action, t, nil)
	}
	r, err := a.find(ctx, id)
	if err != nil {
		return err
	}
	policy, err := r.ResourcePolicy()
	if err != nil {
		return err
	}
	return a.Authorize(ctx, action, t, policy)
}

func (a *API) onCreate(ctx context.Context, in *createRepositoryInput) (wire.Target, error) {
	return wire.Target{Resource: in.repository(ctx).ARN(), Context: requestTags(tagsToDomain(in.Tags))}, nil
}

// onDescribe is the first of the repositories that are asked for; the handler asks for the others. A list of all is one of every name.
func (a *API) onDescribe(ctx context.Context, in *describeRepositoriesInput) (wire.Target, error) {
	id := registry.ID{Scope: scope(ctx, string(in.RegistryID)), Name: "*"}
	if len(in.Names) == 0 {
		return wire.Target{Resource: id.ARN()}, nil
	}
	id.Name = in.Names[0]
	return a.target(ctx, id)
}

func requestTags(tags map[string]string) map[string][]string {
	keys := map[string][]string{}
	for k, v := range tags {
		keys["aws:RequestTag/"+k] = []string{v}
	}
	if len(tags) > 0 {
		keys["aws:TagKeys"] = slices.Sorted(maps.Keys(tags))
	}
	return keys
}

// byARN is the target of what acts on a resource by its ARN.
func (a *API) byARN(ctx context.Context, arn string) (wire.Target, error) {
	if id, ok := registry.IDOf(arn); ok {
		return a.target(ctx, id)
	}
	return wire.Target{Resource: arn, Context: map[string][]string{}}, nil
}

func (a *API) onTag(ctx context.Context, in *tagResourceInput) (wire.Target, error) {
	t, err := a.byARN(ctx, in.ARN)
	maps.Copy(t.Context, requestTags(tagsToDomain(in.Tags)))
	return t, err
}

func (a *API) onUntag(ctx context.Context, in *untagResourceInput) (wire.Target, error) {
	t, err := a.byARN(ctx, in.ARN)
	t.Context["aws:TagKeys"] = in.Keys
	return t, err
}

func (a *API) onListTags(ctx context.Context, in *listTagsInput) (wire.Target, error) {
	return a.byARN(ctx, in.ARN)
}

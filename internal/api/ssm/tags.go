package ssm

import (
	"context"
	"maps"
	"slices"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/parameters"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// resourceType is what a tagged resource is; of those there are only parameters here.
type resourceType string

func (resourceType) Rule() wire.Rule {
	return wire.OneOf("Document", "ManagedInstance", "MaintenanceWindow", "Parameter", "PatchBaseline", "OpsItem", "OpsMetadata", "Automation", "Association", "CloudConnector")
}

// tagged reads the parameter that a request about tags names.
func tagged(ctx context.Context, t resourceType, id string) (parameters.Reference, error) {
	if t != "Parameter" {
		return parameters.Reference{}, fault.New(parameters.InvalidResourceType, "Invalid Resource Type: this server has resources of the type Parameter only.")
	}
	r, err := parameters.Parse(scope(ctx), id)
	if err != nil || r.Selector != "" {
		return r, fault.New(parameters.InvalidResourceID, "Invalid Resource Id: it is not the name of a parameter.")
	}
	return r, nil
}

func (a *API) onTagged(ctx context.Context, t resourceType, id string, keys map[string][]string) (wire.Target, error) {
	r, err := tagged(ctx, t, id)
	if err != nil {
		return wire.Target{}, err
	}
	return a.reference(ctx, r, keys)
}

type addTagsInput struct {
	Type resourceType `aws:"ResourceType" required:"true"`
	ID   string       `aws:"ResourceId" required:"true"`
	Tags []tag        `aws:"Tags" required:"true" max:"1000"`
}

func (a *API) addTagsToResource(ctx context.Context, in *addTagsInput) (*empty, error) {
	r, err := tagged(ctx, in.Type, in.ID)
	if err != nil {
		return nil, err
	}
	tags, err := tagsToDomain(in.Tags)
	if err != nil {
		return nil, err
	}
	return nil, a.Parameters.Tag(ctx, r, tags)
}

func (a *API) onAddTags(ctx context.Context, in *addTagsInput) (wire.Target, error) {
	return a.onTagged(ctx, in.Type, in.ID, requestTags(in.Tags))
}

type removeTagsInput struct {
	Type resourceType `aws:"ResourceType" required:"true"`
	ID   string       `aws:"ResourceId" required:"true"`
	Keys []tagKey     `aws:"TagKeys" required:"true"`
}

func (a *API) removeTagsFromResource(ctx context.Context, in *removeTagsInput) (*empty, error) {
	r, err := tagged(ctx, in.Type, in.ID)
	if err != nil {
		return nil, err
	}
	return nil, a.Parameters.Untag(ctx, r, texts(in.Keys))
}

func (a *API) onRemoveTags(ctx context.Context, in *removeTagsInput) (wire.Target, error) {
	keys := map[string][]string{}
	if len(in.Keys) > 0 {
		keys["aws:TagKeys"] = texts(in.Keys)
	}
	return a.onTagged(ctx, in.Type, in.ID, keys)
}

type listTagsInput struct {
	Type resourceType `aws:"ResourceType" required:"true"`
	ID   string       `aws:"ResourceId" required:"true"`
}

type listTagsOutput struct {
	Tags []tag `aws:"TagList"`
}

func (a *API) listTagsForResource(ctx context.Context, in *listTagsInput) (*listTagsOutput, error) {
	r, err := tagged(ctx, in.Type, in.ID)
	if err != nil {
		return nil, err
	}
	tags, err := a.Parameters.Tags(ctx, r)
	if err != nil {
		return nil, err
	}
	out := &listTagsOutput{Tags: []tag{}}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out.Tags = append(out.Tags, tag{tagKey(k), tagValue(tags[k])})
	}
	return out, nil
}

func (a *API) onListTags(ctx context.Context, in *listTagsInput) (wire.Target, error) {
	return a.onTagged(ctx, in.Type, in.ID, nil)
}

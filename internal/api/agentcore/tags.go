package agentcore

import (
	"context"

	"github.com/sunaba-dev/sunaba/internal/wire"
)

type tagKey string

func (tagKey) Rule() wire.Rule { return wire.Length(1, 128).Matching(`[a-zA-Z0-9\s._:/=+@-]*`) }

type tagValue string

func (tagValue) Rule() wire.Rule { return wire.Length(0, 256).Matching(`[a-zA-Z0-9\s._:/=+@-]*`) }

// taggableARN is of a resource of an account, which the managed interpreter is not; what else cannot be tagged does not exist for the handler.
type taggableARN string

func (taggableARN) Rule() wire.Rule {
	return wire.Length(20, 1011).Matching(`arn:aws(-[^:]+)?:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:.+`)
}

func tagsToDomain(tags map[tagKey]tagValue) map[string]string {
	out := make(map[string]string, len(tags))
	for k, v := range tags {
		out[string(k)] = string(v)
	}
	return out
}

type tagResourceInput struct {
	ResourceARN taggableARN         `uri:"resourceArn" required:"true"`
	Tags        map[tagKey]tagValue `aws:"tags" required:"true" max:"50"`
}

type empty struct{}

func (a *API) tagResource(ctx context.Context, in *tagResourceInput) (*empty, error) {
	return nil, a.tagsOf(string(in.ResourceARN)).tag(ctx, string(in.ResourceARN), tagsToDomain(in.Tags))
}

type untagResourceInput struct {
	ResourceARN taggableARN `uri:"resourceArn" required:"true"`
	TagKeys     []tagKey    `query:"tagKeys" required:"true" max:"200"`
}

func (a *API) untagResource(ctx context.Context, in *untagResourceInput) (*empty, error) {
	keys := make([]string, len(in.TagKeys))
	for i, k := range in.TagKeys {
		keys[i] = string(k)
	}
	return nil, a.tagsOf(string(in.ResourceARN)).untag(ctx, string(in.ResourceARN), keys)
}

type listTagsInput struct {
	ResourceARN taggableARN `uri:"resourceArn" required:"true"`
}

type listTagsOutput struct {
	Tags map[string]string `aws:"tags"`
}

func (a *API) listTagsForResource(ctx context.Context, in *listTagsInput) (*listTagsOutput, error) {
	tags, err := a.tagsOf(string(in.ResourceARN)).tags(ctx, string(in.ResourceARN))
	return &listTagsOutput{Tags: tags}, err
}

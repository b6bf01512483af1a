package agentcore

import (
	"context"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
)

// tagTable are the tags of the resources of one domain, by ARN.
type tagTable interface {
	tags(ctx context.Context, arn string) (map[string]string, error)
	tag(ctx context.Context, arn string, tags map[string]string) error
	untag(ctx context.Context, arn string, keys []string) error
}

// tagsOf returns the domain that has a resource, by the form of its ARN.
func (a *API) tagsOf(arn string) tagTable {
	if a.Runtimes != nil && agentruntime.IsTaggable(arn) {
		return runtimeTags{a}
	}
	return interpreterTags{a}
}

type runtimeTags struct{ a *API }

func (t runtimeTags) tags(ctx context.Context, arn string) (map[string]string, error) {
	return t.a.Runtimes.Tags(ctx, runtimeScope(ctx), arn)
}

func (t runtimeTags) tag(ctx context.Context, arn string, tags map[string]string) error {
	return t.a.Runtimes.Tag(ctx, runtimeScope(ctx), arn, tags)
}

func (t runtimeTags) untag(ctx context.Context, arn string, keys []string) error {
	return t.a.Runtimes.Untag(ctx, runtimeScope(ctx), arn, keys)
}

type interpreterTags struct{ a *API }

func (t interpreterTags) tags(ctx context.Context, arn string) (map[string]string, error) {
	return t.a.Interpreters.Tags(ctx, scope(ctx), arn)
}

func (t interpreterTags) tag(ctx context.Context, arn string, tags map[string]string) error {
	return t.a.Interpreters.Tag(ctx, scope(ctx), arn, tags)
}

func (t interpreterTags) untag(ctx context.Context, arn string, keys []string) error {
	return t.a.Interpreters.Untag(ctx, scope(ctx), arn, keys)
}

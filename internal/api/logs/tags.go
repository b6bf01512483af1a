package logs

import (
	"context"
	"strings"

	"github.com/sunaba-dev/sunaba/internal/logs"
)

type tagLogGroupInput struct {
	Name string            `aws:"logGroupName"`
	Tags map[string]string `aws:"tags"`
}

func (a *API) tagLogGroup(ctx context.Context, in *tagLogGroupInput) (*empty, error) {
	return a.tag(ctx, in.Name, in.Tags)
}

func (a *API) tag(ctx context.Context, group string, tags map[string]string) (*empty, error) {
	if len(tags) == 0 {
		return nil, logs.Invalid("tags", "{}", "Member must have length greater than or equal to 1")
	}
	return nil, a.Logs.Tag(ctx, scope(ctx), group, tags)
}

type untagLogGroupInput struct {
	Name string   `aws:"logGroupName"`
	Keys []string `aws:"tags"`
}

func (a *API) untagLogGroup(ctx context.Context, in *untagLogGroupInput) (*empty, error) {
	return nil, a.Logs.Untag(ctx, scope(ctx), in.Name, in.Keys)
}

type tagsOutput struct {
	Tags map[string]string `aws:"tags"`
}

func (a *API) listTagsLogGroup(ctx context.Context, in *groupInput) (*tagsOutput, error) {
	return a.tags(ctx, in.Name)
}

func (a *API) tags(ctx context.Context, group string) (*tagsOutput, error) {
	g, err := a.Logs.Group(ctx, scope(ctx), group)
	out := &tagsOutput{Tags: g.Tags}
	if out.Tags == nil {
		out.Tags = map[string]string{}
	}
	return out, err
}

// groupOfARN is the group that a tagging operation's ARN means. Other resources of the service do not exist here.
func groupOfARN(ctx context.Context, arn string) (string, error) {
	if !strings.HasPrefix(arn, "arn:") {
		return "", logs.Invalid("resourceArn", arn, "Member must be an ARN")
	}
	return logs.GroupOf(scope(ctx), "resourceArn", arn)
}

type tagResourceInput struct {
	ARN  string            `aws:"resourceArn"`
	Tags map[string]string `aws:"tags"`
}

func (a *API) tagResource(ctx context.Context, in *tagResourceInput) (*empty, error) {
	group, err := groupOfARN(ctx, in.ARN)
	if err != nil {
		return nil, err
	}
	return a.tag(ctx, group, in.Tags)
}

type untagResourceInput struct {
	ARN  string   `aws:"resourceArn"`
	Keys []string `aws:"tagKeys"`
}

func (a *API) untagResource(ctx context.Context, in *untagResourceInput) (*empty, error) {
	group, err := groupOfARN(ctx, in.ARN)
	if err != nil {
		return nil, err
	}
	return nil, a.Logs.Untag(ctx, scope(ctx), group, in.Keys)
}

type resourceInput struct {
	ARN string `aws:"resourceArn"`
}

func (a *API) listTagsForResource(ctx context.Context, in *resourceInput) (*tagsOutput, error) {
	group, err := groupOfARN(ctx, in.ARN)
	if err != nil {
		return nil, err
	}
	return a.tags(ctx, group)
}

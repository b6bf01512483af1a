package agentcore

import (
	"context"
	"strconv"
	"time"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
)

type listRuntimesInput struct {
	MaxResults *int      `query:"maxResults" min:"1" max:"100"`
	NextToken  nextToken `query:"nextToken"`
}

type listRuntimesOutput struct {
	Runtimes  []runtimeSummary `aws:"agentRuntimes"`
	NextToken string           `aws:"nextToken"`
}

type runtimeSummary struct {
	ARN           string    `aws:"agentRuntimeArn" required:"true"`
	ID            string    `aws:"agentRuntimeId" required:"true"`
	Version       string    `aws:"agentRuntimeVersion" required:"true"`
	Name          string    `aws:"agentRuntimeName" required:"true"`
	Description   string    `aws:"description" required:"true"`
	LastUpdatedAt time.Time `aws:"lastUpdatedAt"`
	Status        string    `aws:"status" required:"true"`
}

func runtimePage(limit *int, token nextToken) agentruntime.Page {
	p := agentruntime.Page{Limit: 100, Token: string(token)}
	if limit != nil {
		p.Limit = *limit
	}
	return p
}

func runtimeSummaries(items []agentruntime.Runtime, next string) *listRuntimesOutput {
	out := &listRuntimesOutput{Runtimes: []runtimeSummary{}, NextToken: next}
	for _, r := range items {
		out.Runtimes = append(out.Runtimes, runtimeSummary{ARN: r.ARN(), ID: r.ID, Version: strconv.Itoa(r.Version), Name: r.Name, Description: r.Description, LastUpdatedAt: r.UpdatedAt,
			Status: string(r.Status)})
	}
	return out
}

func (a *API) listRuntimes(ctx context.Context, in *listRuntimesInput) (*listRuntimesOutput, error) {
	items, next, err := a.Runtimes.Runtimes(ctx, runtimeScope(ctx), runtimePage(in.MaxResults, in.NextToken))
	if err != nil {
		return nil, err
	}
	return runtimeSummaries(items, next), nil
}

type listVersionsInput struct {
	ID         runtimeID `uri:"agentRuntimeId" required:"true"`
	MaxResults *int      `query:"maxResults" min:"1" max:"100"`
	NextToken  nextToken `query:"nextToken"`
}

func (a *API) listVersions(ctx context.Context, in *listVersionsInput) (*listRuntimesOutput, error) {
	items, next, err := a.Runtimes.Versions(ctx, runtimeScope(ctx), string(in.ID), runtimePage(in.MaxResults, in.NextToken))
	if err != nil {
		return nil, err
	}
	return runtimeSummaries(items, next), nil
}

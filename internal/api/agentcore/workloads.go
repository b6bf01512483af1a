package agentcore

import (
	"context"
	"time"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

type workloadName string

func (workloadName) Rule() wire.Rule { return wire.Length(3, 255).Matching(`[A-Za-z0-9_.-]+`) }

type returnURL string

func (returnURL) Rule() wire.Rule { return wire.Length(1, 2048).Matching(`\w+:(\/?\/?)[^\s]+`) }

type createWorkloadInput struct {
	Name       workloadName        `aws:"name" required:"true"`
	ReturnURLs []returnURL         `aws:"allowedResourceOauth2ReturnUrls"`
	Tags       map[tagKey]tagValue `aws:"tags" max:"50"`
}

type createWorkloadOutput struct {
	Name       string   `aws:"name" required:"true"`
	ARN        string   `aws:"workloadIdentityArn" required:"true"`
	ReturnURLs []string `aws:"allowedResourceOauth2ReturnUrls"`
}

func returnURLs(list []returnURL) []string {
	out := make([]string, len(list))
	for i, u := range list {
		out[i] = string(u)
	}
	return out
}

func (a *API) createWorkload(ctx context.Context, in *createWorkloadInput) (*createWorkloadOutput, error) {
	w, err := a.Runtimes.CreateWorkload(ctx, agentruntime.Workload{Scope: runtimeScope(ctx), Name: string(in.Name), ReturnURLs: returnURLs(in.ReturnURLs), Tags: tagsToDomain(in.Tags)})
	if err != nil {
		return nil, err
	}
	return &createWorkloadOutput{Name: w.Name, ARN: w.ARN(), ReturnURLs: w.ReturnURLs}, nil
}

type workloadInput struct {
	Name workloadName `aws:"name" required:"true"`
}

// getWorkloadOutput has its times in seconds since 1970: of this operation family the model says no format, which is that one.
type getWorkloadOutput struct {
	Name        string   `aws:"name" required:"true"`
	ARN         string   `aws:"workloadIdentityArn" required:"true"`
	ReturnURLs  []string `aws:"allowedResourceOauth2ReturnUrls"`
	Created     float64  `aws:"createdTime"`
	LastUpdated float64  `aws:"lastUpdatedTime"`
}

func workloadFromDomain(w agentruntime.Workload) *getWorkloadOutput {
	return &getWorkloadOutput{Name: w.Name, ARN: w.ARN(), ReturnURLs: w.ReturnURLs, Created: epoch(w.CreatedAt), LastUpdated: epoch(w.UpdatedAt)}
}

func epoch(t time.Time) float64 {
	return float64(t.UnixMilli()) / float64(time.Second/time.Millisecond)
}

func (a *API) getWorkload(ctx context.Context, in *workloadInput) (*getWorkloadOutput, error) {
	w, err := a.Runtimes.Workload(ctx, runtimeScope(ctx), string(in.Name))
	if err != nil {
		return nil, err
	}
	return workloadFromDomain(w), nil
}

type listWorkloadsInput struct {
	NextToken  string `aws:"nextToken"`
	MaxResults *int   `aws:"maxResults" min:"1" max:"20"`
}

type listWorkloadsOutput struct {
	Workloads []workloadSummary `aws:"workloadIdentities"`
	NextToken string            `aws:"nextToken"`
}

type workloadSummary struct {
	Name string `aws:"name" required:"true"`
	ARN  string `aws:"workloadIdentityArn" required:"true"`
}

func (a *API) listWorkloads(ctx context.Context, in *listWorkloadsInput) (*listWorkloadsOutput, error) {
	p := agentruntime.Page{Limit: 20, Token: in.NextToken}
	if in.MaxResults != nil {
		p.Limit = *in.MaxResults
	}
	items, next, err := a.Runtimes.Workloads(ctx, runtimeScope(ctx), p)
	if err != nil {
		return nil, err
	}
	out := &listWorkloadsOutput{Workloads: []workloadSummary{}, NextToken: next}
	for _, w := range items {
		out.Workloads = append(out.Workloads, workloadSummary{Name: w.Name, ARN: w.ARN()})
	}
	return out, nil
}

type updateWorkloadInput struct {
	Name       workloadName `aws:"name" required:"true"`
	ReturnURLs []returnURL  `aws:"allowedResourceOauth2ReturnUrls"`
}

func (a *API) updateWorkload(ctx context.Context, in *updateWorkloadInput) (*getWorkloadOutput, error) {
	w, err := a.Runtimes.UpdateWorkload(ctx, runtimeScope(ctx), string(in.Name), returnURLs(in.ReturnURLs))
	if err != nil {
		return nil, err
	}
	return workloadFromDomain(w), nil
}

func (a *API) deleteWorkload(ctx context.Context, in *workloadInput) (*empty, error) {
	return nil, a.Runtimes.DeleteWorkload(ctx, runtimeScope(ctx), string(in.Name))
}

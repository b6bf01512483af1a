package agentcore

import (
	"context"
	"strconv"
	"time"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

type endpointName string

func (endpointName) Rule() wire.Rule { return wire.Rule{Pattern: `[a-zA-Z][a-zA-Z0-9_]{0,47}`} }

type endpointDescription string

func (endpointDescription) Rule() wire.Rule { return wire.Length(1, 256) }

type createEndpointInput struct {
	RuntimeID   runtimeID           `uri:"agentRuntimeId" required:"true"`
	Name        endpointName        `aws:"name" required:"true"`
	Version     runtimeVersion      `aws:"agentRuntimeVersion"`
	Description endpointDescription `aws:"description"`
	ClientToken clientToken         `aws:"clientToken"`
	Tags        map[tagKey]tagValue `aws:"tags" max:"50"`
}

type createEndpointOutput struct {
	TargetVersion string    `aws:"targetVersion" required:"true"`
	ARN           string    `aws:"agentRuntimeEndpointArn" required:"true"`
	RuntimeARN    string    `aws:"agentRuntimeArn" required:"true"`
	RuntimeID     string    `aws:"agentRuntimeId"`
	Name          string    `aws:"endpointName"`
	Status        string    `aws:"status" required:"true"`
	CreatedAt     time.Time `aws:"createdAt"`
}

func (a *API) createEndpoint(ctx context.Context, in *createEndpointInput) (*createEndpointOutput, error) {
	e, err := a.Runtimes.CreateEndpoint(ctx, runtimeScope(ctx), agentruntime.NewEndpoint{RuntimeID: string(in.RuntimeID), Name: string(in.Name), Version: agentruntime.ParseVersion(string(in.Version)),
		Description: string(in.Description), Tags: tagsToDomain(in.Tags)}, string(in.ClientToken))
	if err != nil {
		return nil, err
	}
	return &createEndpointOutput{TargetVersion: strconv.Itoa(e.Target), ARN: e.ARN(), RuntimeARN: e.RuntimeARN(), RuntimeID: e.RuntimeID, Name: e.Name, Status: string(e.Status), CreatedAt: e.CreatedAt}, nil
}

type updateEndpointInput struct {
	RuntimeID   runtimeID            `uri:"agentRuntimeId" required:"true"`
	Name        endpointName         `uri:"endpointName" required:"true"`
	Version     runtimeVersion       `aws:"agentRuntimeVersion"`
	Description *endpointDescription `aws:"description"`
	ClientToken clientToken          `aws:"clientToken"`
}

type updateEndpointOutput struct {
	LiveVersion   string    `aws:"liveVersion"`
	TargetVersion string    `aws:"targetVersion"`
	ARN           string    `aws:"agentRuntimeEndpointArn" required:"true"`
	RuntimeARN    string    `aws:"agentRuntimeArn" required:"true"`
	Status        string    `aws:"status" required:"true"`
	CreatedAt     time.Time `aws:"createdAt"`
	LastUpdatedAt time.Time `aws:"lastUpdatedAt"`
}

func (a *API) updateEndpoint(ctx context.Context, in *updateEndpointInput) (*updateEndpointOutput, error) {
	e, err := a.Runtimes.UpdateEndpoint(ctx, runtimeScope(ctx), agentruntime.EndpointChange{RuntimeID: string(in.RuntimeID), Name: string(in.Name), Version: agentruntime.ParseVersion(string(in.Version)),
		Description: (*string)(in.Description)}, string(in.ClientToken))
	if err != nil {
		return nil, err
	}
	return &updateEndpointOutput{LiveVersion: version(e.Live), TargetVersion: version(e.Target), ARN: e.ARN(), RuntimeARN: e.RuntimeARN(), Status: string(e.Status), CreatedAt: e.CreatedAt,
		LastUpdatedAt: e.UpdatedAt}, nil
}

// version is a version's number as the API has it; none is left out.
func version(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

type endpointInput struct {
	RuntimeID runtimeID    `uri:"agentRuntimeId" required:"true"`
	Name      endpointName `uri:"endpointName" required:"true"`
}

type getEndpointOutput struct {
	LiveVersion   string    `aws:"liveVersion"`
	TargetVersion string    `aws:"targetVersion"`
	ARN           string    `aws:"agentRuntimeEndpointArn" required:"true"`
	RuntimeARN    string    `aws:"agentRuntimeArn" required:"true"`
	Description   string    `aws:"description"`
	Status        string    `aws:"status" required:"true"`
	CreatedAt     time.Time `aws:"createdAt"`
	LastUpdatedAt time.Time `aws:"lastUpdatedAt"`
	FailureReason string    `aws:"failureReason"`
	Name          string    `aws:"name" required:"true"`
	ID            string    `aws:"id" required:"true"`
}

func (a *API) getEndpoint(ctx context.Context, in *endpointInput) (*getEndpointOutput, error) {
	e, err := a.Runtimes.Endpoint(ctx, runtimeScope(ctx), string(in.RuntimeID), string(in.Name))
	if err != nil {
		return nil, err
	}
	out := endpointFromDomain(e)
	return &out, nil
}

func endpointFromDomain(e agentruntime.Endpoint) getEndpointOutput {
	return getEndpointOutput{LiveVersion: version(e.Live), TargetVersion: version(e.Target), ARN: e.ARN(), RuntimeARN: e.RuntimeARN(), Description: e.Description, Status: string(e.Status),
		CreatedAt: e.CreatedAt, LastUpdatedAt: e.UpdatedAt, FailureReason: e.FailureReason, Name: e.Name, ID: e.ID}
}

type listEndpointsInput struct {
	RuntimeID  runtimeID `uri:"agentRuntimeId" required:"true"`
	MaxResults *int      `query:"maxResults" min:"1" max:"100"`
	NextToken  nextToken `query:"nextToken"`
}

type listEndpointsOutput struct {
	Endpoints []getEndpointOutput `aws:"runtimeEndpoints"`
	NextToken string              `aws:"nextToken"`
}

func (a *API) listEndpoints(ctx context.Context, in *listEndpointsInput) (*listEndpointsOutput, error) {
	items, next, err := a.Runtimes.Endpoints(ctx, runtimeScope(ctx), string(in.RuntimeID), runtimePage(in.MaxResults, in.NextToken))
	if err != nil {
		return nil, err
	}
	out := &listEndpointsOutput{Endpoints: []getEndpointOutput{}, NextToken: next}
	for _, e := range items {
		summary := endpointFromDomain(e)
		summary.FailureReason = "" // the model's summaries have none
		out.Endpoints = append(out.Endpoints, summary)
	}
	return out, nil
}

type deleteEndpointInput struct {
	RuntimeID   runtimeID    `uri:"agentRuntimeId" required:"true"`
	Name        endpointName `uri:"endpointName" required:"true"`
	ClientToken clientToken  `query:"clientToken"`
}

type deleteEndpointOutput struct {
	Status    string `aws:"status" required:"true"`
	RuntimeID string `aws:"agentRuntimeId"`
	Name      string `aws:"endpointName"`
}

func (a *API) deleteEndpoint(ctx context.Context, in *deleteEndpointInput) (*deleteEndpointOutput, error) {
	e, err := a.Runtimes.DeleteEndpoint(ctx, runtimeScope(ctx), string(in.RuntimeID), string(in.Name))
	if err != nil {
		return nil, err
	}
	return &deleteEndpointOutput{Status: string(e.Status), RuntimeID: e.RuntimeID, Name: e.Name}, nil
}

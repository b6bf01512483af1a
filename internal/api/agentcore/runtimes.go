package agentcore

import (
	"context"
	"strconv"
	"time"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

func runtimeScope(ctx context.Context) agentruntime.Scope {
	r := wire.RequestOf(ctx)
	return agentruntime.Scope{Account: r.Account, Region: r.Region}
}

type createRuntimeInput struct {
	Name           string                `aws:"agentRuntimeName" required:"true" pattern:"[a-zA-Z][a-zA-Z0-9_]{0,47}"`
	Artifact       *runtimeArtifact      `aws:"agentRuntimeArtifact" required:"true"`
	RoleARN        roleARN               `aws:"roleArn" required:"true"`
	Network        *runtimeNetwork       `aws:"networkConfiguration" required:"true"`
	ClientToken    clientToken           `aws:"clientToken"`
	Description    runtimeDescription    `aws:"description"`
	Authorizer     *authorizer           `aws:"authorizerConfiguration"`
	RequestHeaders *requestHeaders       `aws:"requestHeaderConfiguration"`
	Protocol       *runtimeProtocol      `aws:"protocolConfiguration"`
	Lifecycle      *lifecycle            `aws:"lifecycleConfiguration"`
	Environment    map[envName]envValue  `aws:"environmentVariables" max:"50"`
	Filesystems    []filesystem          `aws:"filesystemConfigurations" max:"5"`
	Tags           map[tagKey]tagValue   `aws:"tags" max:"50"`
	Metadata       *metadataRequirements `aws:"metadataConfiguration"`
}

type createRuntimeOutput struct {
	ARN              string           `aws:"agentRuntimeArn" required:"true"`
	WorkloadIdentity *workloadDetails `aws:"workloadIdentityDetails"`
	ID               string           `aws:"agentRuntimeId" required:"true"`
	Version          string           `aws:"agentRuntimeVersion" required:"true"`
	CreatedAt        time.Time        `aws:"createdAt"`
	Status           string           `aws:"status" required:"true"`
}

type workloadDetails struct {
	ARN string `aws:"workloadIdentityArn" required:"true"`
}

func workloadOf(r agentruntime.Runtime) *workloadDetails {
	return &workloadDetails{ARN: r.Workload().ARN()}
}

func (a *API) createRuntime(ctx context.Context, in *createRuntimeInput) (*createRuntimeOutput, error) {
	c, err := configuration{in.Artifact, in.RoleARN, in.Network, in.Description, in.Authorizer, in.RequestHeaders, in.Protocol, in.Lifecycle, in.Metadata, in.Environment, in.Filesystems}.toDomain()
	if err != nil {
		return nil, err
	}
	r, err := a.Runtimes.CreateRuntime(ctx, runtimeScope(ctx), agentruntime.NewRuntime{Name: in.Name, Configuration: c, Tags: tagsToDomain(in.Tags)}, string(in.ClientToken))
	if err != nil {
		return nil, err
	}
	return &createRuntimeOutput{ARN: r.ARN(), WorkloadIdentity: workloadOf(r), ID: r.ID, Version: strconv.Itoa(r.Version), CreatedAt: r.CreatedAt, Status: string(r.Status)}, nil
}

type updateRuntimeInput struct {
	ID             runtimeID             `uri:"agentRuntimeId" required:"true"`
	Artifact       *runtimeArtifact      `aws:"agentRuntimeArtifact" required:"true"`
	RoleARN        roleARN               `aws:"roleArn" required:"true"`
	Network        *runtimeNetwork       `aws:"networkConfiguration" required:"true"`
	Description    runtimeDescription    `aws:"description"`
	Authorizer     *authorizer           `aws:"authorizerConfiguration"`
	RequestHeaders *requestHeaders       `aws:"requestHeaderConfiguration"`
	Protocol       *runtimeProtocol      `aws:"protocolConfiguration"`
	Lifecycle      *lifecycle            `aws:"lifecycleConfiguration"`
	Metadata       *metadataRequirements `aws:"metadataConfiguration"`
	Environment    map[envName]envValue  `aws:"environmentVariables" max:"50"`
	Filesystems    []filesystem          `aws:"filesystemConfigurations" max:"5"`
	ClientToken    clientToken           `aws:"clientToken"`
}

type updateRuntimeOutput struct {
	ARN              string           `aws:"agentRuntimeArn" required:"true"`
	ID               string           `aws:"agentRuntimeId" required:"true"`
	WorkloadIdentity *workloadDetails `aws:"workloadIdentityDetails"`
	Version          string           `aws:"agentRuntimeVersion" required:"true"`
	CreatedAt        time.Time        `aws:"createdAt"`
	LastUpdatedAt    time.Time        `aws:"lastUpdatedAt"`
	Status           string           `aws:"status" required:"true"`
}

func (a *API) updateRuntime(ctx context.Context, in *updateRuntimeInput) (*updateRuntimeOutput, error) {
	c, err := configuration{in.Artifact, in.RoleARN, in.Network, in.Description, in.Authorizer, in.RequestHeaders, in.Protocol, in.Lifecycle, in.Metadata, in.Environment, in.Filesystems}.toDomain()
	if err != nil {
		return nil, err
	}
	r, err := a.Runtimes.UpdateRuntime(ctx, runtimeScope(ctx), string(in.ID), c, string(in.ClientToken))
	if err != nil {
		return nil, err
	}
	return &updateRuntimeOutput{ARN: r.ARN(), ID: r.ID, WorkloadIdentity: workloadOf(r), Version: strconv.Itoa(r.Version), CreatedAt: r.CreatedAt, LastUpdatedAt: r.UpdatedAt,
		Status: string(r.Status)}, nil
}

type getRuntimeInput struct {
	ID      runtimeID      `uri:"agentRuntimeId" required:"true"`
	Version runtimeVersion `query:"version"`
}

type getRuntimeOutput struct {
	ARN              string                `aws:"agentRuntimeArn" required:"true"`
	Name             string                `aws:"agentRuntimeName" required:"true"`
	ID               string                `aws:"agentRuntimeId" required:"true"`
	Version          string                `aws:"agentRuntimeVersion" required:"true"`
	CreatedAt        time.Time             `aws:"createdAt"`
	LastUpdatedAt    time.Time             `aws:"lastUpdatedAt"`
	RoleARN          string                `aws:"roleArn" required:"true"`
	Network          *runtimeNetwork       `aws:"networkConfiguration"`
	Status           string                `aws:"status" required:"true"`
	Lifecycle        *lifecycle            `aws:"lifecycleConfiguration"`
	FailureReason    string                `aws:"failureReason"`
	Description      string                `aws:"description"`
	WorkloadIdentity *workloadDetails      `aws:"workloadIdentityDetails"`
	Artifact         *runtimeArtifact      `aws:"agentRuntimeArtifact"`
	Protocol         *runtimeProtocol      `aws:"protocolConfiguration"`
	Environment      map[string]string     `aws:"environmentVariables"`
	RequestHeaders   *requestHeaders       `aws:"requestHeaderConfiguration"`
	Metadata         *metadataRequirements `aws:"metadataConfiguration"`
}

func (a *API) getRuntime(ctx context.Context, in *getRuntimeInput) (*getRuntimeOutput, error) {
	r, err := a.Runtimes.Runtime(ctx, runtimeScope(ctx), string(in.ID), agentruntime.ParseVersion(string(in.Version)))
	if err != nil {
		return nil, err
	}
	out := &getRuntimeOutput{ARN: r.ARN(), Name: r.Name, ID: r.ID, Version: strconv.Itoa(r.Version), CreatedAt: r.CreatedAt, LastUpdatedAt: r.UpdatedAt, RoleARN: r.Role,
		Network: runtimeNetworkFromDomain(r.Network), Status: string(r.Status), Lifecycle: lifecycleFromDomain(r.Lifecycle), FailureReason: r.FailureReason, Description: r.Description,
		WorkloadIdentity: workloadOf(r), Artifact: &runtimeArtifact{Container: &containerConfiguration{URI: containerURI(r.ContainerURI)}}, Environment: r.Environment}
	if r.Protocol != "" {
		out.Protocol = &runtimeProtocol{Server: string(r.Protocol)}
	}
	if len(r.Headers) > 0 {
		out.RequestHeaders = &requestHeaders{}
		for _, h := range r.Headers {
			out.RequestHeaders.Allowlist = append(out.RequestHeaders.Allowlist, headerName(h))
		}
	}
	if r.RequireMMDSV2 != nil {
		out.Metadata = &metadataRequirements{RequireMMDSV2: r.RequireMMDSV2}
	}
	return out, nil
}

type deleteRuntimeInput struct {
	ID          runtimeID   `uri:"agentRuntimeId" required:"true"`
	ClientToken clientToken `query:"clientToken"`
}

type deleteRuntimeOutput struct {
	Status string `aws:"status" required:"true"`
	ID     string `aws:"agentRuntimeId"`
}

func (a *API) deleteRuntime(ctx context.Context, in *deleteRuntimeInput) (*deleteRuntimeOutput, error) {
	r, err := a.Runtimes.DeleteRuntime(ctx, runtimeScope(ctx), string(in.ID))
	if err != nil {
		return nil, err
	}
	return &deleteRuntimeOutput{Status: string(r.Status), ID: r.ID}, nil
}

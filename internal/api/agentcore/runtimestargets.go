package agentcore

import (
	"context"
	"maps"

	"github.com/sunaba-dev/sunaba/internal/agentruntime"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// onNewRuntime is a runtime that has no id yet. That the role may be handed over is the domain's to ask, as with interpreters.
func onNewRuntime(ctx context.Context, in *createRuntimeInput) (wire.Target, error) {
	t := wire.Target{Resource: agentruntime.Runtime{Scope: runtimeScope(ctx), ID: "*"}.ARN(), Context: requestTags(tagsToDomain(in.Tags))}
	maps.Copy(t.Context, vpcKeys(in.Network))
	return t, nil
}

func vpcKeys(n *runtimeNetwork) map[string][]string {
	keys := map[string][]string{}
	if n != nil && n.VPC != nil {
		for _, s := range n.VPC.Subnets {
			keys["bedrock-agentcore:subnets"] = append(keys["bedrock-agentcore:subnets"], string(s))
		}
		for _, g := range n.VPC.SecurityGroups {
			keys["bedrock-agentcore:securityGroups"] = append(keys["bedrock-agentcore:securityGroups"], string(g))
		}
	}
	return keys
}

// runtime is the target of what acts on one runtime. One that does not exist has no tags: whether it exists is only told to who may ask.
func (a *API) runtime(ctx context.Context, scope agentruntime.Scope, id string) (wire.Target, error) {
	r, err := a.Runtimes.Runtime(ctx, scope, id, 0)
	if fault.Is(err, fault.ResourceNotFound) {
		err = nil
	}
	return wire.Target{Resource: agentruntime.Runtime{Scope: scope, ID: id}.ARN(), Context: resourceTags(r.Tags)}, err
}

// runtimeEndpoint is the target of what acts on one endpoint.
func (a *API) runtimeEndpoint(ctx context.Context, scope agentruntime.Scope, id, name string) (wire.Target, error) {
	e, err := a.Runtimes.Endpoint(ctx, scope, id, name)
	if fault.Is(err, fault.ResourceNotFound) {
		err = nil
	}
	return wire.Target{Resource: agentruntime.Endpoint{Scope: scope, RuntimeID: id, Name: name}.ARN(), Context: resourceTags(e.Tags)}, err
}

func (a *API) onUpdateRuntime(ctx context.Context, in *updateRuntimeInput) (wire.Target, error) {
	t, err := a.runtime(ctx, runtimeScope(ctx), string(in.ID))
	if err == nil {
		maps.Copy(t.Context, vpcKeys(in.Network))
	}
	return t, err
}

func (a *API) onGetRuntime(ctx context.Context, in *getRuntimeInput) (wire.Target, error) {
	return a.runtime(ctx, runtimeScope(ctx), string(in.ID))
}

func (a *API) onDeleteRuntime(ctx context.Context, in *deleteRuntimeInput) (wire.Target, error) {
	return a.runtime(ctx, runtimeScope(ctx), string(in.ID))
}

func (a *API) onListVersions(ctx context.Context, in *listVersionsInput) (wire.Target, error) {
	return a.runtime(ctx, runtimeScope(ctx), string(in.ID))
}

func (a *API) onListEndpoints(ctx context.Context, in *listEndpointsInput) (wire.Target, error) {
	return a.runtime(ctx, runtimeScope(ctx), string(in.RuntimeID))
}

// onNewEndpoint acts on the runtime, and on the endpoint that is to be.
func (a *API) onNewEndpoint(ctx context.Context, in *createEndpointInput) (wire.Target, error) {
	t, err := a.runtime(ctx, runtimeScope(ctx), string(in.RuntimeID))
	if err != nil {
		return t, err
	}
	e := agentruntime.Endpoint{Scope: runtimeScope(ctx), RuntimeID: string(in.RuntimeID), Name: string(in.Name)}
	keys := requestTags(tagsToDomain(in.Tags))
	also := wire.Target{Resource: e.ARN(), Context: keys}
	t.Context = maps.Clone(t.Context)
	maps.Copy(t.Context, keys)
	return t.And(also), nil
}

// bothOf acts on an endpoint and on its runtime.
func (a *API) bothOf(ctx context.Context, scope agentruntime.Scope, id, name string) (wire.Target, error) {
	if name == "" {
		name = agentruntime.DefaultEndpoint
	}
	t, err := a.runtime(ctx, scope, id)
	if err != nil {
		return t, err
	}
	e, err := a.runtimeEndpoint(ctx, scope, id, name)
	return t.And(e), err
}

func (a *API) onUpdateEndpoint(ctx context.Context, in *updateEndpointInput) (wire.Target, error) {
	return a.bothOf(ctx, runtimeScope(ctx), string(in.RuntimeID), string(in.Name))
}

func (a *API) onGetEndpoint(ctx context.Context, in *endpointInput) (wire.Target, error) {
	return a.bothOf(ctx, runtimeScope(ctx), string(in.RuntimeID), string(in.Name))
}

func (a *API) onDeleteEndpoint(ctx context.Context, in *deleteEndpointInput) (wire.Target, error) {
	return a.bothOf(ctx, runtimeScope(ctx), string(in.RuntimeID), string(in.Name))
}

// invoked is the target of what asks a runtime's sessions.
func (a *API) invoked(ctx context.Context, runtime, account, qualifier string) (wire.Target, error) {
	scope, id, err := agentruntime.ParseRuntime(runtimeScope(ctx), runtime, account)
	if err != nil {
		return wire.Target{}, err
	}
	return a.bothOf(ctx, scope, id, qualifier)
}

// onInvokeRuntime needs a second action where the request speaks for a user. Source: the model of InvokeAgentRuntime.
func (a *API) onInvokeRuntime(ctx context.Context, in *invokeRuntimeInput) (wire.Target, error) {
	t, err := a.invoked(ctx, in.Runtime, in.Account, in.Qualifier)
	if err != nil || in.UserID == "" {
		return t, err
	}
	return t.Needing("bedrock-agentcore:InvokeAgentRuntimeForUser"), nil
}

func (a *API) onAgentCard(ctx context.Context, in *agentCardInput) (wire.Target, error) {
	return a.invoked(ctx, in.Runtime, in.Account, in.Qualifier)
}

func (a *API) onStopRuntimeSession(ctx context.Context, in *stopRuntimeSessionInput) (wire.Target, error) {
	return a.invoked(ctx, in.Runtime, in.Account, in.Qualifier)
}

// workload is the target of what acts on one workload identity: the identity, and the directory that it is in.
func (a *API) workload(ctx context.Context, name workloadName) (wire.Target, error) {
	w, err := a.Runtimes.Workload(ctx, runtimeScope(ctx), string(name))
	if fault.Is(err, fault.ResourceNotFound) {
		w, err = agentruntime.Workload{Scope: runtimeScope(ctx), Name: string(name)}, nil
	}
	return wire.Target{Resource: w.ARN(), Context: resourceTags(w.Tags)}.And(wire.Target{Resource: w.DirectoryARN()}), err
}

func onNewWorkload(ctx context.Context, in *createWorkloadInput) (wire.Target, error) {
	w := agentruntime.Workload{Scope: runtimeScope(ctx), Name: string(in.Name)}
	return wire.Target{Resource: w.ARN(), Context: requestTags(tagsToDomain(in.Tags))}.And(wire.Target{Resource: w.DirectoryARN()}), nil
}

func onListWorkloads(ctx context.Context, _ *listWorkloadsInput) (wire.Target, error) {
	return wire.Target{Resource: runtimeScope(ctx).DirectoryARN()}, nil
}

func (a *API) onWorkload(ctx context.Context, in *workloadInput) (wire.Target, error) {
	return a.workload(ctx, in.Name)
}

func (a *API) onUpdateWorkload(ctx context.Context, in *updateWorkloadInput) (wire.Target, error) {
	return a.workload(ctx, in.Name)
}

package agentcore

import (
	"context"
	"maps"
	"slices"

	"github.com/sunaba-dev/sunaba/internal/codeinterpreter"
	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// onAny is the target of operations that act on nothing in particular.
func onAny[I any](context.Context, *I) (wire.Target, error) { return wire.Target{Resource: "*"}, nil }

// onNewInterpreter is an interpreter that has no id yet.
func onNewInterpreter(ctx context.Context, in *createCodeInterpreterInput) (wire.Target, error) {
	t := wire.Target{Resource: codeinterpreter.Interpreter{Scope: scope(ctx), ID: "*"}.ARN(), Context: requestTags(tagsToDomain(in.Tags))}
	if n := in.Network; n != nil && n.VPCConfig != nil {
		network := n.toDomain()
		t.Context["bedrock-agentcore:subnets"], t.Context["bedrock-agentcore:securityGroups"] = network.Subnets, network.SecurityGroups
	}
	return t, nil
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

// interpreter is the target of what acts on one interpreter, or on its sessions. One that does not exist has no tags: whether it exists is only told to who may ask.
func (a *API) interpreter(ctx context.Context, id string) (wire.Target, error) {
	i, err := a.Interpreters.Interpreter(ctx, scope(ctx), id)
	if fault.Is(err, fault.ResourceNotFound) {
		i, err = codeinterpreter.Interpreter{Scope: scope(ctx), ID: codeinterpreter.IDOf(id)}, nil
	}
	return wire.Target{Resource: i.ARN(), Context: resourceTags(i.Tags)}, err
}

func resourceTags(tags map[string]string) map[string][]string {
	keys := map[string][]string{}
	for k, v := range tags {
		keys["aws:ResourceTag/"+k] = []string{v}
	}
	return keys
}

// resource is the target of what acts on a resource by its ARN.
func (a *API) resource(ctx context.Context, arn string) (wire.Target, error) {
	tags, err := a.tagsOf(arn).tags(ctx, arn)
	if fault.Is(err, fault.ResourceNotFound) {
		err = nil
	}
	return wire.Target{Resource: arn, Context: resourceTags(tags)}, err
}

func (a *API) onGet(ctx context.Context, in *getCodeInterpreterInput) (wire.Target, error) {
	return a.interpreter(ctx, string(in.ID))
}

func (a *API) onDelete(ctx context.Context, in *deleteCodeInterpreterInput) (wire.Target, error) {
	return a.interpreter(ctx, string(in.ID))
}

func (a *API) onStart(ctx context.Context, in *startSessionInput) (wire.Target, error) {
	return a.interpreter(ctx, in.Interpreter)
}

func (a *API) onGetSession(ctx context.Context, in *getSessionInput) (wire.Target, error) {
	return a.interpreter(ctx, in.Interpreter)
}

func (a *API) onListSessions(ctx context.Context, in *listSessionsInput) (wire.Target, error) {
	return a.interpreter(ctx, in.Interpreter)
}

func (a *API) onStop(ctx context.Context, in *stopSessionInput) (wire.Target, error) {
	return a.interpreter(ctx, in.Interpreter)
}

func (a *API) onInvoke(ctx context.Context, in *invokeInput) (wire.Target, error) {
	return a.interpreter(ctx, in.Interpreter)
}

func (a *API) onTag(ctx context.Context, in *tagResourceInput) (wire.Target, error) {
	t, err := a.resource(ctx, string(in.ResourceARN))
	if err == nil {
		tags := requestTags(tagsToDomain(in.Tags))
		maps.Copy(tags, t.Context)
		t.Context = tags
	}
	return t, err
}

func (a *API) onUntag(ctx context.Context, in *untagResourceInput) (wire.Target, error) {
	t, err := a.resource(ctx, string(in.ResourceARN))
	if err == nil {
		keys := map[string][]string{"aws:TagKeys": nil}
		for _, k := range in.TagKeys {
			keys["aws:TagKeys"] = append(keys["aws:TagKeys"], string(k))
		}
		maps.Copy(keys, t.Context)
		t.Context = keys
	}
	return t, err
}

func (a *API) onListTags(ctx context.Context, in *listTagsInput) (wire.Target, error) {
	return a.resource(ctx, string(in.ResourceARN))
}

package logs

import (
	"context"
	"maps"
	"slices"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/logs"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// What operations act on. In policies AWS wants a group's ARN with :* at the end for all operations but those on tags, because it compares with the ARN of a stream, whose name is empty where an
// operation is about the group as a whole: "arn:aws:logs:us-west-2:111122223333:log-group:/app:log-stream:". Source: the section "Log group" of "Overview of managing access permissions to your
// CloudWatch Logs resources" in the user guide, and the messages of the service.

// onAny is the target of operations that act on nothing in particular.
func onAny[I any](context.Context, *I) (wire.Target, error) { return wire.Target{Resource: "*"}, nil }

// onGroups is the target of operations that list groups.
func onGroups[I any](ctx context.Context, _ *I) (wire.Target, error) {
	return wire.Target{Resource: logs.StreamARN(scope(ctx), "", "")}, nil
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

func onNewGroup(ctx context.Context, in *createLogGroupInput) (wire.Target, error) {
	t := wire.Target{Resource: logs.StreamARN(scope(ctx), in.Name, ""), Context: requestTags(in.Tags)}
	if len(in.Tags) > 0 { // Source: the documentation of tags in CreateLogGroup
		t = t.And(wire.Target{Action: "logs:TagResource", Resource: logs.GroupARN(scope(ctx), in.Name), Context: t.Context})
	}
	return t, nil
}

// stream is the target of what acts on a stream, or with an empty name on the group. A group that does not exist has no tags: whether it exists is only told to who may ask.
func (a *API) stream(ctx context.Context, group, stream string) (wire.Target, error) {
	t := wire.Target{Resource: logs.StreamARN(scope(ctx), group, stream), Context: map[string][]string{}}
	g, err := a.Logs.Group(ctx, scope(ctx), group)
	if err != nil {
		if f := fault.From(err); f.Code == fault.Internal {
			return t, err
		}
		return t, nil // the handler says what is wrong with the name
	}
	for k, v := range g.Tags {
		t.Context["aws:ResourceTag/"+k] = []string{v}
	}
	return t, nil
}

// identified is the target of what takes a group's name or an identifier.
func (a *API) identified(ctx context.Context, name, identifier, stream string) (wire.Target, error) {
	group, err := named(ctx, name, identifier)
	if fault.Is(err, logs.NotFound) { // of another account or region: it is not told that there is no such thing here
		return wire.Target{Resource: identifier}, nil
	}
	if err != nil {
		return wire.Target{}, err
	}
	return a.stream(ctx, group, stream)
}

func (a *API) onGroup(ctx context.Context, in *groupInput) (wire.Target, error) {
	return a.stream(ctx, in.Name, "")
}

func (a *API) onRetention(ctx context.Context, in *putRetentionPolicyInput) (wire.Target, error) {
	return a.stream(ctx, in.Name, "")
}

func (a *API) onProtection(ctx context.Context, in *protectionInput) (wire.Target, error) {
	return a.identified(ctx, "", in.Identifier, "")
}

func (a *API) onStream(ctx context.Context, in *streamInput) (wire.Target, error) {
	return a.stream(ctx, in.Group, in.Stream)
}

func (a *API) onStreams(ctx context.Context, in *describeLogStreamsInput) (wire.Target, error) {
	return a.identified(ctx, in.Group, in.Identifier, "")
}

func (a *API) onPut(ctx context.Context, in *putLogEventsInput) (wire.Target, error) {
	return a.stream(ctx, in.Group, in.Stream)
}

func (a *API) onGet(ctx context.Context, in *getLogEventsInput) (wire.Target, error) {
	return a.identified(ctx, in.Group, in.Identifier, in.Stream)
}

func (a *API) onFilter(ctx context.Context, in *filterLogEventsInput) (wire.Target, error) {
	return a.identified(ctx, in.Group, in.Identifier, "")
}

// onLiveTail is all of the groups.
func (a *API) onLiveTail(ctx context.Context, in *startLiveTailInput) (wire.Target, error) {
	if n := len(in.Groups); n == 0 || n > maxTailGroups { // the handler refuses it
		return wire.Target{Resource: logs.StreamARN(scope(ctx), "", "")}, nil
	}
	t, err := a.identified(ctx, "", in.Groups[0], "")
	for _, id := range in.Groups[1:] {
		if err != nil {
			return t, err
		}
		var other wire.Target
		other, err = a.identified(ctx, "", id, "")
		t = t.And(other)
	}
	return t, err
}

func (a *API) onSubscription(ctx context.Context, in *putSubscriptionFilterInput) (wire.Target, error) {
	t, err := a.stream(ctx, in.Group, "")
	if err == nil {
		t.Context["logs:DestinationArn"] = []string{in.Destination}
	}
	return t, err
}

func (a *API) onGroupFilters(ctx context.Context, in *describeFiltersInput) (wire.Target, error) {
	return a.stream(ctx, in.Group, "")
}

func (a *API) onMetricFilters(ctx context.Context, in *describeMetricFiltersInput) (wire.Target, error) {
	return a.stream(ctx, in.Group, "")
}

// tagged is the target of what acts on a group's tags, whose ARN in policies has no :* at the end.
func (a *API) tagged(ctx context.Context, name string, request map[string][]string) (wire.Target, error) {
	t, err := a.stream(ctx, name, "")
	t.Resource = logs.GroupARN(scope(ctx), name)
	maps.Copy(t.Context, request)
	return t, err
}

func (a *API) onTagGroup(ctx context.Context, in *tagLogGroupInput) (wire.Target, error) {
	return a.stream(ctx, in.Name, "") // the older operations are as all others
}

func (a *API) onUntagGroup(ctx context.Context, in *untagLogGroupInput) (wire.Target, error) {
	return a.stream(ctx, in.Name, "")
}

func (a *API) taggedARN(ctx context.Context, arn string, request map[string][]string) (wire.Target, error) {
	name, err := groupOfARN(ctx, arn)
	if fault.Is(err, logs.NotFound) {
		return wire.Target{Resource: arn, Context: request}, nil
	}
	if err != nil {
		return wire.Target{}, err
	}
	return a.tagged(ctx, name, request)
}

func (a *API) onTag(ctx context.Context, in *tagResourceInput) (wire.Target, error) {
	return a.taggedARN(ctx, in.ARN, requestTags(in.Tags))
}

func (a *API) onUntag(ctx context.Context, in *untagResourceInput) (wire.Target, error) {
	return a.taggedARN(ctx, in.ARN, map[string][]string{"aws:TagKeys": in.Keys})
}

func (a *API) onListTags(ctx context.Context, in *resourceInput) (wire.Target, error) {
	return a.taggedARN(ctx, in.ARN, nil)
}

// Package logs declares the API of CloudWatch Logs: the shapes of its requests and answers, what each operation must be allowed to do, and the handlers that translate between them and the domain.
// Source of every shape: the botocore model of logs (2014-03-28); of actions and resources: the service authorization reference. The rules of values are the domain's: others than this API keep them too.
package logs

import (
	"context"
	"net/http"

	"github.com/sunaba-dev/sunaba/internal/fault"
	"github.com/sunaba-dev/sunaba/internal/logs"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

// API has the domain service that the operations call.
type API struct {
	Logs *logs.Service
	// Authorize decides whether the caller may act; see wire.Service.
	Authorize func(ctx context.Context, action string, t wire.Target) error
}

// Service returns the declared service: each operation with what it acts on.
func (a *API) Service() *wire.Service {
	return &wire.Service{
		Name:         "logs",
		Protocol:     wire.AWSJSON,
		TargetPrefix: "Logs_20140328",
		Statuses:     statuses,
		Authorize:    a.Authorize,
		Operations: []wire.Operation{
			op("CreateLogGroup", a.createLogGroup, onNewGroup),
			op("DeleteLogGroup", a.deleteLogGroup, a.onGroup),
			op("DescribeLogGroups", a.describeLogGroups, onGroups[describeLogGroupsInput]),
			op("ListLogGroups", a.listLogGroups, onGroups[listLogGroupsInput]),
			op("PutRetentionPolicy", a.putRetentionPolicy, a.onRetention),
			op("DeleteRetentionPolicy", a.deleteRetentionPolicy, a.onGroup),
			op("PutLogGroupDeletionProtection", a.putLogGroupDeletionProtection, a.onProtection),

			op("CreateLogStream", a.createLogStream, a.onStream),
			op("DeleteLogStream", a.deleteLogStream, a.onStream),
			op("DescribeLogStreams", a.describeLogStreams, a.onStreams),

			op("PutLogEvents", a.putLogEvents, a.onPut),
			op("GetLogEvents", a.getLogEvents, a.onGet),
			op("FilterLogEvents", a.filterLogEvents, a.onFilter),
			op("StartLiveTail", a.startLiveTail, a.onLiveTail),
			op("TestMetricFilter", a.testMetricFilter, onAny[testMetricFilterInput]),

			op("TagLogGroup", a.tagLogGroup, a.onTagGroup),
			op("UntagLogGroup", a.untagLogGroup, a.onUntagGroup),
			op("ListTagsLogGroup", a.listTagsLogGroup, a.onGroup),
			op("TagResource", a.tagResource, a.onTag),
			op("UntagResource", a.untagResource, a.onUntag),
			op("ListTagsForResource", a.listTagsForResource, a.onListTags),

			op("PutSubscriptionFilter", a.putSubscriptionFilter, a.onSubscription),
			op("DescribeSubscriptionFilters", a.describeSubscriptionFilters, a.onGroupFilters),
			op("DescribeMetricFilters", a.describeMetricFilters, a.onMetricFilters),
		},
	}
}

// statuses are those of exceptions that other services answer with another than 400. Source: the model, whose exceptions have none of their own.
var statuses = map[fault.Code]int{
	fault.AccessDenied:     http.StatusBadRequest,
	fault.UnknownOperation: http.StatusBadRequest,
	logs.NotFound:          http.StatusBadRequest,
}

// op declares an operation with what it acts on.
func op[I, O any](name string, handle func(context.Context, *I) (*O, error), on func(context.Context, *I) (wire.Target, error)) wire.Operation {
	return wire.On(wire.Op(name, "", handle), on)
}

// scope is the account and region that a request speaks of: the caller's, and the region it was signed for.
func scope(ctx context.Context) logs.Scope {
	r := wire.RequestOf(ctx)
	return logs.Scope{Account: r.Account, Region: r.Region}
}

type empty struct{}

// named is the group of operations that take its name or an identifier, but not both.
func named(ctx context.Context, name, identifier string) (string, error) {
	switch {
	case name != "" && identifier != "":
		return "", fault.New(logs.InvalidParameter, "LogGroup name and LogGroup ARN are mutually exclusive parameters.")
	case name == "" && identifier == "":
		return "", fault.New(logs.InvalidParameter, "Either LogGroup name or LogGroup ARN must be specified.")
	case name != "":
		return name, nil
	}
	return logs.GroupOf(scope(ctx), "logGroupIdentifier", identifier)
}

// timestamp leaves out a time that there is not.
func timestamp(ms int64) *int64 {
	if ms == 0 {
		return nil
	}
	return &ms
}

func limit(n *int) (int, error) {
	switch {
	case n == nil:
		return 0, nil
	case *n == 0:
		return 0, logs.Invalid("limit", "0", "Member must have value greater than or equal to 1")
	}
	return *n, nil
}

func page(n *int, token string) (logs.Page, error) {
	l, err := limit(n)
	return logs.Page{Limit: l, Token: token}, err
}
